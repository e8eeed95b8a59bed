"""A broken server is caught: each promise is broken by itself, and the rehearsal finds exactly that.

Each rehearsal is of a quarter of a minute, and mostly waits: several run beside each other in one test.
"""

from collections.abc import Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.broken.faults import FAULTS
from tests.broken.rehearsing import prepare, rehearse

pytestmark = pytest.mark.long

AT_ONCE = 5
Text = Mapping[str, str]
Changes = Mapping[str, Text]


@dataclass(frozen=True)
class Case:
    """A fault, and all that must be red: checks of the audit, lines of the SLO file. The rest must be green.

    `history`: why what residents were told cannot be explained either, where that is so: "linearizable" and "told in
    turn" may be red too, by chance; with "" they must be as `red` says.
    `changes`: of `tests/broken/*.toml`; `also`: these, in words, where a fault is there twice; `night`: with
    its night (whose own faults are in `loadtests/test_night_checks.py`).
    """

    fault: str
    red: Set[str] = frozenset()
    changes: Changes = field(default_factory=dict)
    also: str = ""
    night: bool = False
    history: str = ""

    @property
    def name(self) -> str:
        """Of the fault, and what is different."""
        return " ".join(filter(None, (self.fault, self.also)))

    def is_found(self, found: Mapping[str, str]) -> bool:
        """Whether exactly what is broken was red."""
        told = found.keys() - _HISTORY if self.history else found.keys()
        return told == self.red


_HISTORY = {"linearizable", "told in turn"}
_NO_P99 = {"[p99_ms]\njoin = 3000\nopening = 3000\npoll = 3000\nclaim = 3000\nregister = 3000\n": ""}
_NO_ETA = {"[eta]\nmedian_error_seconds = 2.5\n": ""}
_NO_INTERVAL = {"[interval]\nkept_share = 0.08\nfewest = 50\n": ""}
_NO_FAIRNESS = {"[fairness]\nkendall = 0.17\n": ""}
# For faults that are not slowness: several servers run beside each other then, and what is slow is the machine.
_AUDITED = {"slo.toml": _NO_P99 | _NO_ETA | _NO_INTERVAL | _NO_FAIRNESS}


def _audited(*, crowd: Text | None = None, city: Text | None = None) -> Changes:
    return {**_AUDITED, "crowd.toml": crowd or {}, "city.toml": city or {}}


_NOBODY_REPEATS = {"impatient = 0.25": "impatient = 0.31", "repeats = 0.06": "repeats = 0"}
_FEW_INSIDE = _audited(city={"max_active = 1000": "max_active = 50"})
# Only pollers: they hold residents' tickets, as does who replays. A draw that is long enough to count their polls in.
_REPLAYERS = 'kind = "replayer"\nper_resident = 0.02\nevery_seconds = 0.3'
_POLLERS = 'kind = "fast-poller"\nper_resident = 0.1\nevery_seconds = 0.03'
_LONGER_DRAW = {"draw_seconds = 2": "draw_seconds = 6"}
_FAST_POLLERS = _audited(crowd={_REPLAYERS: _POLLERS}, city=_LONGER_DRAW)
_OLD_CLIENTS = _audited(
    crowd={_REPLAYERS: _POLLERS, 'come = ["440106"]': 'come = ["440106"]\nplain_share = 1'}, city=_LONGER_DRAW
)

