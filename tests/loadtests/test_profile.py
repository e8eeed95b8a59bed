"""A crowd file says what a crowd is like: read strictly, the same in every process, and the crowd is as it says."""

import hashlib
import math
import subprocess
import sys
from collections import Counter
from datetime import date, time
from pathlib import Path

import msgspec
import pytest

from loadtests.client.answers import Requests
from loadtests.client.measure import Meters
from loadtests.crowd.arrivals import CurveError, curve_of
from loadtests.crowd.behaviour import Behaviour
from loadtests.crowd.crowd import Crowd, mix
from loadtests.crowd.crowd_file import SHIPPED, CrowdError, load_profile
from loadtests.crowd.network import Networks
from loadtests.crowd.profile import ArrivalPart, CrowdProfile, Door, Families, Network
from loadtests.resident.acts import Act
from loadtests.resident.agenda import Agenda
from loadtests.resident.journey import Journey
from loadtests.resident.pace import Pace
from loadtests.resident.run_opening import RunOpening

DAY = date(2021, 6, 19)
GUANGZHOU = (SHIPPED / "guangzhou.toml").read_text()
NAMES = sorted(path.stem for path in SHIPPED.glob("*.toml"))


def crowd_of(name: str, residents: int = 30_000) -> Crowd:
    profile = load_profile(name)
    return Crowd(residents, profile.come, DAY, 7, profile)


def with_changes(name: str, **changes: object) -> CrowdProfile:
    return msgspec.structs.replace(load_profile(name), **changes)


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_crowd_can_be_read_and_says_where_its_numbers_are_from(name: str) -> None:
    profile = load_profile(name)
    assert profile.about
    assert profile.eligible == pytest.approx({"ramp": 1.0}.get(name, 0.96))
    text = (SHIPPED / f"{name}.toml").read_text()
    assert "ssumption" in text
    assert "domain.md" in text


def test_the_shipped_crowds_are_the_ones_spoken_of() -> None:
    assert NAMES == ["bots", "day", "guangzhou", "handover", "phones", "ramp", "stampede"]


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ('about = "', "about = 5 # ", "about: expected `str`, got `int`"),
        ("[door]", "[dor]", "dor: unknown key, expected one of about, come,"),
        ("think = [1, 12]", "", "pace.think: expected a value, got none"),
        ("think = [1, 12]", "think = [12, 1]", "pace.think: expected the shorter time first, got 12 and 1"),
        ("refreshes = 0.08", "refreshes = 0.0805", "habits.refreshes: expected whole thousandths, got 0.0805"),
        ("refreshes = 0.08", "refreshes = 1.5", "habits.refreshes: expected `float` <= 1.0"),
        ("refreshes = 0.08", "refreshes = 0.9", "habits: expected no more than 1 together with ineligible"),
        ("changes = 0.03", "changes = 0.99", "afterthoughts: expected no more than 1 together"),
        ("changes = 0.03", "chnages = 0.03", "afterthoughts.chnages: unknown key, expected one of changes, cancels,"),
        ('come = ["440106"', 'come = ["440199"', "come[0]: expected one of the districts, got `440199`"),
        ('"440111"]', '"440106"]', "come: expected each district once"),
        ("population = 846_584", "share = 0.1", "districts[8]: expected population, as the first district has"),
        ("population = 846_584", "", "districts[8]: expected either population or share"),
        ('code = "440115"', 'code = "440106"', "districts[8].code: expected a code of its own, got `440106` again"),
        ('curve = "decay"', 'curve = "flood"', "arrivals[1].curve: invalid enum value 'flood'"),
        ('curve = "decay"', 'curve = "wave"', "arrivals[1].at_minutes: expected minutes for wave"),
        ('curve = "decay"', 'curve = "television"', "arrivals[1].at: expected a time for television"),
        ('curve = "decay"', 'curve = "even"\nat = 12:00:00', "arrivals[1].at: expected none for even"),
        ('curve = "decay"', 'curve = "even"\nat_minutes = [3]', "arrivals[1].at_minutes: expected none for even"),
        ('curve = "decay"', 'curve = "even"\nconstant_seconds = 3', "arrivals[1].constant_seconds: expected none for"),
        (
            'curve = "decay"', 'curve = "wave"\nat_minutes = [3]',
            "arrivals[1].constant_seconds: expected seconds for wave, got none",
        ),
        ('curve = "decay"', 'curve = "decay"\nshare = 0.5', "arrivals: expected shares that add up to 1, got 0.833"),
        ("share = 0.333", "", "arrivals: expected one part without a share at most"),
        ("share = 0.333", 'share = "a third"', "arrivals[0].share: expected `float | null`, got `str`"),
        ("[door]", "[door", "not TOML: "),
    ],
)  # fmt: skip
def test_a_crowd_file_that_cannot_be_used_is_said_in_one_line(
    tmp_path: Path, before: str, after: str, complaint: str
) -> None:
    assert before in GUANGZHOU
    path = tmp_path / "mine.toml"
    path.write_text(GUANGZHOU.replace(before, after, 1))
    with pytest.raises(CrowdError) as caught:
        load_profile(str(path))
    assert str(caught.value).startswith(f"mine.toml: {complaint}")
    assert "\n" not in str(caught.value)


