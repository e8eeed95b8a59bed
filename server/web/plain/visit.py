"""One request of a resident without JavaScript: what the cookies hold, what the form says, who may send it."""

import re
import secrets
import unicodedata
from datetime import date, datetime
from hmac import compare_digest
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import structlog
from litestar.datastructures import Cookie

from server.core.errors import Invalid, Refusal
from server.core.languages import language_named, of_two
from server.core.wording import word
from server.services import Services
from server.web.routes.common import AnyRequest, language_of, services_of

log = structlog.get_logger()

HOME = "/plain"
REGISTRATION = f"{HOME}/registration"
# The field of every form that repeats the cookie of the same name.
FORM_KEY = "form_key"
MOST_RECEIPTS = 12
_MOST_FIELDS = 40
_DAY_SECONDS = 86_400
# As long as the tokens are good: a place for its day, a pass for minutes, a receipt for the campaign.
_MAX_AGE_SECONDS: dict[str, int | None] = {
    FORM_KEY: None,  # until the browser is closed
    "ticket": _DAY_SECONDS,
    "alerts": _DAY_SECONDS,
    "more": _DAY_SECONDS,
    "pass": 3600,
    "receipts": 400 * _DAY_SECONDS,
    "lang": 400 * _DAY_SECONDS,
    "large": 400 * _DAY_SECONDS,
}
_RECEIPT = re.compile(r"([0-9]{15})\.([A-Za-z0-9_-]{1,192})")
_TICKET = re.compile(r"([A-Za-z0-9_-]{1,12})\.([A-Za-z0-9_-]{1,192})")
_FORM_KEY = re.compile(r"[A-Za-z0-9_-]{22}")
_BACK = re.compile(r"/plain(/[A-Za-z0-9_-]{1,20})?")
_DATE = re.compile(r"([0-9]{4})[-/.年]([0-9]{1,2})[-/.月]([0-9]{1,2})日?")


class KeptReceipt(NamedTuple):
    """A registration that this browser can open."""

    no: str
    token: str


class KeptTicket(NamedTuple):
    """A place that this browser holds, and the district it was taken in (for display only)."""

    district: str
    token: str


