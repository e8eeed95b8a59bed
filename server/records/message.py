"""A message: where it waits, what it says, what the provider said of it."""

from typing import Final, Literal, NamedTuple, TypeVar

import msgspec

from server.core.errors import BrokenRecord
from server.records.statuses import Statuses, flag, words

T = TypeVar("T")

Stream = Literal["codes", "outbox"]

SendOutcome = Literal["accepted", "refused", "unsent", "dropped"]

NextStatus = Literal["send", "behind", "early", "none"]
AdmitVerdict = Literal["go", "later", "never"]
ReceiptStatus = Literal["noted", "other"]

NEXT_MESSAGE: Final[Statuses[NextStatus]] = words("next_message", NextStatus)
ADMIT: Final[Statuses[AdmitVerdict]] = words("admit", AdmitVerdict, "verdict")
RECEIPT: Final[Statuses[ReceiptStatus]] = words("receipt", ReceiptStatus)
SETTLE_MESSAGE: Final = flag("settle_message")
SHELVE_MESSAGE: Final = flag("shelve_message")
UNSHELVE_MESSAGE: Final = flag("unshelve_message")
DEFER: Final[Statuses[bool]] = Statuses("defer", {1: True})


class Caps(NamedTuple):
    """Most messages to a phone in a day: of one kind, of all that only confirm, of all."""

    of_kind: int
    confirming: int
    in_all: int


class OutboxEntry(NamedTuple):
    """An entry of a district's stream as it was put there."""

    district: str
    id: str
    fields: dict[str, bytes]
    stream: Stream = "codes"


class Pointer(NamedTuple):
    """An entry of the outbox: this resident is owed a message. `name` stays the same when it comes back later."""

    entry: OutboxEntry
    name: str
    tries: int
    resident: bytes

    @classmethod
    def of(cls, entry: OutboxEntry) -> "Pointer":
        """Read an entry."""
        name = entry.fields.get("pointer", b"").decode() or f"{entry.district}-{entry.id}"
        return cls(entry, name, int(entry.fields.get("tries", b"0")), entry.fields["resident"])

    def member(self, tries: int) -> bytes:
        """As it waits in `later`."""
        return f"{self.name}|{tries}|".encode() + self.resident


class About(msgspec.Struct, frozen=True):
    """What a message is about; what its kind has no use for is empty.

    Of one about a call: the tag of the `opening`, `entry` and `number` of the place, the resident's language, and from
    when and until when what it says holds. `latest_ms`: where the claim time counts from the message, from when on at
    the latest; 0: it counts from the call.
    """

    site: str = ""
    day: str = ""
    period: str = ""
    reached: str = ""
    first_dose: str = ""
    opening: str = ""
    entry: int = 0
    number: int = 0
    lang: str = ""
    from_ms: int = 0
    until_ms: int = 0
    latest_ms: int = 0


class Message(msgspec.Struct, frozen=True, array_like=True):
    """A message as its event owes it.

    `kind`: one of `server.core.message_kinds.KINDS`. `no`: the registration it is
    about, empty where it is about a call. `at_ms`: when its event was. `not_before_ms`: not to be sent earlier, 0 = at
    once.
    """

    kind: str
    no: str
    at_ms: float
    not_before_ms: float
    about: About


class Next(NamedTuple):
    """What a pointer led to: `send` (with the message and its number), `behind` another message of this resident,
    `early` (until `due_ms`), or `none`."""

    status: NextStatus
    seq: int
    message: Message | None
    due_ms: int


class DeadLetter(msgspec.Struct, array_like=True):
    """A message that was laid aside: whose, which, and why the gateway would not have it. No name, no phone."""

    resident: bytes
    seq: int
    kind: str
    no: str
    at_ms: int
    tries: int
    why: str


class Backlog(NamedTuple):
    """A district's messages by state; `oldest_ms`: when the oldest one that is to go now was put there, None = none."""

    codes: int
    waiting: int
    later: int
    dead: int
    oldest_ms: int | None


class Sent(NamedTuple):
    """A message, or a part of one, that the provider has taken.

    `part` of `parts`, from 1; `answer`: the id that it was given; `phone`: a hash of where it went; `sent_ms`: when.
    """

    resident: bytes
    district: str
    no: str
    kind: str
    at_ms: int
    part: int = 1
    parts: int = 1
    answer: str = ""
    phone: bytes = b""
    sent_ms: int = 0


class Noted(NamedTuple):
    """What stands on the registration now (`now`; empty where it does not have this message), and what stood there."""

    now: str
    was: str


_message = msgspec.json.Decoder(Message)
_letter = msgspec.msgpack.Decoder(DeadLetter)
_sent = msgspec.msgpack.Decoder(Sent)
_packer = msgspec.msgpack.Encoder()


def decode_message(text: bytes) -> Message:
    """A message as its event's script writes it (`owe` in `lua/prelude.lua`).

    Raises:
        BrokenRecord: it is none.
    """
    return _read("message", _message, text)


def pack_letter(letter: DeadLetter) -> bytes:
    """A dead letter as it is stored."""
    return _packer.encode(letter)


def unpack_letter(stored: bytes) -> DeadLetter:
    """A stored dead letter.

    Raises:
        BrokenRecord: it is none.
    """
    return _read("dead letter", _letter, stored)


def pack_sent(sent: Sent) -> bytes:
    """What is kept of a message that was sent."""
    return _packer.encode(sent)


def unpack_sent(stored: bytes) -> Sent:
    """The same, read again.

    Raises:
        BrokenRecord: it is none.
    """
    return _read("sent message", _sent, stored)


def _read(record: str, decoder: "msgspec.json.Decoder[T] | msgspec.msgpack.Decoder[T]", stored: bytes) -> T:
    try:
        return decoder.decode(stored)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise BrokenRecord(record, "all of it") from None
