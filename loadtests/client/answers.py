"""The contract's answers, as far as a resident's page reads them, and the requests it sends."""

from __future__ import annotations

from enum import IntEnum

import msgspec

API = "/api/v1"


class BeaconRound(msgspec.Struct, frozen=True):
    """The round that a draw is bound to; `missing` says why it has no signature."""

    chain: str = ""
    round: int = 0
    signature: str | None = None
    randomness: str | None = None
    missing: str | None = None


class Draw(msgspec.Struct):
    seconds: float
    commitment: str
    entries: int | None = None
    seed: str | None = None
    key: str | None = None
    numbers_at: str | None = None
    root: str | None = None
    beacon: BeaconRound | None = None


class Look(msgspec.Struct):
    """When to look again (`client/public_wait.py`)."""

    floor_seconds: float
    ceiling_seconds: float
    share: float
    stretch: float
    per_second: float


class Wait(msgspec.Struct):
    """What it takes to wait without asking a worker."""

    pace_per_second: float
    free: int
    given_up: list[tuple[int, int]]
    claim_seconds: float
    look: Look
    turns: list[tuple[int, float, float]] = []


class Opening(msgspec.Struct):
    """`GET /openings/{district}`."""

    district: str
    date: str
    state: str
    now: str
    opens_at: str | None
    closes_at: str | None
    issued: int
    serving: int
    waiting: int
    rate_per_second: float
    draw: Draw
    wait: Wait | None = None


class Place(msgspec.Struct):
    """Both the answer to a join and to a poll; a poll has no entry."""

    state: str
    serving: int
    poll_after_seconds: float | None = None
    ticket: str | None = None
    entry: int | None = None
    number: int | None = None
    ahead: int | None = None
    eta_seconds: float | None = None
    eta_low_seconds: float | None = None
    eta_high_seconds: float | None = None
    claim_before: str | None = None


class Pass(msgspec.Struct):
    pass_: str = msgspec.field(name="pass")
    expires_at: str


class Alerts(msgspec.Struct):
    """`POST /ticket/alerts`."""

    sms: bool
    why: str | None = None


class MoreTime(msgspec.Struct):
    """`POST /ticket/more-time`."""

    claim_before: str
    extended: bool


class Preference(msgspec.Struct):
    site: str
    period: str


class Registration(msgspec.Struct):
    """A registration as its holder sees it; the contract names no wishes, so an answer may lack them."""

    registration_no: str
    state: str
    receipt: str | None = None
    district: str | None = None
    preferences: list[Preference] = []
    accept_any_site: bool | None = None
    not_before: str | None = None


class Eligible(msgspec.Struct):
    """`POST /openings/{district}/eligibility`."""

    eligible: bool
    date: str
    first_dose_date: str | None


class CodeSent(msgspec.Struct):
    """`POST /access-codes`."""

    expires_in_seconds: int
    retry_after_seconds: int


class FieldFault(msgspec.Struct):
    field: str


class Problem(msgspec.Struct):
    """RFC 9457 problem with the contract's extras."""

    code: str
    detail: str = ""
    reason: str | None = None
    poll_after_seconds: float | None = None
    errors: list[FieldFault] | None = None


class Proof(msgspec.Struct):
    """`GET /ticket/proof`."""

    entry: int
    blind: str
    path: list[str]
    root: str


class Site(msgspec.Struct):
    site: str
    district: str


class Sites(msgspec.Struct):
    sites: list[Site]


class Consent(msgspec.Struct):
    version: str


class Service(msgspec.Struct):
    consent: Consent | None = None


class City(msgspec.Struct):
    name: str
    timezone: str
    now: str
    service: Service | None = None


decode_place = msgspec.json.Decoder(Place).decode
decode_pass = msgspec.json.Decoder(Pass).decode
decode_registration = msgspec.json.Decoder(Registration).decode
decode_problem = msgspec.json.Decoder(Problem).decode
decode_eligible = msgspec.json.Decoder(Eligible).decode
decode_code_sent = msgspec.json.Decoder(CodeSent).decode
decode_opening = msgspec.json.Decoder(Opening).decode
decode_proof = msgspec.json.Decoder(Proof).decode
decode_sites = msgspec.json.Decoder(Sites).decode
decode_alerts = msgspec.json.Decoder(Alerts).decode
decode_more_time = msgspec.json.Decoder(MoreTime).decode
decode_city = msgspec.json.Decoder(City).decode


