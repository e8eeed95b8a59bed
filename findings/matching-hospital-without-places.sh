#!/usr/bin/env bash
# matching 1.4.3: a hospital whose capacity is 0 is said to be excluded, and breaks the resident-optimal matching.
#
# A site that gives nothing on a day is a hospital with capacity 0. `HospitalResident.create_from_dictionaries` takes it
# and warns that the player was excluded, but it is not: the resident-optimal `solve` asks its empty list of matches for
# the worst one (IndexError), the hospital-optimal one lists it as matched with nobody. Only `clean=True`, which is not
# the default, leaves it out.
#
# Seen with matching 1.4.3 on Python 3.11. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check matching==1.4.3
"$work/venv/bin/python" - <<'PY' | tee "$work/seen"
import warnings

from matching.games import HospitalResident

for capacity in (1, 0):
    for clean in (False, True):
        for optimal in ("resident", "hospital"):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                try:
                    game = HospitalResident.create_from_dictionaries(
                        {"first": ["X", "Y"], "second": ["Y", "X"]},
                        {"X": ["first", "second"], "Y": ["second", "first"]},
                        {"X": capacity, "Y": 1},
                        clean=clean,
                    )
                    seen = str(game.solve(optimal=optimal))
                except Exception as error:
                    seen = type(error).__name__
            warned = sorted({each.category.__name__ for each in caught})
            print(f"capacity {capacity}, clean {clean}, {optimal}-optimal: {seen} {warned}")
PY
diff "$work/seen" - <<'SEEN'
capacity 1, clean False, resident-optimal: {X: [first], Y: [second]} []
capacity 1, clean False, hospital-optimal: {X: [first], Y: [second]} []
capacity 1, clean True, resident-optimal: {X: [first], Y: [second]} []
capacity 1, clean True, hospital-optimal: {X: [first], Y: [second]} []
capacity 0, clean False, resident-optimal: IndexError ['PlayerExcludedWarning']
capacity 0, clean False, hospital-optimal: {X: [], Y: [second]} ['PlayerExcludedWarning']
capacity 0, clean True, resident-optimal: {Y: [second]} ['PlayerExcludedWarning']
capacity 0, clean True, hospital-optimal: {Y: [second]} ['PlayerExcludedWarning']
SEEN
echo "as described"
