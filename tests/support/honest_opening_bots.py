"""The honest opening with well-kept bots in it."""

from loadtests.client.answers import Call
from loadtests.crowd.crowd_file import load_profile
from loadtests.resident.acts import SECOND_US as S
from tests.support.honest_opening import World


class Infested(World):
    """The honest opening of the audit's tests, with bots that were told what they should be."""

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self.crowd, "profile", load_profile("bots"))
        meters, seen = self.evidence.meters, self.evidence.seen
        meters.bots.update(
            {("fast-poller", 200, ""): 2000, ("forger", 401, "forged"): 30, ("replayer", 200, ""): 30,
             ("code-hammer", 429, "too-many-requests"): 30, ("code-hammer", 202, ""): 1,
             ("slow-head", 408, ""): 20, ("slow-body", 408, ""): 20, ("idle-herd", 0, "closed"): 20}
        )  # fmt: skip
        # the draw takes 10 s: ten joins a second, forty fast polls, ten ticks
        meters.from_due[Call.JOIN].clear()
        for second in range(10):
            for k in range(10):
                meters.answered(Call.JOIN, second * S + k, second * S + k, second * S + k + 900)
            for _ in range(40):
                meters.count("polls from memory", second * S)
                meters.count("bot requests", second * S)
        seen.scripts = [(second, 1000 + 10 * second + 10 * max(0, second)) for second in range(-5, 20)]
