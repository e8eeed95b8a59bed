"""Checking what somebody was told of the slots that would have suited them, in the night's result file."""

from datetime import date, timedelta
from itertools import islice
from pathlib import Path

import msgspec

from server.core.periods import ANY
from server.fairness.allotment import Rules
from server.fairness.result_file import Line
from server.fairness.verification.allotment import MadePublic, verify_allotment
from server.fairness.verification.reading import WrongFile

_line = msgspec.json.Decoder(Line)


def count_suited(path: Path, mine: Line, leaf: int, public: MadePublic) -> int:
    """How many got a slot that the holder of a line would have taken, all of them before that line.

    The file is replayed first. Then it is counted by what each line got, and not by what there was to give.

    Args:
        path: the night's result file.
        mine: the line.
        leaf: which it is, from 0 with the head.
        public: what the holder was told of the night.

    Raises:
        WrongFile: the first thing that is wrong.
        BeaconUnverifiable: this Python cannot check the beacon's signature.
        OSError: the file cannot be read.
    """
    held = verify_allotment(path, public)
    count = 0
    with path.open("rb") as f:
        for number, raw in enumerate(islice(f, 1, held.lines - 1), 2):
            line = _line.decode(raw)
            if line.slot is None or not _would_take(mine, line.slot, held.head.rules):
                continue
            if number > leaf:
                raise WrongFile(number, f"{line.no} got {' '.join(map(str, line.slot))} and stands after {mine.no}")
            count += 1
    return count


def _would_take(mine: Line, slot: tuple[date, str, str, str], rules: Rules) -> bool:
    day, site, period, product = slot
    if mine.first_dose is not None:
        interval = timedelta(days=rules.products.get(mine.product) or 0)
        if product != mine.product or day < mine.first_dose + interval:
            return False
    if mine.not_before is not None and day < mine.not_before:
        return False
    return mine.any_site or any(site == its and asked in (ANY, period) for its, asked in mine.wishes)
