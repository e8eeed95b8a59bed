"""Which files an import takes without being told so twice: the city file's table `[imports]`."""

from datetime import date
from typing import Annotated

import msgspec

Percent = Annotated[int, msgspec.Meta(ge=1, le=100)]


class Imports(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is plausible in an imported file; a file that is not is kept only with `--yes`.

    A first dose is not before ``first_doses_from``, and not after the day of the import: such a row is refused. The
    rest is asked of files, and of last imports, of ``judged_from_rows`` rows at least: ``fewer_percent`` fewer rows
    than the last import (in all, or in a district or product) are too few, ``capacity_fewer_percent`` fewer slots or
    doses a day; ``one_day_percent`` of all first doses on one day are too many, and so are ``changed_percent`` of the
    residents whose record says otherwise than the last time. A capacity's date is at most ``capacity_days_ahead`` away.
    """

    first_doses_from: date = date(2020, 12, 15)
    judged_from_rows: Annotated[int, msgspec.Meta(ge=1)] = 1000
    fewer_percent: Percent = 33
    one_day_percent: Percent = 25
    changed_percent: Percent = 20
    capacity_fewer_percent: Percent = 25
    capacity_days_ahead: Annotated[int, msgspec.Meta(ge=1)] = 366
