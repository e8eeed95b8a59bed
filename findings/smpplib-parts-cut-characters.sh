#!/usr/bin/env bash
# smpplib 2.2.4: a long message is cut between the halves of one character.
#
# `smpplib.gsm.make_parts` counts what fits into a part, 67 UCS-2 units or 153 septets, and cuts there. A character of
# two units (a rare letter of a name, as U+20BB7) that stands on the border ends up half in one part and half in the next;
# so does a sign of GSM 03.38's extension table, whose escape stays behind. A phone that joins the parts shows them whole;
# one that shows them singly, or whatever decodes each part by itself (a report, an operator's view), meets a lone
# surrogate or an escape without its sign. smsutil 1.1.3 moves the whole character to the next part.
#
# Seen with smpplib 2.2.4 and smsutil 1.1.3 on Python 3.11. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check smpplib==2.2.4 smsutil==1.1.3
"$work/venv/bin/python" - <<'PY' | tee "$work/seen"
import smpplib.gsm
import smsutil

rare = "预" * 66 + "\U00020bb7" + "约" * 10
parts, coding, flags = smpplib.gsm.make_parts(rare)
bodies = [part[6:] for part in parts]  # after the six octets of the header that says which part it is
print("smpplib, UCS-2:", [len(body) // 2 for body in bodies], "units")
print("  the first ends with", bodies[0][-2:].hex(), "and the second begins with", bodies[1][:2].hex())
for n, body in enumerate(bodies, start=1):
    try:
        print(f"  part {n} by itself:", len(body.decode("utf-16-be")), "characters")
    except UnicodeDecodeError as error:
        print(f"  part {n} by itself:", error.reason)
print("  joined:", b"".join(bodies).decode("utf-16-be") == rare)

euro = "a" * 152 + "€" + "b" * 20
bodies = [part[6:] for part in smpplib.gsm.make_parts(euro)[0]]
print("smpplib, GSM 03.38: the first ends with", bodies[0][-1:].hex(), "and the second begins with", bodies[1][:1].hex())

print("smsutil, UCS-2:", [len(part.content.encode("utf-16-be")) // 2 for part in smsutil.split(rare).parts], "units")
print("smsutil, GSM 03.38: the second begins with", ascii(smsutil.split(euro).parts[1].content[0]))
PY
diff "$work/seen" - <<'SEEN'
smpplib, UCS-2: [67, 11] units
  the first ends with d842 and the second begins with dfb7
  part 1 by itself: unexpected end of data
  part 2 by itself: illegal encoding
  joined: True
smpplib, GSM 03.38: the first ends with 1b and the second begins with 65
smsutil, UCS-2: [66, 12] units
smsutil, GSM 03.38: the second begins with '\u20ac'
SEEN
echo "as described"
