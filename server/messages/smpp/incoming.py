"""What an SMSC sends of its own accord, in deliver_sm or data_sm: receipts, and what people reply.

A receipt's text is the vendor's affair (SMPP 3.4, appendix B is an example), so it is read with care: keys in any order
and case, blanks around the colon, dates of ten or twelve digits, texts in UCS-2 however they are labelled.
"""

import re
import struct
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec
from aiosmpplib import SmppCommand

from server.messages.message_ids import Said

_RECEIPTED_MESSAGE_ID = 0x001E
_MESSAGE_PAYLOAD = 0x0424
_MESSAGE_STATE = 0x0427
_HEADED = 0x40  # esm_class: the text begins with a header
_OF_TYPE = 0x3C
_IS_RECEIPT, _IS_INTERMEDIATE = 0x04, 0x20
_SPACES = " \t\r\n\0"


class Delivery(StrEnum):
    """What became of a message (SMPP 3.4, 5.2.28; `scheduled` and `skipped` are of SMPP 5.0)."""

    scheduled = "scheduled"
    enroute = "enroute"
    delivered = "delivered"
    expired = "expired"
    deleted = "deleted"
    undeliverable = "undeliverable"
    accepted = "accepted"
    unknown = "unknown"
    rejected = "rejected"
    skipped = "skipped"


_SAID: Final[Mapping[Delivery, Said]] = {
    Delivery.delivered: "delivered",
    Delivery.expired: "undelivered",
    Delivery.deleted: "undelivered",
    Delivery.undeliverable: "undelivered",
    Delivery.rejected: "undelivered",
    Delivery.skipped: "undelivered",
    Delivery.unknown: "unknown",
}


def said_of(state: Delivery) -> Said | None:
    """What this says of the message in the end; None: it is on its way, and there is another receipt to come."""
    return _SAID.get(state)


_STATES: Final = dict(enumerate(Delivery))
# Beside appendix B's seven letters what providers write; all else is `unknown`.
_WORDS: Final[Mapping[Delivery, str]] = {
    Delivery.scheduled: "SCHEDLD SCHEDULED BUFFRED BUFFERED QUEUED PENDING",
    Delivery.enroute: "ENROUTE",
    Delivery.delivered: "DELIVRD DELIVERED",
    Delivery.expired: "EXPIRED",
    Delivery.deleted: "DELETED",
    Delivery.undeliverable: "UNDELIV UNDELIVERED UNDELIVERABLE FAILED FAIL SYSERR NOCRED",
    Delivery.accepted: "ACCEPTD ACCEPTED",
    Delivery.rejected: "REJECTD REJECTED",
    Delivery.skipped: "SKIPPED",
}
_STATE_OF: Final = {word: state for state, words in _WORDS.items() for word in words.split()}
# China's gateways name the place that failed and its number, where the word should be: MK:0012, CB:0001 (CMPP).
_FAILURE = re.compile(r"[A-Z]{2}:?[0-9]{1,4}")
_KEY = re.compile(
    r"(?:^|(?<=[\s,;|]))(id|sub|dlvrd|submit[ _]?date|done[ _]?date|stat(?:us)?|err|text)\s*:", re.IGNORECASE
)


_ASCII_RECEIPT = re.compile(rb"id\s*:.*stat\s*:", re.IGNORECASE | re.DOTALL)


class Receipt(msgspec.Struct, frozen=True):
    """What became of the message that had this id.

    `also_as`: what the text calls it, where that differs. `addresses`: from and to, as they were written; one of them
    is the phone. `submitted`: when it was handed over, as the provider writes it; empty = not said.
    """

    message_id: str
    state: Delivery
    also_as: str = ""
    addresses: tuple[str, ...] = ()
    submitted: str = ""


class Reply(msgspec.Struct, frozen=True):
    """What somebody has sent to the number that our messages come from."""

    address: str
    text: str


def read_incoming(command: int, body: bytes) -> Receipt | Reply:
    """What a deliver_sm or a data_sm brings.

    Raises:
        ValueError: it is neither, or a receipt for nothing.
    """
    reader = _Reader(body)
    reader.text()  # service_type
    addresses = []
    for _ in range(2):  # from and to
        reader.octets(2)
        addresses.append(reader.text().decode("ascii", "replace").strip(_SPACES))
    if command == SmppCommand.DATA_SM:
        esm_class, _, coding = reader.octets(3)
        said = b""
    else:
        esm_class = reader.octets(3)[0]
        for _ in range(2):  # times
            reader.text()
        coding = reader.octets(4)[2]
        said = reader.octets(reader.octets(1)[0])
    fields = {}
    while not reader.at_end:
        tag, length = struct.unpack("!HH", reader.octets(4))
        fields[tag] = reader.octets(length)
    said = said or fields.get(_MESSAGE_PAYLOAD, b"")
    if esm_class & _HEADED and said:
        said = said[said[0] + 1 :]
    text = _decoded(said, coding)
    kind = esm_class & _OF_TYPE
    words = _words(text)
    if kind not in (_IS_RECEIPT, _IS_INTERMEDIATE) and not _is_plainly_receipt(words):
        return Reply(addresses[0], text)
    return _receipt(fields, words, tuple(filter(None, addresses)), is_final=kind != _IS_INTERMEDIATE)


