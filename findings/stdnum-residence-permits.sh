#!/usr/bin/env bash
# python-stdnum 2.2, stdnum.cn.ric: resident identity cards of the People's Republic of China (GB 11643).
#
# The residence permits of residents of Hong Kong, Macao and Taiwan (since 1 September 2018) have numbers of the same form
# and check character, with 810000, 820000 and 830000 where the county stands. `validate` refuses all three as "unknown",
# as it does cards whose county was since abolished or renamed (513701, Bazhong) but not others of that kind (110103,
# Chongwen, abolished in 2010). A date of birth in the future passes. So a form that relies on it turns away people whose
# papers are in order: check the form, the date and the check character (stdnum.iso7064.mod_11_2), and leave the county.
#
# Seen with python-stdnum 2.2 on Python 3.11. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check python-stdnum==2.2
"$work/venv/bin/python" - <<'PY' | tee "$work/seen"
from stdnum.cn import ric
from stdnum.iso7064 import mod_11_2


def verdict(county: str, birth: str = "19900307") -> str:
    body = f"{county}{birth}002"  # nobody's: made up
    try:
        ric.validate(body + mod_11_2.calc_check_digit(body))
    except Exception as error:
        return type(error).__name__
    return "valid"


for county, birth in (
    ("440106", "19900307"), ("810000", "19900307"), ("820000", "19900307"), ("830000", "19900307"),
    ("110103", "19900307"), ("513701", "19900307"), ("440106", "20991231"), ("440106", "19900230"),
):
    print(county, birth, verdict(county, birth))
PY
diff "$work/seen" - <<'SEEN'
440106 19900307 valid
810000 19900307 InvalidComponent
820000 19900307 InvalidComponent
830000 19900307 InvalidComponent
110103 19900307 valid
513701 19900307 InvalidComponent
440106 20991231 valid
440106 19900230 InvalidComponent
SEEN
echo "as described"