class PlainVisit:
    """A request with its cookies read.

    Broken cookies count as absent, so that building one never fails.

    Args:
        request: of any page below /plain.
    """

    def __init__(self, request: AnyRequest) -> None:
        self.request = request
        self.services: Services = services_of(request)
        cookies = request.cookies
        named = request.query_params.get("lang", "")
        self.chose = language_named(named) if isinstance(named, str) else None
        self.lang = self.chose or language_named(cookies.get("lang", "")) or language_of(request)
        # By the page itself, from a browser that cannot run it (pages/old.js).
        self.is_sent_here = request.query_params.get("why") == "browser"
        self.large = cookies.get("large") == "1"
        told = cookies.get("alerts", "")
        self.alerts = told if told in ("asked", "called", "full", "off") else None  # what came of asking for SMS
        self.had_more_time = cookies.get("more") == "1"
        self.pass_ = cookies.get("pass") or None
        known = _FORM_KEY.fullmatch(cookies.get(FORM_KEY, ""))
        self.has_form_key = known is not None
        self.form_key = known[0] if known else secrets.token_urlsafe(16)
        held = _TICKET.fullmatch(cookies.get("ticket", ""))
        self.ticket = KeptTicket(*held.groups()) if held else None
        found = (_RECEIPT.fullmatch(part) for part in cookies.get("receipts", "").split("~")[:MOST_RECEIPTS])
        self.receipts = [KeptReceipt(*it.groups()) for it in found if it]

    def t(self, key: str, *values: object) -> str:
        """Words of the catalogue, by `table.key`, in the reader's language."""
        return word(key, self.lang, *values)

    def pick(self, zh: str, en: str) -> str:
        """The one or the other, of what comes in both languages: names, the rule of the day."""
        return zh if of_two(self.lang) == "zh" else en

    def rule(self, opens_at: datetime | None) -> str:
        """Who may register in the opening that comes, where there is none now; else today."""
        phase = self.services.city.phase((opens_at or self.services.room.now()).date())
        return self.pick(phase.rule_zh, phase.rule_en) if phase else ""

    def reserves(self) -> list[str]:
        """What goes to the members of groups first, a sentence each."""
        named = self.services.city.reserves
        return [self.t("app.reserve", it.percent, self.pick(it.name_zh, it.name_en)) for it in named]

    @property
    def path(self) -> str:
        """The page itself, for the way back from the language and type switches."""
        path = self.request.url.path
        return path if _BACK.fullmatch(path) else HOME

    # The form

    async def form(self) -> dict[str, str]:
        """The fields of a POST from one of our own pages.

        Raises:
            Refusal: `malformed`: from another site, too large, or no form.
        """
        if self.request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise Refusal("malformed", origin="other")
        body = await self.request.body()  # bounded by the application
        kind = self.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if body and kind != "application/x-www-form-urlencoded":
            raise Refusal("malformed")
        try:
            pairs = parse_qsl(
                body.decode("ascii"),
                keep_blank_values=True,
                strict_parsing=True,
                errors="strict",
                max_num_fields=_MOST_FIELDS,
            )
        except ValueError:
            raise Refusal("malformed") from None
        fields = dict(pairs)
        if len(fields) < len(pairs):
            raise Refusal("malformed")
        key = fields.pop(FORM_KEY, "")
        if not self._is_ours() and not (self.has_form_key and compare_digest(key.encode(), self.form_key.encode())):
            self._log_origin()
            raise Refusal("malformed", origin="other", reason="form-origin")
        return fields

    def _is_ours(self) -> bool:
        """Whether the browser says that the form was one of ours; old ones that say nothing send no cookies of others.

        Behind a proxy the scheme may differ, so hosts are compared; and the proxy may have put its own name for us into
        Host. So this is a yes or a perhaps: then the form's key decides, which no other site can read. `Origin: null`
        is sent by some for privacy, and by a hostile frame alike, which has no cookies.
        """
        headers = self.request.headers
        if headers.get("sec-fetch-site"):
            return True  # others have been refused
        said = headers.get("origin") or headers.get("referer")
        if said is None:
            return True
        # A proxy may have put its own name into Host; then it says here which one the browser meant.
        ours = {headers.get(name, "").lower() for name in ("host", "x-forwarded-host")} - {""}
        return _host(said) in ours

    def _log_origin(self) -> None:
        headers = self.request.headers
        log.warning(
            "form refused: from another site, or a proxy in front does not pass on the name that the browser asked for",
            origin=_host(headers.get("origin") or headers.get("referer") or "")[:100],
            host=headers.get("host", "")[:100],
            missing="none" if headers.get("x-forwarded-host") else "Host as the browser sent it, or X-Forwarded-Host",
            cookie=self.has_form_key,
        )

    # Tokens

    def held(self) -> KeptTicket:
        """The place this browser holds.

        Raises:
            Refusal: `unauthorized`.
        """
        if self.ticket is None:
            raise Refusal("unauthorized")
        return self.ticket

    def allowed(self) -> str:
        """The pass this browser holds.

        Raises:
            Refusal: `unauthorized`.
        """
        if self.pass_ is None:
            raise Refusal("unauthorized")
        return self.pass_

    def receipt(self, no: str | None = None) -> KeptReceipt:
        """The receipt of this number, or the one that was opened last.

        Raises:
            Refusal: `unauthorized`.
        """
        for receipt in self.receipts:
            if no in (None, receipt.no):
                return receipt
        raise Refusal("unauthorized", reason="no-receipt")

    # Cookies to set

    def keep(self, name: str, value: str) -> Cookie:
        """A cookie that only these pages get, and that no script can read."""
        return self._cookie(name, value, _MAX_AGE_SECONDS[name])

    def drop(self, name: str) -> Cookie:
        """The end of a cookie."""
        return self._cookie(name, "", 0)

    def keep_receipt(self, no: str, token: str) -> Cookie:
        """This receipt first, then the earlier ones."""
        return self._keep_receipts([KeptReceipt(no, token), *(it for it in self.receipts if it.no != no)])

    def drop_receipt(self, no: str) -> Cookie:
        """The others only."""
        return self._keep_receipts([it for it in self.receipts if it.no != no])

    def _keep_receipts(self, receipts: list[KeptReceipt]) -> Cookie:
        text = "~".join(f"{it.no}.{it.token}" for it in receipts[:MOST_RECEIPTS])
        return self.keep("receipts", text) if text else self.drop("receipts")

    def _cookie(self, name: str, value: str, max_age: int | None) -> Cookie:
        # Behind a proxy that ends TLS, its word; whoever lies about it harms their own cookie only.
        schemes = (self.request.url.scheme, self.request.headers.get("x-forwarded-proto", "").partition(",")[0].strip())
        return Cookie(
            key=name,
            value=value,
            path=HOME,
            max_age=max_age,
            httponly=True,
            samesite="strict",
            secure="https" in schemes,
        )


def _host(url: str) -> str:
    """The host of an address, "" where it has none."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def safe_way_back(path: str) -> str:
    """A path of these pages, or the first one."""
    return path if _BACK.fullmatch(path) else HOME


def date_of(text: str) -> date | None:
    """A day as a date field sends it or as people type it; None for nothing.

    Raises:
        Invalid: it is no day.
    """
    plain = unicodedata.normalize("NFKC", text[:40]).strip()
    if not plain:
        return None
    found = _DATE.fullmatch(plain)
    try:
        if found is None:
            raise ValueError
        return date(*(int(part) for part in found.groups()))
    except ValueError:
        raise Invalid(("not_before", "type")) from None


def text_fields(form: dict[str, str], *names: str) -> dict[str, Any]:
    """Some fields of a form; what is absent is empty."""
    return {name: form.get(name, "") for name in names}
