"""Times and numbers as a resident reads them, in Chinese or English."""

import math
from datetime import date, datetime

_WEEKDAYS_ZH = "一二三四五六日"


def day(it: date, lang: str) -> str:
    """`6月21日（周一）` or `Monday 21 June`."""
    if lang == "zh":
        return f"{it.month}月{it.day}日（周{_WEEKDAYS_ZH[it.weekday()]}）"
    return f"{it:%A} {it.day} {it:%B}"


def date_alone(it: date, lang: str) -> str:
    """`6月21日` or `21 June`."""
    return f"{it.month}月{it.day}日" if lang == "zh" else f"{it.day} {it:%B}"


def moment(it: datetime, now: datetime, lang: str) -> str:
    """A time of day, with its date where that is not today's."""
    clock = f"{it:%H:%M}"
    if it.date() == now.date():
        return clock
    return f"{it.month}月{it.day}日 {clock}" if lang == "zh" else f"{it.day} {it:%B}, {clock}"


def span(seconds: float, lang: str) -> str:
    """About how long: seconds up to a minute and a half, then minutes, then hours; never less than it is."""
    if seconds < 90:
        whole = max(1, math.ceil(seconds))
        return f"{whole} 秒" if lang == "zh" else f"{whole} s"
    minutes = math.ceil(seconds / 60)
    hours, rest = divmod(minutes, 60)
    if not hours:
        return f"{minutes} 分钟" if lang == "zh" else f"{minutes} minutes"
    if lang == "zh":
        return f"{hours} 小时" + (f" {rest} 分钟" if rest else "")
    return f"{hours} h" + (f" {rest} min" if rest else "")


def exactly(seconds: int, lang: str) -> str:
    """Just so long, in the middle of a sentence: ` 2 分钟`, ` 90 秒`; `2 minutes`, `minute`."""
    n, zh, en = (seconds, "秒", "second") if seconds % 60 else (seconds // 60, "分钟", "minute")
    if lang == "zh":
        return f" {n} {zh}"
    return en if n == 1 else f"{n} {en}s"


def grouped(number: str) -> str:
    """A registration number in groups of five."""
    return " ".join(number[i : i + 5] for i in range(0, len(number), 5))
