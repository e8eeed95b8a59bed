"""Han letters that stand for one another, from the Unicode Character Database: for comparing names, never for showing.

A class is what Unihan's fields kSimplifiedVariant, kTraditionalVariant and kZVariant connect: 張 and 张, 黃 and 黄, 于
and 於. Letter by letter, without any dictionary of words: those know 于 from 於 in a sentence and change family names.
"""

from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("same_letters.txt")


@cache
def representatives() -> dict[int, str]:
    """For `str.translate`: the one letter that stands for all of its class."""
    return {ord(letter): line[0] for line in _lines() if ">" not in line for letter in line[1:]}


@cache
def radicals() -> dict[int, str]:
    """For `str.translate`: the letter that a radical's own character looks like (⻢ is 马), as PDF files have them."""
    return {ord(line[0]): line[2] for line in _lines() if ">" in line}


def _lines() -> list[str]:
    return [line for line in _FILE.read_text("utf-8").splitlines() if not line.startswith("#")]
