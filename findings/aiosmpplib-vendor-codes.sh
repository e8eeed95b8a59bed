#!/usr/bin/env bash
# aiosmpplib 0.7.4: what SMPP leaves to the provider is an exception.
#
# SMPP 3.4 gives the provider's centre 0x400 to 0x4FF for error codes of its own (5.1.3). `SmppMessage.parse_header` takes
# the status from a closed enumeration: such an answer to a message is a ValueError, from inside the receiver, before
# anybody is told which message it was about; it was logged with the header, and the body was not read.
# A delivery receipt's `err` may hold the network's own code, three characters (appendix B); `DeliverSm.parse_receipt` makes
# a number of it, and "0A1" is a ValueError, so who asks never learns that the message was not delivered. Receipts whose
# dates have seconds, which several centres send, are one as well.
#
# Seen with aiosmpplib 0.7.4 on Python 3.11. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check aiosmpplib==0.7.4
"$work/venv/bin/python" - <<'PY' | tee "$work/seen"
import struct

from aiosmpplib.protocol import DeliverSm, SmppMessage
from aiosmpplib.state import PhoneNumber

SUBMIT_SM_RESP = 0x80000004
for status in (0x000, 0x045, 0x400, 0x4FF):
    try:
        told = SmppMessage.parse_header(struct.pack("!IIII", 16, SUBMIT_SM_RESP, status, 7)).command_status.name
    except ValueError as error:
        told = f"{type(error).__name__}: {error}"
    print(f"status {status:#05x} ->", told)

RECEIPT = "id:7 sub:001 dlvrd:000 submit date:{0} done date:{0} stat:UNDELIV err:{1} text:x"
for date, err in (("2106191215", "011"), ("2106191215", "0A1"), ("210619121530", "011")):
    receipt = DeliverSm(
        short_message=RECEIPT.format(date, err),
        source=PhoneNumber("10690"),
        destination=PhoneNumber("13900000000"),
        esm_class=0b100,
    )
    try:
        told = receipt.parse_receipt()["stat"]
    except ValueError as error:
        told = f"{type(error).__name__}: {error}"
    print(f"receipt of {date}, err {err} ->", told)
PY
diff "$work/seen" - <<'SEEN'
status 0x000 -> ESME_ROK
status 0x045 -> ESME_RSUBMITFAIL
status 0x400 -> ValueError: 1024 is not a valid SmppCommandStatus
status 0x4ff -> ValueError: 1279 is not a valid SmppCommandStatus
receipt of 2106191215, err 011 -> UNDELIV
receipt of 2106191215, err 0A1 -> ValueError: invalid literal for int() with base 10: '0A1'
receipt of 210619121530, err 011 -> ValueError: unconverted data remains: 30
SEEN
echo "as described"