class Call(IntEnum):
    """The calls that are measured apart."""

    CITY = 0
    OPENING = 1
    JOIN = 2
    POLL = 3
    LEAVE = 4
    CLAIM = 5
    REGISTER = 6
    LOOK_UP = 7
    ELIGIBILITY = 8
    SITES = 9
    QR = 10
    CHANGE = 11
    CANCEL = 12
    ACCESS_CODE = 13
    ACCESS_TOKEN = 14
    CALENDAR = 15
    ALERTS = 16
    MORE_TIME = 17


ENDPOINTS = {
    Call.CITY: ("GET", "/city"),
    Call.OPENING: ("GET", "/openings/{district}"),
    Call.JOIN: ("POST", "/openings/{district}/tickets"),
    Call.POLL: ("GET", "/ticket"),
    Call.LEAVE: ("DELETE", "/ticket"),
    Call.CLAIM: ("POST", "/passes"),
    Call.REGISTER: ("POST", "/registrations"),
    Call.LOOK_UP: ("GET", "/registrations/{no}"),
    Call.ELIGIBILITY: ("POST", "/openings/{district}/eligibility"),
    Call.SITES: ("GET", "/sites"),
    Call.QR: ("GET", "/registrations/{no}/qr.svg"),
    Call.CHANGE: ("PATCH", "/registrations/{no}"),
    Call.CANCEL: ("POST", "/registrations/{no}/cancellation"),
    Call.ACCESS_CODE: ("POST", "/access-codes"),
    Call.ACCESS_TOKEN: ("POST", "/access-tokens"),
    Call.CALENDAR: ("GET", "/registrations/{no}/appointment.ics"),
    Call.ALERTS: ("POST", "/ticket/alerts"),
    Call.MORE_TIME: ("POST", "/ticket/more-time"),
}
"""Method and path below the base path, as templates."""

METHODS = {call: method for call, (method, _) in ENDPOINTS.items()}

PAGE_CALLS = frozenset((method, API + path) for method, path in ENDPOINTS.values())
"""(method, path template as in `/schema`) of everything the rehearsal's residents ask a server for: the resident page
uses the same calls and no other."""


class Requests:
    """Requests of the page as bytes, for one server.

    Args:
        authority: `host:port`, for the Host header.
    """

    def __init__(self, authority: str) -> None:
        self._tail = f" HTTP/1.1\r\nHost: {authority}\r\nAccept-Language: zh\r\n".encode()
        self._poll = b"GET /api/v1/ticket" + self._tail + b"Authorization: Bearer "
        self._leave = b"DELETE /api/v1/ticket" + self._tail + b"Authorization: Bearer "
        self._claim = b"POST /api/v1/passes" + self._tail + b"Content-Length: 0\r\nAuthorization: Bearer "
        self._register = (
            b"POST /api/v1/registrations" + self._tail + b"Content-Type: application/json\r\nAuthorization: Bearer "
        )

    def get(self, path: str, bearer: bytes | None = None) -> bytes:
        """Return a GET of `path` below the base path."""
        head = f"GET {API}{path}".encode() + self._tail
        return head + (b"Authorization: Bearer " + bearer + b"\r\n\r\n" if bearer else b"\r\n")

    def send(self, method: str, path: str, body: bytes | None = None, bearer: bytes | None = None) -> bytes:
        """Any request below the base path; a `body` is JSON, None sends none."""
        head = f"{method} {API}{path}".encode() + self._tail
        if bearer:
            head += b"Authorization: Bearer " + bearer + b"\r\n"
        if body is None:
            return head + b"Content-Length: 0\r\n\r\n"
        return b"%bContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (head, len(body), body)

    def join(self, district: str, body: bytes) -> bytes:
        return b"POST /api/v1/openings/%b/tickets%bContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
            district.encode(), self._tail, len(body), body,
        )  # fmt: skip

    def poll(self, ticket: bytes) -> bytes:
        return self._poll + ticket + b"\r\n\r\n"

    def look(self, district: str) -> bytes:
        """Return the request for the public answer, of one who waits: their browser has an older one."""
        return b'GET /api/v1/openings/%b%bIf-None-Match: "some seconds ago"\r\n\r\n' % (district.encode(), self._tail)

    def leave(self, ticket: bytes) -> bytes:
        return self._leave + ticket + b"\r\n\r\n"

    def claim(self, ticket: bytes) -> bytes:
        return self._claim + ticket + b"\r\n\r\n"

    def register(self, pass_: bytes, body: bytes) -> bytes:
        return b"%b%b\r\nContent-Length: %d\r\n\r\n%b" % (self._register, pass_, len(body), body)