def _receipt(
    fields: Mapping[int, bytes], words: Mapping[str, str], addresses: tuple[str, ...], *, is_final: bool
) -> Receipt:
    field_id = fields.get(_RECEIPTED_MESSAGE_ID, b"").decode("ascii", "replace").strip(_SPACES)
    text_id = words.get("id", "")
    message_id = field_id or text_id
    if not message_id:
        raise ValueError("a receipt without a message id")
    state = _STATES.get(int.from_bytes(fields.get(_MESSAGE_STATE, b"\xff"), "big"), Delivery.unknown)
    if state is Delivery.unknown:
        state = _state_of(words.get("stat") or words.get("status", ""))
    if not is_final:  # there is another one to come
        state = Delivery.enroute
    also_as = text_id if text_id != message_id else ""
    return Receipt(message_id, state, also_as, addresses, words.get("submitdate", ""))


def _state_of(word: str) -> Delivery:
    plain = word.upper().strip(".,;\"'")
    return _STATE_OF.get(plain) or (Delivery.undeliverable if _FAILURE.fullmatch(plain) else Delivery.unknown)


def _is_plainly_receipt(words: Mapping[str, str]) -> bool:
    """Some SMSCs do not label them; no reply of a person has all of these."""
    return bool(words.get("id") and {"stat", "status"} & words.keys() and {"submitdate", "donedate"} & words.keys())


def _words(text: str) -> dict[str, str]:
    """`id:12 sub:001 submit date:2106190800 stat:DELIVRD text:...`; names without blanks, values as one word."""
    found: dict[str, str] = {}
    places = list(_KEY.finditer(text))
    for i, place in enumerate(places):
        name = re.sub(r"[ _]", "", place[1].lower())
        if name == "text" and "id" in found:  # what follows is the message itself
            break
        ends = places[i + 1].start() if i + 1 < len(places) else len(text)
        value = text[place.end() : ends].split()
        found.setdefault(name, value[0] if value else "")
    return found


def _decoded(octets: bytes, coding: int) -> str:
    """A text whose label need not be right: ASCII in UCS-2 has a zero in every other octet, and by itself has none."""
    if octets[:2] in (b"\xfe\xff", b"\xff\xfe"):
        return octets.decode("utf-16", "replace")
    high, low = octets[::2], octets[1::2]
    if octets and len(high) == len(low):
        if not any(high) and low.isascii():
            return octets.decode("utf-16-be")
        if not any(low) and high.isascii():
            return octets.decode("utf-16-le")
    # 0x08, and 0x18..0x1B: UCS-2 with a message class (3GPP TS 23.038, 4).
    if (coding == 0x08 or coding & 0xFC == 0x18) and not _ASCII_RECEIPT.search(octets):
        return octets.decode("utf-16-be", "replace")
    return octets.decode("latin-1")


_CUT_SHORT = "a PDU that ends too early"


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
            raise ValueError(_CUT_SHORT)
        self._at += count
        return taken

    def text(self) -> bytes:
        end = self._body.find(b"\0", self._at)
        if end < 0:
            raise ValueError(_CUT_SHORT)
        taken, self._at = self._body[self._at : end], end + 1
        return taken


def phones_of(address: str, country_code: str) -> list[str]:
    """What residents may call the phone of an address; nothing where it is none that can be read, such as a masked one.

    Args:
        address: with or without `+`, `00`, the country code or a zero in front.
        country_code: digits, or nothing.
    """
    digits = address.strip(_SPACES).removeprefix("+")
    if not (digits.isascii() and digits.isdecimal() and len(digits) >= _FEWEST_DIGITS):
        return []
    plain = digits.lstrip("0")
    national = plain.removeprefix(country_code)
    found = [digits, plain, national if len(national) >= _FEWEST_DIGITS else "", national.lstrip("0")]
    return [it for it in dict.fromkeys(found) if len(it) >= _FEWEST_DIGITS]


_FEWEST_DIGITS = 7
