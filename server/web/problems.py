"""Refusals as RFC 9457 problem details, with a sentence a resident understands."""

from datetime import date, datetime
from typing import Any

import msgspec

from server.core.errors import Invalid, Refusal
from server.core.wording import knows, word
from server.core.wording.dates import full_date_words, moment_words

Headers = list[tuple[str, str]]


# The contract's codes; their words are in the catalogue's tables `problem-title` and `problem`.
_STATUSES = {
    "malformed": 400,
    "invalid": 422,
    "unauthorized": 401,
    "forged": 401,
    "not-eligible": 403,
    "barred": 403,
    "identity-mismatch": 403,
    "not-found": 404,
    "already-registered": 409,
    "too-late": 409,
    "used": 409,
    "expired": 410,
    "ended": 410,
    "not-open": 425,
    "not-your-turn": 425,
    "too-many-requests": 429,
    "paused": 503,
    "maintenance": 503,
    "overloaded": 503,
    "store-unavailable": 503,
}
# Reasons that have a status of their own.
_STATUSES_OF_REASONS = {"too-slow": 408}


def bearer(authorization: str) -> str:
    """The token of an `Authorization: Bearer` header.

    Raises:
        Refusal: `unauthorized`.
    """
    if authorization[:7].lower() != "bearer ":
        raise Refusal("unauthorized")
    return authorization[7:].strip()


def render(refusal: Refusal, lang: str, *, status: int | None = None) -> tuple[int, Headers, bytes]:
    """(status, headers, body) of a refusal."""
    usual = _STATUSES[refusal.code]
    extras = {k: v for k, v in refusal.extras.items() if not k.startswith("district_name")}
    problem: dict[str, Any] = {
        "type": f"/problems/{refusal.code}",
        "title": word(f"problem-title.{refusal.code}", lang),
        "status": status or _STATUSES_OF_REASONS.get(str(refusal.extras.get("reason")), usual),
        "code": refusal.code,
        "detail": _sentence(refusal, lang),
        **extras,
    }
    if isinstance(refusal, Invalid):
        problem["errors"] = [{"field": field, "message": _fault(fault, lang)} for field, fault in refusal.fields]
    headers = [
        ("content-type", "application/problem+json"),
        ("content-language", word("language.tag", lang)),
        ("cache-control", "no-store"),
    ]
    if refusal.retry_after_seconds is not None:
        headers.append(("retry-after", str(refusal.retry_after_seconds)))
    if usual == 401:
        headers.append(("www-authenticate", "Bearer"))
    return problem["status"], headers, msgspec.json.encode(problem)


def title(code: str, lang: str) -> str | None:
    """The title of a code, or None where there is no such code."""
    return word(f"problem-title.{code}", lang) if code in _STATUSES else None


def _fault(fault: str, lang: str) -> str:
    """What is wrong with a field, by the slug of the fault."""
    return word(f"field.{fault}" if knows(f"field.{fault}") else "field.type", lang)


def _sentence(refusal: Refusal, lang: str) -> str:
    if message := refusal.extras.get("message"):  # the operator's own words
        return str(message)
    sharper = f"reason.{refusal.extras.get('reason')}"
    template = word(sharper if knows(sharper) else f"problem.{refusal.code}", lang)
    return template.format_map(_Readable(refusal.extras, lang))


class _Readable(dict[str, str]):
    """Extras as a resident reads them; one that is unknown reads as such."""

    def __init__(self, extras: dict[str, Any], lang: str) -> None:
        super().__init__({name: _readable(value, lang) for name, value in extras.items() if value is not None})
        self._unknown = word("common.time-unknown", lang)

    def __missing__(self, name: str) -> str:
        return self._unknown


def _readable(value: Any, lang: str) -> str:
    if isinstance(value, datetime):
        return moment_words(value, lang)
    return full_date_words(value, lang) if isinstance(value, date) else str(value)
