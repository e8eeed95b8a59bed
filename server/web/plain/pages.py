"""Pages from templates, refusals as pages, and the headers of both."""

import math
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import msgspec
import structlog
from litestar import MediaType, Response
from litestar.datastructures import Cookie
from litestar.exceptions import HTTPException, NotFoundException

from server.core.errors import Refusal
from server.core.languages import of_two
from server.core.papers import ID_TYPES
from server.core.wording import knows, word
from server.core.wording.dates import day_words, exact_words, moment_seen_from, span_words
from server.web.plain.visit import FORM_KEY, HOME, PlainVisit
from server.web.problems import render
from server.web.routes.common import AnyRequest
from server.web.service_view import service_view
from server.web.worded import named_languages

log = structlog.get_logger()

_FORM = re.compile(r'<form\b[^>]*\bmethod="post"[^>]*>')
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    # Not `no-referrer`: with that, browsers send `Origin: null` with our own forms.
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "cache-control": "no-store",
}


def grouped(number: str) -> str:
    """A registration number in groups of five."""
    return " ".join(number[i : i + 5] for i in range(0, len(number), 5))


def tel(number: str) -> str:
    """The address by which a telephone dials a number, however it is grouped (RFC 3966)."""
    return "tel:" + re.sub(r"[^+\d]", "", number)


class WayOn(NamedTuple):
    """Where to go on."""

    href: str
    label: str


class Trouble(NamedTuple):
    """A refusal as a page shows it; `errors` by field, and `steps` to go on."""

    status: int
    code: str
    title: str
    detail: str
    errors: dict[str, str]
    steps: list[WayOn]
    headers: dict[str, str]


@cache
def _templates() -> jinja2.Environment:
    folder = Path(__file__).parent / "templates"
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page(
    visit: PlainVisit,
    template: str,
    status: int = 200,
    *,
    headers: dict[str, str] | None = None,
    cookies: list[Cookie] | None = None,
    trouble: Trouble | None = None,
    **values: Any,
) -> Response[str]:
    """A rendered page.

    Args:
        visit: whose.
        template: without its ending.
        status: of the answer, where there is no trouble.
        headers: more of them.
        cookies: to set.
        trouble: a refusal to show above what the page is about; gives the answer's status and headers.
        values: what the template shows.
    """
    city = visit.services.city
    now = visit.services.room.now()
    lang = visit.lang
    text = (
        _templates()
        .get_template(f"{template}.html")
        .render(
            t=visit.t,
            pick=visit.pick,
            knows=knows,
            period_name=lambda code: _period_name(visit, code),
            others=[it for it in named_languages() if it.language != lang],
            visit=visit,
            city_name=visit.pick(city.name_zh, city.name_en),
            now=now,
            draw_length=exact_words(city.policy.draw_seconds, lang),
            no_show_limit=city.policy.no_show_limit,
            service=service_view(city, of_two(lang)),
            open_hours=[f"{it:%H:%M}" for it in (city.open_hours.opens, city.open_hours.closes)],
            trouble=trouble,
            errors=trouble.errors if trouble else {},
            id_types=ID_TYPES,
            day=lambda it: day_words(it, lang),
            moment=lambda it: moment_seen_from(it, now, lang),
            span=lambda seconds: span_words(seconds, lang),
            grouped=grouped,
            tel=tel,
            **values,
        )
    )
    field = f'<input type="hidden" name="{FORM_KEY}" value="{visit.form_key}">'
    text = _FORM.sub(lambda it: it[0] + field, text)  # here, so that no form can be without
    is_foreign = trouble is not None and trouble.code == "malformed"  # another site's form sets no cookies here
    fresh = [] if visit.has_form_key or is_foreign else [visit.keep(FORM_KEY, visit.form_key)]
    if visit.chose and not is_foreign:  # by the address: the choice goes on with the next page
        fresh.append(visit.keep("lang", visit.chose))
    return Response(
        text,
        status_code=trouble.status if trouble else status,
        media_type=MediaType.HTML,
        headers={
            **HEADERS,
            "content-language": word("language.tag", lang),
            **(trouble.headers if trouble else {}),
            **(headers or {}),
        },
        cookies=[*fresh, *(cookies or [])],
    )


def go_to(path: str, *cookies: Cookie) -> Response[str]:
    """Answer a form with another page, so that a reload does not send it again."""
    return Response(
        "", status_code=303, media_type=MediaType.HTML, headers={**HEADERS, "location": path}, cookies=cookies
    )


