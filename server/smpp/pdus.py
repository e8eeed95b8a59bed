"""What goes over the wire: PDUs to the SMSC made with `aiosmpplib`, and what the SMSC says read with care.

The library's own reading refuses a status, a date or an optional field it does not know; providers have all three.
"""

import struct
from enum import StrEnum

import msgspec
from aiosmpplib import NPI, TON, PhoneNumber, SmppCommandStatus, SubmitSm

from server.smpp.settings import SmppSettings

HEADER_OCTETS = 16
# A deliver_sm with a message_payload of 64 KiB is the longest there is.
MOST_OCTETS = 70_000

_RECEIPTED_MESSAGE_ID = 0x001E
_MESSAGE_PAYLOAD = 0x0424
_MESSAGE_STATE = 0x0427
_UCS2 = 8
_JOINED = 0x40  # esm_class: the text begins with a header
_OF_TYPE, _IS_RECEIPT = 0x3C, 0x04
_SPACES = b" \t\r\n\0"


class Delivery(StrEnum):
    """What became of a message (SMPP 3.4, 5.2.28)."""

    enroute = "enroute"
    delivered = "delivered"
    expired = "expired"
    deleted = "deleted"
    undeliverable = "undeliverable"
    accepted = "accepted"
    unknown = "unknown"
    rejected = "rejected"


_STATES = dict(enumerate(Delivery, start=1))
_WORDS = {
    "ENROUTE": Delivery.enroute,
    "DELIVRD": Delivery.delivered,
    "EXPIRED": Delivery.expired,
    "DELETED": Delivery.deleted,
    "UNDELIV": Delivery.undeliverable,
    "ACCEPTD": Delivery.accepted,
    "REJECTD": Delivery.rejected,
}


class Pdu(msgspec.Struct, frozen=True):
    """One that the SMSC has sent."""

    command: int
    status: int
    sequence: int
    body: bytes


class Receipt(msgspec.Struct, frozen=True):
    """What became of the message that had this id."""

    message_id: str
    state: Delivery


def read_length(first: bytes) -> int:
    """Octets of a PDU, from its first four.

    Raises:
        ValueError: no PDU is so short or so long.
    """
    length = int.from_bytes(first, "big")
    if not HEADER_OCTETS <= length <= MOST_OCTETS:
        raise ValueError(f"a PDU of {length} octets")
    return length


def read_pdu(rest: bytes) -> Pdu:
    """A PDU, without the four octets of its length."""
    command, status, sequence = struct.unpack_from("!III", rest)
    return Pdu(command, status, sequence, rest[HEADER_OCTETS - 4 :])


def read_message_id(body: bytes) -> str:
    """The SMSC's id of a message, from its submit_sm_resp; empty where there is none."""
    return body.partition(b"\0")[0].decode("ascii", "replace")


def read_receipt(body: bytes) -> Receipt | None:
    """The receipt in a deliver_sm; None where it is something else, such as a resident's reply.

    Raises:
        ValueError: it is no deliver_sm, or a receipt for nothing.
    """
    reader = _Reader(body)
    reader.text()  # service_type
    for _ in range(2):  # from and to
        reader.octets(2)
        reader.text()
    esm_class = reader.octets(3)[0]
    for _ in range(2):  # times
        reader.text()
    coding = reader.octets(4)[2]
    said = reader.octets(reader.octets(1)[0])
    if esm_class & _OF_TYPE != _IS_RECEIPT:
        return None
    fields = {}
    while not reader.at_end:
        tag, length = struct.unpack("!HH", reader.octets(4))
        fields[tag] = reader.octets(length)
    words = _words((said or fields.get(_MESSAGE_PAYLOAD, b"")).decode("utf-16-be" if coding == _UCS2 else "latin-1"))
    message_id = fields.get(_RECEIPTED_MESSAGE_ID, b"").strip(_SPACES).decode("ascii", "replace") or words.get("id", "")
    if not message_id:
        raise ValueError("a receipt without a message id")
    if _MESSAGE_STATE in fields:
        state = _STATES.get(int.from_bytes(fields[_MESSAGE_STATE], "big"), Delivery.unknown)
    else:
        state = _WORDS.get(words.get("stat", "").upper(), Delivery.unknown)
    return Receipt(message_id, state)


def _words(text: str) -> dict[str, str]:
    """`id:12 sub:001 submit date:2106190800 stat:DELIVRD text:...`: only words without a space in their name matter."""
    found: dict[str, str] = {}
    for word in text.split():
        name, colon, value = word.partition(":")
        name = name.lower()
        if name == "text":  # what follows is the message itself
            break
        if colon:
            found.setdefault(name, value)
    return found


class _Reader:
    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at >= len(self._body)

    def octets(self, count: int) -> bytes:
        taken = self._body[self._at : self._at + count]
        if len(taken) < count:
            raise ValueError("a PDU that ends too early")
        self._at += count
        return taken

    def text(self) -> bytes:
        end = self._body.find(b"\0", self._at)
        if end < 0:
            raise ValueError("a PDU that ends too early")
        taken, self._at = self._body[self._at : end], end + 1
        return taken


def submit_sm(settings: SmppSettings, phone: str, octets: bytes, joined: bool) -> SubmitSm:
    """A short message in UCS-2 that asks for a receipt; give it its sequence number.

    Args:
        settings: where it comes from, and how to write the phone.
        phone: as residents write it, without a country code.
        octets: of the text, with their header where `joined`.
        joined: it is a part of a longer text.

    Raises:
        ValueError: no phone that SMPP can carry.
    """
    if not (phone.isascii() and phone.isdecimal()):
        raise ValueError("a phone is digits")
    if settings.country_code:
        to = PhoneNumber(settings.country_code + phone, TON.INTERNATIONAL, NPI.ISDN)
    else:
        to = PhoneNumber(phone, TON.NATIONAL, NPI.ISDN)
    message = SubmitSm(
        short_message="-",  # it insists on a text; the octets below are what it sends
        source=PhoneNumber(settings.source),
        destination=to,
        esm_class=_JOINED if joined else 0,
        registered_delivery=1,
        encoding="ucs2",
        auto_message_payload=False,
    )
    message.set_encoded_message(octets)
    return message


def status_name(status: int) -> str:
    """`ESME_RTHROTTLED` and so on; a provider's own as a number."""
    try:
        return str(SmppCommandStatus(status).name)
    except ValueError:
        return f"0x{status:08X}"
