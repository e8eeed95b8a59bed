"""What an answer tells, in the words of a history (`loadtests/history`)."""

from __future__ import annotations

from typing import Final
from zlib import crc32

import msgspec

from loadtests.client import answers
from loadtests.client.wire import Answer
from loadtests.history.record import Kind, Outcome, Told

_STATES: Final = {
    "drawing": Told.DRAWING, "waiting": Told.WAITING, "ready": Told.READY, "claimed": Told.CLAIMED,
    "missed": Told.MISSED, "left": Told.LEFT, "ended": Told.ENDED, "proposed": Told.PROPOSED,
    "cancelled": Told.CANCELLED,
}  # fmt: skip
_CODES: Final = {
    "not-your-turn": Outcome.NOT_YOUR_TURN, "expired": Outcome.EXPIRED, "used": Outcome.USED, "ended": Outcome.ENDED,
    "already-registered": Outcome.ALREADY_REGISTERED, "not-found": Outcome.NOT_FOUND,
}  # fmt: skip
_SAYS_NOTHING_WAS_DONE: Final = ("paused", "maintenance", "overloaded")
"""Codes of a 5xx after which nothing comes of the request any more; after any other it may have been done."""
_WISHES_SENT: Final = (Kind.REGISTER, Kind.AMEND)


class _Wishes(msgspec.Struct):
    preferences: list[answers.Preference]
    accept_any_site: bool
    not_before: str | None = None


_decode_wishes = msgspec.json.Decoder(_Wishes).decode


def state_told(word: str) -> Told:
    """Return the state that an answer names."""
    return _STATES.get(word, Told.OTHER)


def refusal(answer: Answer) -> Outcome:
    """Return what an answer of 400 or more tells."""
    try:
        code = answers.decode_problem(answer.body).code
    except (msgspec.DecodeError, ValueError):
        code = ""
    if answer.status >= 500 and code not in _SAYS_NOTHING_WAS_DONE:
        return Outcome.UNKNOWN
    return _CODES.get(code, Outcome.REFUSED)


def pass_shown(given: answers.Pass) -> int:
    """Return a mark of a pass."""
    return crc32(given.pass_.encode()) | 1


def wishes_shown(found: answers.Registration) -> int:
    """Return a mark of the wishes that an answer shows; 0 where it shows none."""
    if found.accept_any_site is None:
        return 0
    return _mark(found.preferences, found.accept_any_site, found.not_before)


def wishes_sent(kind: int, request: bytes) -> int:
    """Return a mark of the wishes that a request sends; 0 where it sends none."""
    if kind not in _WISHES_SENT:
        return 0
    wishes = _decode_wishes(request.partition(b"\r\n\r\n")[2])
    return _mark(wishes.preferences, wishes.accept_any_site, wishes.not_before)


def _mark(preferences: list[answers.Preference], accept_any_site: bool, not_before: str | None) -> int:
    """Return a mark of wishes: of equal ones the same."""
    listed = ";".join([f"{wish.site} {wish.period}" for wish in preferences])
    return crc32(f"{listed}|{accept_any_site}|{not_before or ''}".encode()) | 1