def refresh(seconds: float, path: str) -> dict[str, str]:
    """The header that brings the page again, never sooner than in so many seconds."""
    return {"refresh": f"{max(1, math.ceil(seconds))}; url={path}"}


def trouble_of(visit: PlainVisit, refusal: Refusal) -> Trouble:
    """A refusal in the resident's words, with what to do next."""
    # Another site's form: the contract has no code of its own for it.
    status = 403 if refusal.extras.get("origin") == "other" else None
    code, headers, body = render(refusal, visit.lang, status=status)
    problem = msgspec.json.decode(body)
    kept = {name: value for name, value in headers if name in ("retry-after", "www-authenticate")}
    errors: dict[str, str] = {}
    for error in problem.get("errors", ()):
        errors.setdefault(error["field"], error["message"])
    return Trouble(code, refusal.code, problem["title"], problem["detail"], errors, _steps(visit, refusal), kept)


def _steps(visit: PlainVisit, refusal: Refusal) -> list[WayOn]:
    """Where somebody who was refused goes on: what this browser holds, what the refusal names, then the first page."""
    t, code = visit.t, refusal.code
    steps = []
    district = visit.services.city.district(str(refusal.extras.get("district", "")))
    if district is not None and refusal.extras.get("reason") == "wrong-district":
        name = visit.pick(district.name_zh, district.name_en)
        steps.append(WayOn(f"{HOME}/{district.code}", t("opening.goTo", name)))
    if visit.ticket and code in _TO_TICKET:
        steps.append(WayOn(f"{HOME}/ticket", t("plain.see-my-number")))
    if visit.receipts and code in _TO_RECEIPT:
        steps.append(WayOn(f"{HOME}/registration", t("plain.see-my-registration")))
    if code in _TO_FIND:
        steps.append(WayOn(f"{HOME}/find", t("plain.find-by-code")))
    steps.append(WayOn(HOME, t("plain.first-page")))
    return steps


_TO_TICKET = {"unauthorized", "not-your-turn", "too-many-requests", "paused", "overloaded", "store-unavailable"}
_TO_RECEIPT = {"unauthorized", "forged", "already-registered", "used", "too-late", "overloaded", "store-unavailable"}
_TO_FIND = {"unauthorized", "forged", "already-registered", "used"}


def refused(request: AnyRequest, refusal: Refusal) -> Response[str]:
    """A refusal that no page of its own shows."""
    visit = PlainVisit(request)
    it = trouble_of(visit, refusal)
    headers = {}
    # Who is waiting goes on waiting without a hand: through a restart of the store, and after a click too soon.
    waiting = visit.ticket is not None and request.url.path in (f"{HOME}/ticket", f"{HOME}/claim")
    if waiting and refusal.retry_after_seconds and it.status in (425, 429, 503):
        headers = refresh(refusal.retry_after_seconds, f"{HOME}/ticket")
    lost = refusal.code in ("unauthorized", "forged")
    return page(visit, "problem", trouble=it, headers=headers, cookies=_spent(visit, refusal), lost=lost)


def _spent(visit: PlainVisit, refusal: Refusal) -> list[Cookie]:
    """What has done its work, or was never good, is not shown again."""
    if refusal.code not in ("expired", "forged", "used"):
        return []
    name = {f"{HOME}/ticket": "ticket", f"{HOME}/claim": "ticket", f"{HOME}/wishes": "pass"}.get(visit.path)
    return [visit.drop(name)] if name else []


def http_error(request: AnyRequest, error: HTTPException) -> Response[str]:
    """Litestar's own refusals."""
    if error.status_code >= 500:
        return unexpected(request, error)
    answer = refused(request, Refusal("not-found" if isinstance(error, NotFoundException) else "malformed"))
    if error.status_code == 405:
        answer.status_code = 405
        answer.headers["allow"] = (error.headers or {}).get("allow", "GET")
    return answer


def unexpected(request: AnyRequest, error: Exception) -> Response[str]:
    """A fault of ours: said as such, and logged without what was typed."""
    log.exception("unexpected", method=request.method, error=type(error).__name__)
    return refused(request, Refusal("overloaded", retry_after_seconds=5))


def _period_name(visit: PlainVisit, code: str) -> str:
    """What a period of the day is called, or the wish for any of them; by its code, where the city has it no more."""
    it = visit.services.city.periods.get(code)
    if it is not None:
        return visit.pick(it.name_zh, it.name_en)
    return visit.t(f"period.{code}") if knows(f"period.{code}") else code
