"""The hours in which residents can log in (announcement A7)."""

from datetime import datetime

from server.core.city import City
from server.core.errors import Refusal


def check_open_hours(city: City, now: datetime) -> None:
    """Let residents through from opening to closing time.

    Args:
        city: its hours.
        now: an aware datetime.

    Raises:
        Refusal: `maintenance`, with the time at which the system opens again.
    """
    if city.is_open_hours(now):
        return
    opens_at = city.opens_after(now)
    wait_s = -(-(opens_at - now).total_seconds() // 1)
    raise Refusal("maintenance", retry_after_seconds=max(1, int(wait_s)), opens_at=opens_at)
