#!/usr/bin/env bash
# icalendar 7.3.2: an alarm at an instant is written without VALUE=DATE-TIME, so it says it is a duration.
#
# RFC 5545, 3.8.6.3: the value of TRIGGER is a duration unless VALUE=DATE-TIME stands beside it. `add("trigger", ...)` with
# a datetime writes `TRIGGER:20210620T010000Z`. icalendar reads that back as an instant, so a round trip does not show it;
# ical.js 2.1.0 goes by the standard and cannot read the value ("invalid duration value"). With
# `parameters={"VALUE": "DATE-TIME"}` both read it.
#
# Seen with icalendar 7.3.2 on Python 3.11 and ical.js 2.1.0 on Node. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check icalendar==7.3.2
npm install --silent --no-audit --no-fund --prefix "$work" ical.js@2.1.0 >/dev/null
cat >"$work/read.mjs" <<'JS'
import { readFileSync } from "node:fs";
import ICAL from "ical.js";

const trigger = new ICAL.Component(ICAL.parse(readFileSync(process.argv[2], "utf8"))).getFirstProperty("trigger");
try {
  console.log("  ical.js reads:", String(trigger.getFirstValue()), `(${trigger.type})`);
} catch (error) {
  console.log("  ical.js:", error.message.split(":")[0]);
}
JS
for words in "as it is" "with VALUE"; do
  "$work/venv/bin/python" - "$words" "$work/alarm.ics" <<'PY'
import sys
from datetime import UTC, datetime
from pathlib import Path

from icalendar import Alarm

words, file = sys.argv[1:]
alarm = Alarm()
alarm.add("action", "DISPLAY")
alarm.add("description", "appointment")
said = {"parameters": {"VALUE": "DATE-TIME"}} if words == "with VALUE" else {}
alarm.add("trigger", datetime(2021, 6, 20, 1, tzinfo=UTC), **said)
Path(file).write_bytes(alarm.to_ical())
print(f"{words}:", next(line for line in Path(file).read_text().splitlines() if line.startswith("TRIGGER")))
print("  icalendar reads:", Alarm.from_ical(Path(file).read_bytes())["trigger"].dt)
PY
  (cd "$work" && node read.mjs alarm.ics)
done | tee "$work/seen"
diff "$work/seen" - <<'SEEN'
as it is: TRIGGER:20210620T010000Z
  icalendar reads: 2021-06-20 01:00:00+00:00
  ical.js: invalid duration value
with VALUE: TRIGGER;VALUE=DATE-TIME:20210620T010000Z
  icalendar reads: 2021-06-20 01:00:00+00:00
  ical.js reads: 2021-06-20T01:00:00Z (date-time)
SEEN
echo "as described"