NETWORK = '[[networks]]\nname = "x"\nshare = 1.0\nlatency_ms = 20\nlatency_p95_ms = 50\n'
BOT = '[[bots]]\nkind = "forger"\nper_resident = 0.1\nevery_seconds = 1\n'


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        (NETWORK.replace("1.0", "0.5"), "networks: expected shares that add up to 1, got 0.5"),
        (NETWORK.replace("= 50", "= 10"), "networks[0].latency_p95_ms: expected no less than latency_ms"),
        (NETWORK.replace("= 20", "= 0"), "networks[0].latency_ms: expected more than 0 for a spread"),
        (NETWORK + "loss = 0.6\n", "networks[0].loss: expected `float` <= 0.5"),
        (NETWORK + "upload_bytes_per_second = 0\n", "networks[0].upload_bytes_per_second: expected `float` >= 100"),
        (NETWORK + "lost = 0.1\n", "networks[0].lost: unknown key, expected one of name, share, latency_ms,"),
        (BOT.replace("forger", "burglar"), "bots[0].kind: invalid enum value 'burglar'"),
        (BOT.replace("= 1\n", "= 0\n"), "bots[0].every_seconds: expected `float` > 0"),
        ("[families]\nshare = 0.1\nsize = 1\n", "families.size: expected `int` >= 2"),
    ],
)
def test_networks_families_and_bots_are_checked(tmp_path: Path, table: str, complaint: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"{GUANGZHOU}\n{table}")
    with pytest.raises(CrowdError) as caught:
        load_profile(str(path))
    assert str(caught.value).startswith(f"mine.toml: {complaint}")


def test_a_crowd_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(CrowdError, match=r"nowhere.toml: cannot be read: .* bots, day, guangzhou, handover, phones, "):
        load_profile("nowhere")
    (tmp_path / "latin.toml").write_bytes(b'about = "\xff"')
    with pytest.raises(CrowdError, match="expected UTF-8 text, got byte 0xff"):
        load_profile(str(tmp_path / "latin.toml"))


_DIGEST = """
import hashlib, sys
from datetime import date
from loadtests.crowd.crowd import Crowd
from loadtests.crowd.network import Networks
from loadtests.crowd.crowd_file import load_profile
profile = load_profile(sys.argv[1])
crowd = Crowd(3000, profile.come, date(2021, 6, 19), int(sys.argv[2]), profile)
networks = Networks(crowd)
delays = [networks.delay_us(i, 2, 5_000_000) for i in range(3000)]
told = [(crowd.resident(i), crowd.afterthought(i), crowd.home(i)) for i in range(3000)], delays
print(hashlib.sha256(repr(told).encode()).hexdigest())
"""


