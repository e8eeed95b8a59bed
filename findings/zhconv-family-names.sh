#!/usr/bin/env bash
# zhconv 1.4.3: turning text into traditional characters changes family names, also where it is traditional already.
#
# 于, 余, 范, 岳, 游, 干, 郁, 朴, 涂, 占 and 后 are family names in traditional writing as they stand. Converted to zh-hant each
# becomes the character that its common word has there (於, 餘 "rest", 範 "model", 嶽 "peak", 遊 "travel", 幹 "do", 鬱 "gloomy",
# 樸 "plain", 塗 "smear", 佔 "occupy", 後 "behind"): another name. A list of people that has been through it once no longer
# matches itself, and as all look right again once they are simplified, nobody sees it. Compare names by a table of single
# characters, and never send one through a converter.
#
# Seen with zhconv 1.4.3 on Python 3.11 (the names are made up). Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check zhconv==1.4.3
"$work/venv/bin/python" -W ignore - 2>/dev/null <<'PY' | tee "$work/seen"
from zhconv import convert

for name in ("余一", "范一", "岳一", "游一", "干一", "郁一", "朴一", "涂一", "占一", "于一", "后一", "曲一"):
    there = convert(name, "zh-hant")
    print(name, there, "as it was" if there == name else "CHANGED", convert(there, "zh-hans"))
PY
diff "$work/seen" - <<'SEEN'
余一 餘一 CHANGED 余一
范一 範一 CHANGED 范一
岳一 嶽一 CHANGED 岳一
游一 遊一 CHANGED 游一
干一 幹一 CHANGED 干一
郁一 鬱一 CHANGED 郁一
朴一 樸一 CHANGED 朴一
涂一 塗一 CHANGED 涂一
占一 佔一 CHANGED 占一
于一 於一 CHANGED 于一
后一 後一 CHANGED 后一
曲一 曲一 as it was 曲一
SEEN
echo "as described"
