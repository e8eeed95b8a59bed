"""What Locust shows is what its own event for each request would have made of it."""

import subprocess
import sys

from tests.support.serving import REPO

# in a process of its own, as Locust patches whatever it finds
_BOTH_WAYS = """
from locust.env import Environment
from loadtests.generator.locust_statistics import LocustStatistics

requests = [(k % 3, k * k % 4321, k, "wrong" if k % 10 == 0 else None) for k in range(1000)]
theirs, ours = Environment(), Environment()
theirs.create_local_runner()
ours.create_local_runner()
statistics = LocustStatistics(ours)
for name, ms, size, error in requests:
    theirs.events.request.fire(
        request_type="GET", name=f"call {name}", response_time=ms, response_length=size,
        exception=error and Exception(error), context={},
    )
    statistics.answered("GET", f"call {name}", ms * 1000, size, error)
    if size % 300 == 0:
        statistics.hand_over()
statistics.hand_over()
def told(entry):
    return (entry.num_requests, entry.num_failures, entry.total_response_time, entry.min_response_time,
            entry.max_response_time, dict(entry.response_times), entry.total_content_length)
for k in range(3):
    one, other = (told(env.stats.get(f"call {k}", "GET")) for env in (ours, theirs))
    assert one == other and one[0] >= 333, (one, other)
assert told(ours.stats.total) == told(theirs.stats.total)
assert {k: e.occurrences for k, e in ours.stats.errors.items()} == {
    k: e.occurrences for k, e in theirs.stats.errors.items()} != {}
assert sum(ours.stats.total.num_reqs_per_sec.values()) == 1000
print("alike")
"""


def test_locusts_statistics_are_those_of_its_own_event() -> None:
    done = subprocess.run([sys.executable, "-c", _BOTH_WAYS], cwd=REPO, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "alike", done.stderr