def test_the_same_seed_is_the_same_crowd_in_any_process() -> None:
    def digest(seed: int, hash_seed: str) -> str:
        command = [sys.executable, "-c", _DIGEST, "phones", str(seed)]
        environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(SHIPPED.parent.parent)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    one = digest(7, "1")
    assert one == digest(7, "2")
    assert one != digest(8, "1")


def test_the_default_crowd_is_the_one_of_the_first_rehearsals() -> None:
    """The numbers moved from the code into the file, and nobody changed: a digest taken before they did."""
    crowd = Crowd(5000, ("440106", "440111"), DAY, seed=7)
    told = [(crowd.resident(i), int(crowd.afterthought(i)), crowd.home(i)) for i in range(5000)]
    digest = hashlib.sha256(repr(told).encode()).hexdigest()
    assert digest == "ee3fc00ca0de30900b9be27e7e6f44de40680a548cd4a1117dd1cc415778c57f"


def within(count: int, total: int, share: float) -> bool:
    """Five standard deviations of a binomial: one true crowd in some two million lies outside."""
    deviation = math.sqrt(total * share * (1 - share))
    return abs(count - total * share) <= 5 * deviation + 1


@pytest.mark.parametrize("name", NAMES)
def test_a_large_sample_has_the_shares_of_its_file(name: str) -> None:
    crowd = crowd_of(name)
    profile, total = crowd.profile, crowd.residents
    behaviours = Counter(crowd.behaviour(i) for i in range(total))
    for table in (profile.habits, profile.ineligible):
        for key in table.__struct_fields__:
            assert within(behaviours[Behaviour[key.upper()]], total, getattr(table, key)), key
    assert within(sum(1 for i in range(total) if crowd.head(i) != i), total, profile.families.share * 2 / 3)
    networks = Networks(crowd)
    on = Counter(line.name for line in map(networks.network, range(total)) if line is not None)
    for line in profile.networks:
        # a family shares its line: three at once, so the deviation is up to sqrt(3) of one by one
        assert abs(on[line.name] - total * line.share) < 9 * (total * line.share * (1 - line.share)) ** 0.5
    # by hand: 2,241,826 live in Tianhe, of 5,984,817 in window one, 11,928,582 in two, 17,412,158 in all three
    in_tianhe = {"day": 0.12875, "handover": 0.18794, "ramp": 1.0}.get(name, 0.37459)
    homes = sum(1 for i in range(total) if crowd.home(i) == 0)
    assert abs(homes / total - in_tianhe) < 0.015


def test_districts_go_by_share_where_the_file_says_so() -> None:
    districts = load_profile().districts
    shares = tuple(
        msgspec.structs.replace(district, population=None, share=share)
        for district, share in zip(districts[:3], (0.6, 0.2, 0.2), strict=True)
    )
    crowd = Crowd(20_000, ("440106", "440111"), DAY, 7, with_changes("guangzhou", districts=shares))
    assert within(sum(1 for i in range(20_000) if crowd.home(i) == 0), 20_000, 0.75)


def test_a_family_has_one_phone_one_home_and_papers_of_its_own() -> None:
    crowd = crowd_of("phones", 3000)
    families = Counter(crowd.head(i) for i in range(3000))
    assert set(families.values()) == {1, 3}
    for i in range(3000):
        one, head = crowd.resident(i), crowd.resident(crowd.head(i))
        assert (one.phone == head.phone, one.district == head.district)[0]
        assert one.district == head.district
        assert crowd.shares_a_phone(i) is (families[crowd.head(i)] > 1)
    assert len({crowd.resident(i).id_number for i in range(3000)}) == 3000
    assert len({crowd.resident(i).phone for i in range(3000)}) == len(families)


