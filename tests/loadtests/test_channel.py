"""A channel brings each request its answer, says how it ended, and waits for nobody; by TLS its session is resumed."""

import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest
from gevent import socket as gevent_socket
from gevent import ssl as gevent_ssl
from gevent.hub import get_hub
from gevent.server import StreamServer
from gevent.socket import socket

from loadtests.client import channel_tls
from loadtests.client.channel import Channel, Target
from loadtests.client.channel_tls import TlsChannel, TlsSessions
from loadtests.client.http import Answer, Broken

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CLOSING = PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


class Holder:
    """Writes down what becomes of its channels."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.answers: list[Answer] = []

    def connected(self, channel: Channel) -> None:
        self.heard.append("connected")

    def secured(self, channel: Channel, *, resumed: bool) -> None:
        self.heard.append("resumed" if resumed else "secured")

    def answered(self, channel: Channel, answer: Answer) -> None:
        self.answers.append(answer)
        self.heard.append("answered" if channel.is_open else "answered, closed")

    def broke(self, channel: Channel, broken: Broken) -> None:
        self.heard.append(f"broke: {broken}{', kept' if broken.kept else ''}")

    def ended(self, channel: Channel) -> None:
        self.heard.append("ended")

    def await_(self, *heard: str) -> None:
        with gevent.Timeout(10):
            while len(self.heard) < len(heard):
                gevent.sleep(0.002)
        assert self.heard == list(heard)


@contextmanager
def server(handle: Callable[[socket, str], None], tls: Any = None) -> Iterator[Target]:
    """Serves each connection with `handle(socket, the client's address)`."""

    def accept(peer: socket, address: tuple[str, int]) -> None:
        handle(peer, address[0])
        peer.close()

    listening = StreamServer(("127.0.0.1", 0), accept, **({"ssl_context": tls} if tls else {}))
    listening.start()
    try:
        yield Target(get_hub().loop, gevent_socket.AF_INET, ("127.0.0.1", listening.server_port), "localhost")
    finally:
        listening.stop()


def says(*answers: bytes) -> Callable[[socket, str], None]:
    """One answer a request, then the end."""

    def handle(peer: socket, _: str) -> None:
        for answer in answers:
            if not peer.recv(1000):
                return
            peer.sendall(answer)

    return handle


@pytest.fixture
def holder() -> Holder:
    return Holder()


def test_one_connection_answers_one_request_after_the_other(holder: Holder) -> None:
    with server(says(PLAIN, PLAIN.replace(b"{}", b"[]"))) as target:
        channel = Channel(target, holder, 1, 0)
        channel.ask(b"x")
        holder.await_("connected", "answered")
        channel.ask(b"y")
        holder.await_("connected", "answered", "answered", "ended")
    assert [answer.body for answer in holder.answers] == [b"{}", b"[]"]


def test_an_answer_in_pieces_is_heard_whole(holder: Holder) -> None:
    def handle(peer: socket, _: str) -> None:
        peer.recv(1000)
        for k in range(len(PLAIN)):
            peer.sendall(PLAIN[k : k + 1])
            gevent.sleep(0.001)
        peer.recv(1)

    with server(handle) as target:
        channel = Channel(target, holder, 1, 0)
        channel.ask(b"x")
        holder.await_("connected", "answered")
        channel.close()
    assert holder.answers[0].body == b"{}"


def test_what_the_server_closes_while_idle_has_ended_and_is_no_failure(holder: Holder) -> None:
    with server(says(PLAIN)) as target:
        channel = Channel(target, holder, 1, 0)
        channel.ask(b"x")
        holder.await_("connected", "answered", "ended")
    assert not channel.is_open


def test_connection_close_is_obeyed(holder: Holder) -> None:
    with server(says(CLOSING)) as target:
        Channel(target, holder, 1, 0).ask(b"x")
        holder.await_("connected", "answered, closed")


def test_a_kept_connection_that_ends_before_the_answer_says_so(holder: Holder) -> None:
    def handle(peer: socket, _: str) -> None:
        peer.recv(1000)
        peer.sendall(PLAIN)
        peer.recv(1000)

    with server(handle) as target:
        channel = Channel(target, holder, 1, 0)
        channel.ask(b"x")
        holder.await_("connected", "answered")
        channel.ask(b"x")
        holder.await_("connected", "answered", "broke: closed before the answer, kept")


@pytest.mark.parametrize(
    ("cut", "why"),
    [
        (b"", "closed before the answer"), (PLAIN[:-1], "closed inside the answer"),
        (b"SSH-2.0-x\r\n\r\n", "not HTTP"),
    ],
)  # fmt: skip
def test_a_broken_answer_is_no_answer(holder: Holder, cut: bytes, why: str) -> None:
    with server(says(cut)) as target:
        Channel(target, holder, 1, 0).ask(b"x")
        holder.await_("connected", f"broke: {why}")


def test_a_refused_connection_broke(holder: Holder) -> None:
    with server(says()) as target:
        pass
    Channel(target, holder, 1, 0).ask(b"x")
    holder.await_("broke: ConnectionRefusedError")


def test_who_gives_up_hears_no_late_answer(holder: Holder) -> None:
    def handle(peer: socket, _: str) -> None:
        peer.recv(1000)
        gevent.sleep(0.05)
        peer.sendall(PLAIN)

    with server(handle) as target:
        channel = Channel(target, holder, 1, 0)
        channel.ask(b"x")
        channel.give_up("timeout")
        gevent.sleep(0.1)
        holder.await_("connected", "broke: timeout")


def test_it_comes_from_the_address_it_is_given_and_one_opened_ahead_waits(holder: Holder) -> None:
    seen: list[str] = []

    def handle(peer: socket, address: str) -> None:
        seen.append(address)
        peer.recv(1)

    with server(handle) as target:
        channel = Channel(target, holder, 1, 0, "127.0.9.77")
        channel.connect()
        holder.await_("connected")
        gevent.sleep(0.02)
        channel.close()
    assert seen == ["127.0.9.77"]


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    """A certificate's file, and a server's context with it."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = str(folder / "key.pem"), str(folder / "cert.pem")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
    ]
    command += ["-keyout", key, "-out", cert, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(command, check=True, capture_output=True)
    context = gevent_ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context


@pytest.fixture
def trusting(certificate: tuple[str, Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    context = ssl.create_default_context(cafile=certificate[0])
    monkeypatch.setattr(channel_tls, "crowd_context", lambda: context)
    return certificate[1]


def test_by_tls_the_second_connection_of_a_browser_resumes_its_session(holder: Holder, trusting: Any) -> None:
    with server(says(PLAIN, CLOSING), trusting) as target:
        sessions = TlsSessions()
        for _ in range(2):
            channel = TlsChannel(target, holder, 1, 0, None, sessions)
            for _ in range(2):
                before = len(holder.answers)
                channel.ask(b"x")
                with gevent.Timeout(10):
                    while len(holder.answers) == before:
                        gevent.sleep(0.002)
        other = TlsChannel(target, holder, 2, 0, None, sessions)
        other.ask(b"x")
        holder.await_(
            "connected", "secured", "answered", "answered, closed",
            "connected", "resumed", "answered", "answered, closed",
            "connected", "secured", "answered",
        )  # fmt: skip
        other.close()


def test_a_certificate_that_nobody_trusts_is_refused_and_the_reason_is_said(
    holder: Holder, certificate: tuple[str, Any]
) -> None:
    with server(says(PLAIN), certificate[1]) as target:
        TlsChannel(target, holder, 1, 0, None, TlsSessions()).ask(b"x")
        with gevent.Timeout(10):
            while len(holder.heard) < 2:
                gevent.sleep(0.002)
    assert holder.heard[0] == "connected"
    assert holder.heard[1].startswith("broke: its certificate is not trusted: ")


def test_where_no_tls_is_spoken_the_handshake_fails(holder: Holder) -> None:
    with server(says(PLAIN)) as target:
        TlsChannel(target, holder, 1, 0, None, TlsSessions()).ask(b"x")
        with gevent.Timeout(10):
            while len(holder.heard) < 2:
                gevent.sleep(0.002)
    assert holder.heard[1].startswith("broke: no TLS")


def test_one_opened_ahead_that_ends_as_it_is_first_used_is_a_kept_one(holder: Holder) -> None:
    def handle(peer: socket, _: str) -> None:
        peer.recv(1000)

    with server(handle) as target:
        channel = Channel(target, holder, 1, 0)
        channel.connect()
        holder.await_("connected")
        channel.ask(b"x")
        holder.await_("connected", "broke: closed before the answer, kept")


def test_a_408_on_a_kept_connection_was_meant_for_its_silence(holder: Holder) -> None:
    late = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    with server(says(PLAIN, late)) as target:
        channel = Channel(target, holder, 1, 0)
        channel.ask(b"x")
        holder.await_("connected", "answered")
        channel.ask(b"x")
        holder.await_("connected", "answered", "broke: 408 before the request was there, kept")
    with server(says(late)) as target:
        Channel(target, holder, 1, 0).ask(b"x")
        holder.await_(
            "connected", "answered", "broke: 408 before the request was there, kept", "connected", "answered, closed"
        )
