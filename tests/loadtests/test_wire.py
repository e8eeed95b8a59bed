"""A line hears every answer whole, tells a broken connection from a closed idle one, and never mixes answers up."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gevent
import pytest
from gevent.server import StreamServer
from gevent.socket import socket

from loadtests.client.wire import Answer, Broken, Connection, Stuck


@contextmanager
def server(handle: Callable[[socket, int], None]) -> Iterator[Connection]:
    """Serves each connection with `handle(socket, how many connections before it)`."""
    seen = 0

    def accept(peer: socket, _: object) -> None:
        nonlocal seen
        seen += 1
        handle(peer, seen - 1)
        peer.close()

    listening = StreamServer(("127.0.0.1", 0), accept)
    listening.start()
    connection = Connection("127.0.0.1", listening.server_port)
    try:
        yield connection
    finally:
        connection.close()
        listening.stop()


def says(*answers: bytes) -> Callable[[socket, int], None]:
    """One answer a request, then the end."""

    def handle(peer: socket, _: int) -> None:
        for answer in answers:
            if not peer.recv(1000):
                return
            peer.sendall(answer)

    return handle


PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def test_answers_are_heard_one_after_the_other_on_one_connection() -> None:
    second = b"HTTP/1.1 425 Too Early\r\nretry-after: 7\r\ncontent-length: 3\r\n\r\nabc"
    with server(says(PLAIN, second)) as connection:
        first = connection.exchange(b"GET / HTTP/1.1\r\n\r\n")
        assert (first.status, first.body) == (200, b"{}")
        assert first.size == len(PLAIN)
        assert first.seconds(b"retry-after") is None
        answer = connection.exchange(b"GET / HTTP/1.1\r\n\r\n")
        assert (answer.status, answer.body, answer.seconds(b"retry-after")) == (425, b"abc", 7.0)


def test_an_answer_in_pieces_is_heard_whole() -> None:
    def handle(peer: socket, _: int) -> None:
        peer.recv(1000)
        for k in range(len(PLAIN)):
            peer.sendall(PLAIN[k : k + 1])
            gevent.sleep(0)

    with server(handle) as connection:
        assert connection.exchange(b"x").body == b"{}"


def test_chunks_are_put_together() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;a=b\r\n!\r\n0\r\n\r\n"
    with server(says(chunked, PLAIN)) as connection:
        assert connection.exchange(b"x").body == b"hello!"
        assert connection.exchange(b"x").body == b"{}"


def test_no_content_is_an_answer() -> None:
    with server(says(b"HTTP/1.1 204 No Content\r\n\r\n")) as connection:
        assert connection.exchange(b"x") == Answer(204, b"http/1.1 204 no content\r\n", b"")


def test_a_kept_connection_that_ends_says_so_and_the_next_try_connects_again() -> None:
    with server(says(PLAIN)) as connection:
        connection.exchange(b"x")
        with pytest.raises(Broken) as broken:
            connection.exchange(b"x")
        assert broken.value.kept
        assert connection.exchange(b"x").status == 200


def test_a_connection_closed_while_idle_is_replaced_unnoticed(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(says(PLAIN)) as connection:
        connection.exchange(b"x")
        gevent.sleep(0.02)  # until the server's end has been heard
        monkeypatch.setattr("loadtests.client.wire._IDLE_SECONDS", 0.0)
        assert connection.exchange(b"x").status == 200


def test_a_connection_that_was_idle_and_lives_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtests.client.wire._IDLE_SECONDS", 0.0)
    with server(says(PLAIN, PLAIN.replace(b"{}", b"[]"))) as connection:
        assert connection.exchange(b"x").body == b"{}"
        assert connection.exchange(b"x").body == b"[]"


def test_close_is_obeyed() -> None:
    closing = PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with server(says(closing)) as connection:
        assert connection.exchange(b"x").status == 200
        assert connection.exchange(b"x").status == 200  # on a new connection


@pytest.mark.parametrize("cut", [b"", b"HTTP/1.1 200", PLAIN[:-1], b"SSH-2.0-x\r\n\r\n"])
def test_a_broken_answer_is_no_answer(cut: bytes) -> None:
    with server(says(cut)) as connection, pytest.raises(Broken) as broken:
        connection.exchange(b"x")
    assert not broken.value.kept


def test_a_refused_connection_is_broken() -> None:
    with pytest.raises(Broken):
        Connection("127.0.0.1", 1).exchange(b"x")


def test_a_stuck_line_is_freed_and_its_late_answer_reaches_nobody() -> None:
    def handle(peer: socket, before: int) -> None:
        peer.recv(1000)
        if before:
            peer.sendall(PLAIN)

    def hang(peer: socket, before: int) -> None:
        handle(peer, before)
        gevent.sleep(30) if not before else None

    with server(hang) as connection:
        line = gevent.spawn(connection.exchange, b"x")
        gevent.sleep(0.02)
        line.kill(Stuck)
        assert isinstance(line.exception, Broken)
        assert connection.exchange(b"x").body == b"{}"


@pytest.mark.parametrize(
    ("head", "seconds"), [(b"retry-after: 3", 3.0), (b"retry-after: Fri, 31", None), (b"x: 1", None)]
)
def test_retry_after_is_read_in_seconds(head: bytes, seconds: float | None) -> None:
    assert Answer(503, b"http/1.1 503 x\r\n" + head + b"\r\n", b"").seconds(b"retry-after") == seconds