def test_a_crowd_without_a_district_for_the_wrong_ones_is_refused() -> None:
    everywhere = tuple(district.code for district in load_profile().districts)
    with pytest.raises(ValueError, match="for those of the wrong district"):
        Crowd(100, everywhere, DAY)


# arrivals


def test_reminders_come_in_waves_and_television_at_noon() -> None:
    parts = (
        ArrivalPart("wave", 0.4, 60.0, (5, 20)),
        ArrivalPart("television", 0.3, 120.0, at=time(12)),
        ArrivalPart("even"),
    )
    # opens at 11:30: noon is at 1800 s of 3600
    curve = curve_of(parts, Door(), 3600, 120, time(11, 30))
    came = [curve.arrival(mix(k)).at_seconds for k in range(30_000)]

    def share(low: float, high: float) -> float:
        return sum(1 for at in came if low <= at < high) / len(came)

    # a fifth in each wave, 1 - 1/e of it within its time constant; of the even 0.3, 60 s are 0.005
    assert share(300, 360) == pytest.approx(0.2 * 0.632 + 0.005, abs=0.012)
    assert share(1200, 1260) == pytest.approx(0.2 * 0.632 + 0.005, abs=0.012)
    assert share(1800, 1920) == pytest.approx(0.3 * 0.632 + 0.010, abs=0.015)
    assert share(0, 300) == pytest.approx(0.025, abs=0.006)
    assert max(came) <= 3600
    assert "20.0% after a reminder at 5 min" in curve.describe()
    assert "30.0% after the television at 30 min" in curve.describe()


def test_a_wave_outside_the_run_is_left_out_and_said() -> None:
    parts = (
        ArrivalPart("wave", 0.4, 60.0, (5, 20)),
        ArrivalPart("television", 0.2, 60.0, at=time(12)),
        ArrivalPart("even"),
    )
    curve = curve_of(parts, Door(), 600, 120, time(8))
    # the wave at 5 min (0.2) and the even ones (0.4) are what is left
    assert [(part.name, round(part.share, 6)) for part in curve.parts] == [("wave", 0.333333), ("even", 0.666667)]
    assert "of 40.0% of the crowd, are left out" in curve.describe()
    with pytest.raises(CurveError, match="outside the run"):
        curve_of((ArrivalPart("wave", 1.0, 60.0, (20,)),), Door(), 600, 120)


# networks


def _journey(profile: CrowdProfile, residents: int = 2000) -> Journey:
    from datetime import datetime

    crowd = Crowd(residents, ("440106",), DAY, 5, profile)
    opens_at = datetime.fromisoformat("2021-06-19T08:00:00+08:00")
    opening = RunOpening("440106", "2021-06-19", opens_at, 0, 120.0, "", ("440106001",))
    curve = curve_of(profile.arrivals, profile.door, 600, 120)
    return Journey(crowd, (opening,), (curve,), Pace.of(600, profile), Requests("test:80"), Agenda(), Meters())


def _due(journey: Journey, i: int, act: Act) -> int:
    """When it is due what resident `i` does at 10 s."""
    journey.agenda.clear()
    journey.file(10_000_000, i, act)
    event = journey.agenda.take(10**9)
    assert event is not None
    assert event[1:] == (i, act)
    return event[0] - 10_000_000


def test_a_network_without_spread_or_loss_delays_by_its_round_trip_and_upload() -> None:
    # by hand: 100 ms, and 800 bytes at 8,000 a second are 100 ms more
    line = Network("dsl", 1.0, 100, 100, upload_bytes_per_second=8000)
    journey = _journey(with_changes("guangzhou", networks=(line,)))
    assert {_due(journey, i, Act.POLL) for i in range(50)} == {200_000}


def test_a_new_connection_costs_two_round_trips_more() -> None:
    line = Network("bus", 1.0, 100, 100, reconnects=1.0)
    journey = _journey(with_changes("guangzhou", networks=(line,)))
    assert {_due(journey, i, Act.POLL) for i in range(50)} == {300_000}


