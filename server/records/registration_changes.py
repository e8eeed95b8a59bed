"""What happens to a registration: what its scripts take, and what they answer."""

from typing import Final, Literal, NamedTuple

from server.records.registration import Appointment
from server.records.statuses import Statuses, flag, words

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
UnattendStatus = Literal["unattended", "barred", "again", "late", "other", "absent"]
MissStatus = Literal["missed", "barred", "again", "other", "absent"]
ReopenStatus = Literal["reopened", "unbarred", "other", "absent"]
RenumberStatus = Literal["renumbered", "other"]
ReconcileStatus = Literal["reconciled", "again", "other", "moved", "absent"]

REGISTER: Final[Statuses[RegisterStatus]] = words("register", RegisterStatus)
AMEND: Final[Statuses[AmendStatus]] = words("amend", AmendStatus)
CORRECT: Final[Statuses[CorrectStatus]] = words("correct", CorrectStatus)
CANCEL: Final[Statuses[CancelStatus]] = words("cancel", CancelStatus)
BOOK: Final[Statuses[BookStatus]] = words("book", BookStatus)
PASS_OVER: Final[Statuses[PassOverStatus]] = words("pass_over", PassOverStatus)
REMIND: Final[Statuses[RemindStatus]] = words("remind", RemindStatus)
ATTEND: Final[Statuses[AttendStatus]] = words("attend", AttendStatus)
UNATTEND: Final[Statuses[UnattendStatus]] = words("unattend", UnattendStatus)
MISS: Final[Statuses[MissStatus]] = words("miss", MissStatus)
REOPEN: Final[Statuses[ReopenStatus]] = words("reopen", ReopenStatus)
RECONCILE: Final[Statuses[ReconcileStatus]] = words("reconcile_attendance", ReconcileStatus)
RENUMBER: Final[Statuses[RenumberStatus]] = words("renumber", RenumberStatus)
LIFT: Final = flag("lift")
CALLED: Final = flag("called")
UNENROL: Final = flag("unenrol")
REPLACE_RECORD: Final = flag("replace_record")
FORGET: Final = flag("forget")
DROP_RECORD: Final = flag("drop_record")
TRY_CODE: Final = flag("try_code")


class RegisterAnswer(NamedTuple):
    """What came of a registration; `no`: its number, or that of the open one beside which it cannot be."""

    status: RegisterStatus
    registered_ms: int
    no: str
    no_shows: int


class Change(NamedTuple):
    """Who makes what of a registration: its resident, its number, the actor for the audit log."""

    resident: bytes
    no: str
    actor: str


class Correction(NamedTuple):
    """What the registry says of a registration's holder: `first_dose` as YYYY-MM-DD, its product; `record`: their
    packed line, to be kept in the same moment, empty where it is there."""

    change: Change
    first_dose: str
    product: str
    record: bytes = b""


class Booking(NamedTuple):
    """An appointment for a registration; `night` and `leaf`: the night that gave it, YYYY-MM-DD, and where its result
    says so, both empty where it was no night. `frozen_ms`: when that night read the wishes, 0 = whenever."""

    change: Change
    slot: Appointment
    cancel_before_ms: int
    night: str = ""
    leaf: int | str = ""
    frozen_ms: int = 0


class PassedOver(NamedTuple):
    """A registration for which a night had no slot, and why; `reached`: see `allotment.Outcome`, "" = none.

    `withdrawn`: it had one, which was taken away again in the same night. `frozen_ms`: as in `Booking`.
    """

    resident: bytes
    no: str
    night: str
    leaf: int
    why_not: str
    reached: str
    withdrawn: bool = False
    frozen_ms: int = 0
