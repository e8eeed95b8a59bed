"""Load, at the edge: requests that never end leave room for honest ones.

Row L2 of the table of cases: 4,300 bodies that never end. Here a few hundred, and deadlines that the environment sets.
"""

import select
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import httpx
import pytest

from tests.support.front import answer_of, connect, status_of
from tests.support.serving import API, TIANHE, Up, operator_token, up

FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A real `jiaohao up` whose patience is short."""
    folder = tmp_path_factory.mktemp("served")
    options = ("--workers", "1", "--clock", "2021-06-19T08:30:00+08:00")
    with up(folder / "data", *options, JIAOHAO_HEAD_SECONDS="1", JIAOHAO_BODY_SECONDS="0.5") as server:
        yield server


def beginnings(server: Up) -> list[bytes]:
    """Requests whose bodies have begun, and will not go on: the crowd's calls, others, forms, files."""
    bearer = f"Authorization: Bearer {operator_token(server.data_dir)}"
    calls = [
        ("POST", f"{API}/openings/{TIANHE}/tickets", "application/json", b'{"id_type": '),
        ("POST", f"{API}/access-codes", "application/json", b'{"id_type": '),
        ("PATCH", f"{API}/openings/{TIANHE}", "application/json", b'{"message": '),
        ("POST", "/plain/look", FORM, b"lang=e"),
        ("POST", f"{API}/capacity", "text/csv", b"site,date,period,product,capacity\n"),
    ]
    found = []
    for method, path, kind, body in calls:
        for length, sent in (
            (f"Content-Length: {len(body) + 9}", body),
            ("Content-Length: 9", b""),
            ("Transfer-Encoding: chunked", b"%x\r\n%b\r\n" % (len(body), body)),
        ):
            lines = [f"{method} {path} HTTP/1.1", "Host: x", bearer, f"Content-Type: {kind}", length, "", ""]
            found.append("\r\n".join(lines).encode() + sent)
    return found


def test_hundreds_of_bodies_that_never_end_are_ended_and_honest_calls_are_answered(served: Up) -> None:
    begun = beginnings(served) * 20
    with ExitStack() as stack:
        hanging = [stack.enter_context(connect(served.url)) for _ in begun]
        for s, request in zip(hanging, begun, strict=True):
            s.sendall(request)
        assert served.call("GET", "/healthz").status_code == 200
        assert served.call("GET", f"{API}/city").status_code == 200
        for s, request in zip(hanging, begun, strict=True):
            answer = answer_of(s)  # to the end of the connection: its place is free
            assert status_of(answer) == 408, (request, answer)
            if b"/plain/" not in request:
                assert b'"code":"malformed"' in answer and b'"reason":"too-slow"' in answer
    assert served.call("GET", "/readyz").status_code == 200


def test_bodies_that_trickle_are_ended_too(served: Up) -> None:
    with ExitStack() as stack:
        trickling = {}
        for request in beginnings(served):
            s = stack.enter_context(connect(served.url))
            s.sendall(request.replace(b"Content-Length: ", b"Content-Length: 9"))  # so that it could go on for long
            trickling[s] = request
        for _ in range(3000):
            for s in select.select(list(trickling), [], [], 0.01)[0]:
                # what was sent after the end resets the connection, and may take the answer along
                assert status_of(answer_of(s)) in (408, 0), trickling[s]
                del trickling[s]
            for s, request in trickling.items():
                with suppress(ConnectionError):
                    s.sendall(b"1\r\nx\r\n" if b"chunked" in request else b"x")
            if not trickling:
                break
        assert not trickling, "they go on"


def test_a_slow_body_that_comes_in_time_is_taken(served: Up) -> None:
    with connect(served.url) as s:
        body = b"lang=en"
        s.sendall(b"POST /plain/look HTTP/1.1\r\nHost: x\r\nConnection: close\r\n")
        s.sendall(f"Content-Type: {FORM}\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        for i in range(len(body)):
            s.sendall(body[i : i + 1])
        answer = answer_of(s)
    assert status_of(answer) == 303 and b"set-cookie: lang=en" in answer


def test_heads_that_never_end_and_silent_connections_are_closed(served: Up) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(connect(served.url)) for _ in range(50)]
        for s in slow:
            s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        idle = stack.enter_context(connect(served.url))
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert httpx.get(f"{served.url}/healthz", trust_env=False).status_code == 200
        assert all(answer_of(s) == b"" for s in slow)
        assert status_of(answer_of(idle)) == 200  # and closed, as nothing more is asked
    with connect(served.url) as s:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Large: " + b"x" * 100_000)
        assert status_of(answer_of(s)) in (0, 431)
