"""Days, hours and lengths of time as people read them: the catalogue has their form, CLDR names of days and months."""

import math
from datetime import date, datetime
from functools import lru_cache

from babel.core import Locale, UnknownLocaleError
from babel.dates import format_date

from server.core.wording import word


@lru_cache(maxsize=64)
def _locale(language: str) -> Locale:
    """CLDR's, of a language's tag; of the language alone where CLDR does not know the rest."""
    tag = word("language.tag", language)
    try:
        return Locale.parse(tag, sep="-")
    except UnknownLocaleError:
        return Locale.parse(tag.partition("-")[0])


@lru_cache(maxsize=1024)
def _date(key: str, day: date, language: str) -> str:
    return format_date(day, word(key, language), locale=_locale(language))


def _day_of(it: date) -> date:
    return it.date() if isinstance(it, datetime) else it


def day_words(day: date, language: str, *, short: bool = False) -> str:
    """`6月21日（周一）`; `Monday 21 June`, or short `Mon 21 Jun`."""
    return _date("date.day-of-week-short" if short else "date.day-of-week", _day_of(day), language)


def date_words(day: date, language: str) -> str:
    """`6月21日` or `21 June`."""
    return _date("date.day", _day_of(day), language)


def full_date_words(day: date, language: str, *, short: bool = False) -> str:
    """`2021年5月1日`; `1 May 2021`, its month in three letters where it is to be short."""
    return _date("date.full-short" if short else "date.full", _day_of(day), language)


def moment_words(at: datetime, language: str) -> str:
    """`6月21日08:00`; `21 June, 08:00`."""
    return word("date.moment", language, date_words(at, language), f"{at:%H:%M}")


def moment_seen_from(at: datetime, now: datetime, language: str) -> str:
    """A time of day, with its date where that is not today's."""
    if at.date() == now.date():
        return f"{at:%H:%M}"
    return word("date.moment-apart", language, date_words(at, language), f"{at:%H:%M}")


def until_words(at: datetime, language: str) -> str:
    """`6月20日20:00`, `20:00 on Sun 20 Jun`: short, for a message."""
    return word("date.until", language, _date("date.until-day", at.date(), language), f"{at:%H:%M}")


def span_words(seconds: float, language: str) -> str:
    """About how long: seconds up to a minute and a half, then minutes, then hours; never less than it is."""
    if seconds < 90:
        return word("date.seconds", language, max(1, math.ceil(seconds)))
    minutes = math.ceil(seconds / 60)
    hours, rest = divmod(minutes, 60)
    if not hours:
        return word("date.minutes", language, minutes)
    return word("date.hours-minutes" if rest else "date.hours", language, hours, rest)


def exact_words(seconds: int, language: str) -> str:
    """Just so long, in the middle of a sentence: ` 2 分钟`, ` 90 秒`; `2 minutes`, `minute`."""
    n, unit = (seconds, "second") if seconds % 60 else (seconds // 60, "minute")
    return word(f"app.{unit}Long" if n == 1 else f"app.{unit}sLong", language, n)
