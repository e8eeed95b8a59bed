"""Days, hours and lengths of time as people read them, in Chinese or English."""

import math
from datetime import date, datetime

_WEEKDAYS_ZH = "一二三四五六日"


def day_words(day: date, language: str, *, short: bool = False) -> str:
    """`6月21日（周一）`; `Monday 21 June`, or short `Mon 21 Jun`."""
    if language == "en":
        return f"{day:%a} {day.day} {day:%b}" if short else f"{day:%A} {day.day} {day:%B}"
    return f"{date_words(day, language)}（周{_WEEKDAYS_ZH[day.weekday()]}）"


def date_words(day: date, language: str) -> str:
    """`6月21日` or `21 June`."""
    return f"{day.day} {day:%B}" if language == "en" else f"{day.month}月{day.day}日"


def full_date_words(day: date, language: str, *, short: bool = False) -> str:
    """`2021年5月1日`; `1 May 2021`, its month in three letters where it is to be short."""
    if language == "en":
        return f"{day.day} {day:%b} {day.year}" if short else f"{day.day} {day:%B} {day.year}"
    return f"{day.year}年{date_words(day, language)}"


def moment_words(at: datetime, language: str, gap: str = "") -> str:
    """`6月21日08:00`, with the gap between day and hour; `21 June, 08:00`."""
    return f"{date_words(at, language)}{', ' if language == 'en' else gap}{at:%H:%M}"


def moment_seen_from(at: datetime, now: datetime, language: str) -> str:
    """A time of day, with its date where that is not today's."""
    return f"{at:%H:%M}" if at.date() == now.date() else moment_words(at, language, gap=" ")


def until_words(at: datetime, language: str) -> str:
    """`6月20日20:00`, `20:00 on Sun 20 Jun`: short, for a message."""
    if language == "en":
        return f"{at:%H:%M} on {day_words(at, language, short=True)}"
    return moment_words(at, language)


def span_words(seconds: float, language: str) -> str:
    """About how long: seconds up to a minute and a half, then minutes, then hours; never less than it is."""
    if seconds < 90:
        whole = max(1, math.ceil(seconds))
        return f"{whole} s" if language == "en" else f"{whole} 秒"
    minutes = math.ceil(seconds / 60)
    hours, rest = divmod(minutes, 60)
    if not hours:
        return f"{minutes} minutes" if language == "en" else f"{minutes} 分钟"
    if language == "en":
        return f"{hours} h" + (f" {rest} min" if rest else "")
    return f"{hours} 小时" + (f" {rest} 分钟" if rest else "")


def exact_words(seconds: int, language: str) -> str:
    """Just so long, in the middle of a sentence: ` 2 分钟`, ` 90 秒`; `2 minutes`, `minute`."""
    n, zh, en = (seconds, "秒", "second") if seconds % 60 else (seconds // 60, "分钟", "minute")
    if language == "en":
        return en if n == 1 else f"{n} {en}s"
    return f" {n} {zh}"
