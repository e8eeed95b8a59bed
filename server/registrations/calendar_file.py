"""An appointment as a calendar's event (RFC 5545)."""

from datetime import UTC, datetime, timedelta

from icalendar import Alarm, Calendar, Event

from server.appointments.sites import Site
from server.core.languages import of_two
from server.core.wording import word
from server.registrations.views import RegistrationView

_REMINDER_BEFORE = timedelta(hours=2)


def invitation(registration: RegistrationView, site: Site | None, now: datetime, lang: str) -> bytes:
    """The calendar file of a booked registration.

    Args:
        registration: booked.
        site: where; None for one that is in no list any more.
        now: city time.
        lang: the tag of a language.
    """
    it = registration.appointment
    assert it is not None  # noqa: S101  (callers have looked)
    until = f"{registration.cancel_before:%Y-%m-%d %H:%M}" if registration.cancel_before else "-"
    event = Event()
    event.add("uid", f"{registration.registration_no}@jiaohao")
    event.add("dtstamp", now.astimezone(UTC))
    event.add("dtstart", it.starts_at)
    event.add("dtend", it.ends_at)
    event.add("summary", word("calendar.summary", lang))
    event.add("description", word("calendar.description", lang, registration.registration_no, until))
    if site is not None:
        name = site.name_zh if of_two(lang) == "zh" else site.name_en
        event.add("location", f"{name}, {site.address}" if site.address else name)
        if site.latitude is not None and site.longitude is not None:
            event.add("geo", (site.latitude, site.longitude))
    alarm = Alarm()
    alarm.add("action", "DISPLAY")
    alarm.add("description", word("calendar.reminder", lang, f"{it.starts_at:%Y-%m-%d %H:%M}", until))
    if registration.cancel_before is not None:  # in time to cancel still, the evening before
        at = (registration.cancel_before - _REMINDER_BEFORE).astimezone(UTC)
        # An instant must say so (RFC 5545 3.8.6.3); icalendar leaves it out, and strict clients then show no alarm.
        alarm.add("trigger", at, parameters={"VALUE": "DATE-TIME"})
        event.add_component(alarm)
    calendar = Calendar()
    calendar.add("prodid", "-//jiaohao//appointments//ZH")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add_component(event)
    calendar.add_missing_timezones()
    return bytes(calendar.to_ical())
