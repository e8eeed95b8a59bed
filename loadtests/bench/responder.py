"""The least server to measure a generator against: `python -m loadtests.bench.responder PORT OPENS_AT SECONDS`.

It answers what the residents of a rehearsal ask for with prepared bytes, in an epoll loop of its own process: places in
the queue that are never called, so that everyone polls on as told. It keeps connections, and knows no time-out.
"""

from __future__ import annotations

import select
import socket
import sys
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import msgspec

_TICKET = "t" * 140
_POLL_AFTER_SECONDS = 5
_CHUNK = 65_536


def _http(body: object, status: str = "200 OK") -> bytes:
    encoded = msgspec.json.encode(body)
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(encoded)}\r\n\r\n"
    return head.encode() + encoded


class Responder:
    """The answers, by the beginning of the request."""

    def __init__(self, opens_at: datetime) -> None:
        self._opens_at = opens_at
        self._entries = count()
        place: dict[str, Any] = {"state": "waiting", "number": 900_000, "serving": 0, "ahead": 899_999}
        place |= {"eta_seconds": 3600, "poll_after_seconds": _POLL_AFTER_SECONDS}
        self._poll = _http(place)
        self._place = msgspec.json.encode({k: v for k, v in place.items() if k not in ("number", "ahead")})[1:]

    def answer(self, request: bytes) -> bytes:
        """Return the answer to a whole request."""
        if request.startswith(b"GET /api/v1/ticket "):
            return self._poll
        path = request.split(b" ", 2)[1].decode().removeprefix("/api/v1")
        if request.startswith(b"POST ") and path.endswith("/tickets"):
            entry = next(self._entries)
            body = b'{"ticket":"%d.%b","entry":%d,%b' % (entry, _TICKET.encode(), entry, self._place)
            return b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
                len(body), body,
            )  # fmt: skip
        if path == "/city":
            return _http({"name": "-", "timezone": "Asia/Shanghai", "now": self._now()})
        if path.startswith("/openings/"):
            return _http(self._opening(path.removeprefix("/openings/")))
        if path.startswith("/sites?district="):
            district = path.removeprefix("/sites?district=")
            return _http({"sites": [{"site": f"{district}{k:03d}", "district": district} for k in range(1, 13)]})
        return _http({"code": "not-found", "detail": ""}, "404 Not Found")

    def _now(self) -> str:
        return datetime.now(self._opens_at.tzinfo).isoformat()

    def _opening(self, district: str) -> dict[str, Any]:
        return {
            "district": district, "date": f"{self._opens_at:%Y-%m-%d}", "state": "open", "now": self._now(),
            "opens_at": self._opens_at.isoformat(), "closes_at": (self._opens_at + timedelta(hours=4)).isoformat(),
            "issued": 0, "serving": 0, "waiting": 0, "rate_per_second": 1.0, "wait": None,
            "draw": {"seconds": 1.0, "commitment": "00", "entries": None, "seed": None},
        }  # fmt: skip


def respond(port: int, responder: Responder, seconds: float) -> None:
    """Answer for so many seconds."""
    listening = socket.create_server(("127.0.0.1", port), backlog=4096)
    listening.setblocking(False)
    poll = select.epoll()
    poll.register(listening.fileno(), select.EPOLLIN)
    sockets: dict[int, socket.socket] = {}
    ends = datetime.now() + timedelta(seconds=seconds)
    while datetime.now() < ends:
        for fd, _ in poll.poll(1.0):
            if fd == listening.fileno():
                _accept(listening, poll, sockets)
                continue
            try:
                data = sockets[fd].recv(_CHUNK)
            except OSError:
                data = b""
            if data:
                sockets[fd].send(responder.answer(data))
            else:
                sockets.pop(fd).close()


def _accept(listening: socket.socket, poll: select.epoll, sockets: dict[int, socket.socket]) -> None:
    while True:
        try:
            accepted, _ = listening.accept()
        except OSError:
            return
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[accepted.fileno()] = accepted
        poll.register(accepted.fileno(), select.EPOLLIN)


if __name__ == "__main__":
    respond(int(sys.argv[1]), Responder(datetime.fromisoformat(sys.argv[2])), float(sys.argv[3]))