# What residents feel, and a healthy server of which nothing is red.
WHAT_IS_FELT = (
    Case("none", night=True),
    Case("slow disk", {"p99 register"}),
    # the whole worker stands still: every call does, and who is called late was promised otherwise
    Case(
        "slow second",
        {"p99 join", "p99 opening", "p99 poll", "p99 claim", "p99 register"},
        {"slo.toml": _NO_ETA | _NO_INTERVAL | _NO_FAIRNESS},
    ),
    Case("wrong ETA", {"ETA error, median"}),
    Case("wrong interval", {"interval, kept"}),
    Case("unfair order", {"fairness"}, history="the public answer says called, the ticket waiting"),
)
PLACES = (
    Case("another commitment", {"draw committed"}, _AUDITED),
    Case("double place", {"one place each"}, _AUDITED, history="a second first answer, for a place that is good"),
    Case("gap in the numbers", {"places dense"}, _AUDITED, history="an entry that nobody was told"),
    Case("back door", {"places as told"}, _AUDITED, history="an entry that nobody was told"),
    Case("wrong number", {"draw order"}, _AUDITED, history="a ticket's number is not what its holder worked out"),
    Case("wrong proof", {"listed in the draw"}, _AUDITED),
    Case(
        "wrong eligibility",
        {"eligibility"},
        _audited(city={"min_days_since_first_dose = 36": "min_days_since_first_dose = 25"}),
    ),
)
CALLS = (
    Case("called out of turn", {"called in turn"}, _AUDITED, history="a pass, and later the place waits still"),
    # who is told that they missed their call would join again, and find their place still good
    Case(
        "call not kept",
        {"calls kept"},
        _audited(crowd={"rejoins = 0.7": "rejoins = 0"}),
        history="a call that is over before the time that was told",
    ),
    Case("rate exceeded", {"rate kept"}, _AUDITED),
    Case("none", changes=_FEW_INSIDE, also="few inside"),
    Case("cap exceeded", {"passes capped"}, _FEW_INSIDE),
    Case("counted twice", {"counts add up"}, _AUDITED),
)
REGISTRATIONS = (
    # who has cancelled and registered again has lost what stood for both
    Case(
        "lost registration",
        {"registrations kept"},
        _audited(crowd={"returns = 0.05": "returns = 0"}),
        history="its receipt finds nothing",
    ),
    Case("registered twice", {"registrations single"}, _AUDITED),
    # what tells a repetition from a second registration is what is missing
    Case(
        "may register again",
        {"one open registration"},
        _audited(crowd=_NOBODY_REPEATS),
        history="the pass sent again by a replayer is used up, as the registration that it made is not known as open",
    ),
    Case("lapsed counts as used", {"registrations add up"}, _AUDITED, history="used, and nobody has registered"),
    # who cancelled in vain cannot register again
    Case(
        "lost cancellation",
        {"cancellations kept"},
        _audited(crowd={"returns = 0.05": "returns = 0"}),
        history="the pass sent again by a replayer finds it open",
    ),
    Case("lost change", {"wishes kept"}, _AUDITED, history="the pass sent again by a replayer finds the old wishes"),
)
ANSWERS = (
    Case("another answer", {"same answer again"}, _AUDITED, history="the same pass with another time"),
    Case("wrong receipt", {"receipts"}, _AUDITED, history="wishes that nobody sent"),
    Case("codes differ", {"codes alike"}, _AUDITED),
    # two views of one thing: the audit forgives none, the SLO says how many residents felt it
    Case("errors", {"no errors", "errors"}, _AUDITED),
    Case("codes without limit", {"codes limited"}, _AUDITED),
)
BOTS = (
    Case("forged ticket", {"forgeries refused"}, _AUDITED),
    Case(
        "replay",
        {"replays harmless"},
        _audited(crowd=_NOBODY_REPEATS),
        history="the pass sent again finds another registration",
    ),
    Case("replays pushed back", {"bots served"}, _audited(crowd=_NOBODY_REPEATS)),
    Case("none", changes=_FAST_POLLERS, also="fast pollers"),
    # the ticket is a resident's, who is refused as well: where they ask for it, as old clients do
    Case("polls refused", {"fast polls answered", "no errors", "errors"}, _OLD_CLIENTS),
    Case("polls cost a call", {"fast polls free"}, _FAST_POLLERS),
)
# No other check sees any of these: each answer is right by itself, and none of them fits after another.
_REPLAYED = {_REPLAYERS: 'kind = "replayer"\nper_resident = 0.15\nevery_seconds = 0.3'}
_NO_TICKETS_ASKED = {_REPLAYERS: 'kind = "forger"\nper_resident = 0.005\nevery_seconds = 5'}
HISTORIES = (
    Case("stale read after write", {"linearizable"}, _audited(crowd=_REPLAYED)),
    Case(
        "lost update",
        {"linearizable"},
        _audited(
            crowd=_REPLAYED
            | {
                'come = ["440106"]': 'come = ["440106"]\nplain_share = 1',
                "gives_up = 0.05": "gives_up = 0.2",
                "impatient = 0.25": "impatient = 0.1",  # together as many: who is ineligible stays the same
                "regrets = 0.25": "regrets = 0",
            }
        ),
    ),
    Case("resurrected registration", {"linearizable"}, _audited(crowd=_REPLAYED | {"cancels = 0.1": "cancels = 0.4"})),
    Case("double first answer", {"linearizable"}, _AUDITED),
    Case("time going backwards", {"told in turn"}, _audited(crowd=_NO_TICKETS_ASKED)),
)
CASES = (*WHAT_IS_FELT, *PLACES, *CALLS, *REGISTRATIONS, *ANSWERS, *BOTS, *HISTORIES)
BATCHES = [CASES[i : i + AT_ONCE] for i in range(0, len(CASES), AT_ONCE)]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data dir with the crowd's papers."""
    return prepare(tmp_path_factory.mktemp("broken"))


def test_every_fault_is_tried() -> None:
    assert {case.fault for case in CASES} == FAULTS.keys()


@pytest.mark.parametrize("cases", BATCHES, ids=lambda cases: ", ".join(case.name for case in cases))
def test_exactly_what_is_broken_is_red(cases: Sequence[Case], prepared: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        found = list(threads.map(partial(_red, prepared, tmp_path), cases))
    wrong = {case.name: details for case, details in zip(cases, found, strict=True) if not case.is_found(details)}
    # A machine that is busy with something else can make an opening of seconds another one: those once more, alone.
    again = {case.name: _red(prepared, tmp_path, case) for case in cases if case.name in wrong}
    still = [case.name for case in cases if case.name in again and not case.is_found(again[case.name])]
    assert not still, f"{wrong}, and again {again}"


def _red(prepared: Path, tmp_path: Path, case: Case) -> dict[str, str]:
    """What one rehearsal found: name of what is red -> why."""
    try:
        return rehearse(prepared, Path(mkdtemp(dir=tmp_path)), case.fault, case.changes, night=case.night)
    except AssertionError as error:
        return {"could not be held": str(error)}
