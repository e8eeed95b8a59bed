"""What the scripts answer with, each a closed set: a status that is not in it is no success.

The words are those of the `RETURNS` line of the script's header, which `tests/store/test_script_headers.py` sees to.
`Caller.read` and `Caller.read_each` are the one way from a script's answer to one of these.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, Literal, TypeVar, get_args

from server.core.errors import UnknownStatus

S = TypeVar("S")
T = TypeVar("T")

_WORD = re.compile(rb"[a-z_-]{1,40}")


class Statuses(Generic[S]):
    """The closed set of answers of a script.

    Args:
        script: its name.
        known: each answer as the store gives it, and what it is.
        name: of the answer in the script's header, where the script gives more than one.
    """

    def __init__(self, script: str, known: Mapping[bytes | int, S], name: str = "status") -> None:
        self.script = script
        self.known = known
        self.name = name


def known(answers: Sequence[T | UnknownStatus]) -> list[T]:
    """The answers of a batch, all of which were understood.

    Raises:
        UnknownStatus: one was not.
    """
    understood = []
    for answer in answers:
        if isinstance(answer, UnknownStatus):
            raise answer
        understood.append(answer)
    return understood


def shown(answer: object) -> str:
    """An answer as a log may have it: a word or a small number, never data."""
    if isinstance(answer, bytes) and _WORD.fullmatch(answer):
        return answer.decode()
    if isinstance(answer, int) and abs(answer) < 1000:
        return str(answer)
    return f"a value of type {type(answer).__name__}"


def _words(script: str, words: Any, name: str = "status") -> Statuses[Any]:
    return Statuses(script, {word.encode(): word for word in get_args(words)}, name)


def _flag(script: str) -> Statuses[bool]:
    return Statuses(script, {1: True, 0: False})


# An opening

PrepareStatus = Literal["prepared", "kept"]
JoinStatus = Literal["ok", "early", "paused", "ended", "absent"]
RejoinStatus = Literal["rejoined", "kept", "early", "paused", "ended", "spent", "full", "absent"]
NoPlace = Literal["early", "paused", "ended", "spent", "full", "absent"]
"""Why `join` or `rejoin` gives no place."""
CloseDrawStatus = Literal["early", "unsettled", "settled", "absent"]
OpeningStatus = Literal["ok", "absent"]
Standing = Literal["waiting", "ready", "claimed", "lapsed", "used", "missed", "left"]
ClaimOutcome = Literal["fresh", "claimed", "waiting", "ready", "lapsed", "used", "missed", "left", "ended"]
LeaveStatus = Literal["left", "gone", "used", "unsettled", "unnumbered", "absent"]
AdjustStatus = Literal["adjusted", "absent"]

PREPARE: Final[Statuses[PrepareStatus]] = _words("prepare", PrepareStatus)
JOIN: Final[Statuses[JoinStatus]] = _words("join", JoinStatus)
JOIN_WITHOUT_PLACE: Final[Statuses[Literal["none", "spent", "full"]]] = Statuses(
    "join", {-1: "none", -2: "spent", -3: "full"}, "answer"
)
REJOIN: Final[Statuses[RejoinStatus]] = _words("rejoin", RejoinStatus)
CLOSE_DRAW: Final[Statuses[CloseDrawStatus]] = _words("close_draw", CloseDrawStatus)
STANDING: Final[Statuses[OpeningStatus]] = _words("standing", OpeningStatus)
STANDING_OF_PLACE: Final[Statuses[Standing]] = _words("standing", Standing, "standing")
CLAIM: Final[Statuses[OpeningStatus]] = _words("claim", OpeningStatus)
CLAIM_OUTCOME: Final[Statuses[ClaimOutcome]] = _words("claim", ClaimOutcome, "outcome")
LEAVE: Final[Statuses[LeaveStatus]] = _words("leave", LeaveStatus)
ADJUST: Final[Statuses[AdjustStatus]] = _words("adjust", AdjustStatus)

# A resident

RegisterStatus = Literal["registered", "again", "open", "barred", "done", "used", "expired"]
NotRegistered = Literal["open", "barred", "done", "used", "expired"]
"""Why `register` keeps no registration."""
AmendStatus = Literal["amended", "same", "other", "absent"]
CorrectStatus = Literal["corrected", "same", "other", "absent"]
CancelStatus = Literal["cancelled", "again", "moved", "late", "closed", "absent"]
BookStatus = Literal["booked", "again", "other", "absent"]
PassOverStatus = Literal["passed", "told", "again", "other", "absent"]
RemindStatus = Literal["reminded", "again", "other"]
AttendStatus = Literal["attended", "again", "other", "absent"]
MissStatus = Literal["missed", "barred", "again", "other", "absent"]
ReopenStatus = Literal["reopened", "unbarred", "other", "absent"]
ReconcileStatus = Literal["reconciled", "again", "other", "moved", "absent"]

REGISTER: Final[Statuses[RegisterStatus]] = _words("register", RegisterStatus)
AMEND: Final[Statuses[AmendStatus]] = _words("amend", AmendStatus)
CORRECT: Final[Statuses[CorrectStatus]] = _words("correct", CorrectStatus)
CANCEL: Final[Statuses[CancelStatus]] = _words("cancel", CancelStatus)
BOOK: Final[Statuses[BookStatus]] = _words("book", BookStatus)
PASS_OVER: Final[Statuses[PassOverStatus]] = _words("pass_over", PassOverStatus)
REMIND: Final[Statuses[RemindStatus]] = _words("remind", RemindStatus)
ATTEND: Final[Statuses[AttendStatus]] = _words("attend", AttendStatus)
MISS: Final[Statuses[MissStatus]] = _words("miss", MissStatus)
REOPEN: Final[Statuses[ReopenStatus]] = _words("reopen", ReopenStatus)
RECONCILE: Final[Statuses[ReconcileStatus]] = _words("reconcile_attendance", ReconcileStatus)
LIFT: Final = _flag("lift")
CALLED: Final = _flag("called")
UNENROL: Final = _flag("unenrol")
REPLACE_RECORD: Final = _flag("replace_record")
FORGET: Final = _flag("forget")
DROP_RECORD: Final = _flag("drop_record")
TRY_CODE: Final = _flag("try_code")

# A day's slots

TakeStatus = Literal["taken", "again", "other", "closed", "full"]
CloseSiteStatus = Literal["closed", "again"]

TAKE: Final[Statuses[TakeStatus]] = _words("take", TakeStatus)
CLOSE_SITE: Final[Statuses[CloseSiteStatus]] = _words("close_site", CloseSiteStatus)
VACATE: Final = _flag("vacate")
SETTLE: Final = _flag("settle")

# The outbox

NextStatus = Literal["send", "behind", "early", "none"]
AdmitVerdict = Literal["go", "later", "never"]
ReceiptStatus = Literal["noted", "other"]

NEXT_MESSAGE: Final[Statuses[NextStatus]] = _words("next_message", NextStatus)
ADMIT: Final[Statuses[AdmitVerdict]] = _words("admit", AdmitVerdict, "verdict")
RECEIPT: Final[Statuses[ReceiptStatus]] = _words("receipt", ReceiptStatus)
SETTLE_MESSAGE: Final = _flag("settle_message")
SHELVE_MESSAGE: Final = _flag("shelve_message")
UNSHELVE_MESSAGE: Final = _flag("unshelve_message")
DEFER: Final[Statuses[bool]] = Statuses("defer", {1: True})

# The night

LeaseStatus = Literal["held", "other", "free"]
EnterNightStatus = Literal["entered", "stale"]
FreezeStatus = Literal["kept", "frozen", "stale"]

LEASE: Final[Statuses[LeaseStatus]] = _words("lease", LeaseStatus)
ENTER_NIGHT: Final[Statuses[EnterNightStatus]] = _words("enter_night", EnterNightStatus)
FREEZE: Final[Statuses[FreezeStatus]] = _words("freeze", FreezeStatus)
NOTE_NIGHT: Final = _flag("note_night")

ALL: Final[tuple[Statuses[Any], ...]] = tuple(it for it in list(vars().values()) if isinstance(it, Statuses))
"""Those of all scripts."""

SCRIPTS: Final = sorted({it.script for it in ALL} | {"check_papers"})
"""The scripts that answer with one of a closed set; `check_papers` with numbers, of which it has given a meaning to all
but one."""