def test_lost_requests_are_sent_again_after_the_retry_time_and_then_twice_that() -> None:
    line = Network("cell", 1.0, 0, 0, loss=0.25, retry_seconds=2)
    journey = _journey(with_changes("guangzhou", networks=(line,)), 20_000)
    dues = Counter(_due(journey, i, Act.JOIN) for i in range(20_000))
    # none lost 3/4, once 3/16 (2 s), twice 3/64 (2 + 4 s), five times and more 1/1024 (62 s)
    assert within(dues[0], 20_000, 3 / 4)
    assert within(dues[2_000_000], 20_000, 3 / 16)
    assert within(dues[6_000_000], 20_000, 3 / 64)
    assert max(dues) == 62_000_000


def test_round_trips_have_the_median_and_the_spread_of_the_file() -> None:
    line = Network("4G", 1.0, 50, 200)
    journey = _journey(with_changes("guangzhou", networks=(line,)), 20_000)
    dues = sorted(_due(journey, i, Act.POLL) / 1000 for i in range(20_000))
    assert dues[10_000] == pytest.approx(50, rel=0.05)
    assert dues[19_000] == pytest.approx(200, rel=0.1)


def test_without_networks_nothing_is_late() -> None:
    journey = _journey(load_profile())
    assert {_due(journey, i, act) for i in range(20) for act in Act} == {0}


def test_arrivals_are_due_when_they_reach_the_server() -> None:
    line = Network("dsl", 1.0, 70, 70)
    late, prompt = _journey(with_changes("guangzhou", networks=(line,))), _journey(load_profile())
    for journey in (late, prompt):
        journey.everyone_arrives(-20_000_000)
    for _ in range(1000):
        one, other = late.agenda.take(10**10), prompt.agenda.take(10**10)
        assert one is not None
        assert other is not None
        assert one == (other[0] + 70_000, *other[1:])


def test_a_family_comes_one_after_the_other() -> None:
    families = Families(share=1.0, size=3, seconds_apart=40)
    journey = _journey(with_changes("guangzhou", families=families), 300)
    for first in range(0, 300, 3):
        came = [journey.arrival(first + k).at_seconds for k in range(3)]
        expected = [came[0], min(came[0] + 40, max(599, came[0])), min(came[0] + 80, max(599, came[0]))]
        assert came == pytest.approx(expected)


# impatience


def test_who_refreshes_does_so_as_often_as_the_file_says() -> None:
    journey = _journey(load_profile("stampede"))
    assert journey.crowd.profile.impatience.refreshes == 5
    i = next(i for i in range(2000) if journey.crowd.behaviour(i) is Behaviour.REFRESHES)
    from loadtests.client.wire import Answer

    body = b'{"ticket":"t7","entry":7,"serving":0,"state":"drawing","poll_after_seconds":60}'
    refreshes, act = 0, Act.JOIN
    while True:
        journey.agenda.clear()
        journey.answered(i, act, Answer(200, b"", body), 0)
        acts = [Act(event[2]) for event in iter(lambda: journey.agenda.take(10**10), None)]
        if Act.REFRESH not in acts:
            break
        refreshes, act = refreshes + 1, Act.REFRESH
    assert refreshes == 5


def test_short_runs_are_lived_faster_and_none_is_hurried_beyond_its_file() -> None:
    profile = load_profile()
    whole, short = Pace.of(600, profile), Pace.of(60, profile)
    assert (whole.think, whole.fill_form, whole.forget) == ((1, 12), (15, 90), (30, 360))
    assert (whole.give_up, whole.refresh, whole.reconsider) == ((5, 400), (5, 400), (1, 180))
    # by hand: a tenth, but no less than the shortest of a person
    assert (short.think, short.fill_form, short.forget) == ((1, 2), (1.5, 9), (3, 36))
    assert (short.give_up, short.refresh, short.reconsider) == ((0.5, 40), (0.5, 40), (1, 18))
