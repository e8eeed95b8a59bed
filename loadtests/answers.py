"""The contract's answers, as far as a resident's page reads them, and the requests it sends."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import msgspec

API = "/api/v1"


class Draw(msgspec.Struct):
    seconds: float
    commitment: str
    entries: int | None = None
    seed: str | None = None


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
    claim_before: str | None = None


class Pass(msgspec.Struct):
    pass_: str = msgspec.field(name="pass")
    expires_at: str


class Registration(msgspec.Struct):
    registration_no: str
    state: str
    receipt: str | None = None
    district: str | None = None


class Problem(msgspec.Struct):
    """RFC 9457 problem with the contract's extras."""

    code: str
    detail: str = ""
    reason: str | None = None
    poll_after_seconds: float | None = None
    errors: Any = None


class Site(msgspec.Struct):
    site: str
    district: str


class Sites(msgspec.Struct):
    sites: list[Site]


class City(msgspec.Struct):
    name: str
    timezone: str
    now: str


decode_place = msgspec.json.Decoder(Place).decode
decode_pass = msgspec.json.Decoder(Pass).decode
decode_registration = msgspec.json.Decoder(Registration).decode
decode_problem = msgspec.json.Decoder(Problem).decode
decode_opening = msgspec.json.Decoder(Opening).decode
decode_sites = msgspec.json.Decoder(Sites).decode
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


METHODS = {
    Call.CITY: "GET",
    Call.OPENING: "GET",
    Call.JOIN: "POST",
    Call.POLL: "GET",
    Call.LEAVE: "DELETE",
    Call.CLAIM: "POST",
    Call.REGISTER: "POST",
    Call.LOOK_UP: "GET",
}


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
        """A GET of `path` below the base path."""
        head = f"GET {API}{path}".encode() + self._tail
        return head + (b"Authorization: Bearer " + bearer + b"\r\n\r\n" if bearer else b"\r\n")

    def join(self, district: str, body: bytes) -> bytes:
        return b"POST /api/v1/openings/%b/tickets%bContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
            district.encode(), self._tail, len(body), body,
        )  # fmt: skip

    def poll(self, ticket: bytes) -> bytes:
        return self._poll + ticket + b"\r\n\r\n"

    def leave(self, ticket: bytes) -> bytes:
        return self._leave + ticket + b"\r\n\r\n"

    def claim(self, ticket: bytes) -> bytes:
        return self._claim + ticket + b"\r\n\r\n"

    def register(self, pass_: bytes, body: bytes) -> bytes:
        return b"%b%b\r\nContent-Length: %d\r\n\r\n%b" % (self._register, pass_, len(body), body)
