"""What goes over the wire: PDUs to the SMSC made with `aiosmpplib`, and those of the SMSC taken apart.

The library's own reading refuses a status, a date or an optional field it does not know; providers have all three.
"""

import struct

import msgspec
from aiosmpplib import NPI, TON, PhoneNumber, SmppCommand, SmppCommandStatus, SubmitSm

from server.messages.smpp.settings import SmppSettings

HEADER_OCTETS = 16
# A deliver_sm with a message_payload of 64 KiB is the longest there is.
MOST_OCTETS = 70_000

_JOINED = 0x40  # esm_class: the text begins with a header


class Pdu(msgspec.Struct, frozen=True):
    """One that the SMSC has sent."""

    command: int
    status: int
    sequence: int
    body: bytes


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


def data_sm_resp(sequence: int, status: int) -> bytes:
    """The answer to a data_sm, which the library does not have."""
    return struct.pack("!IIII", HEADER_OCTETS + 1, SmppCommand.DATA_SM_RESP, status, sequence) + b"\0"


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
