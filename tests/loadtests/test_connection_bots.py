"""Bots dawdle, stand about and flood; a server that bears it longer than it promised turns a check red."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime

import gevent
import msgspec
import pytest
from gevent import socket as gevent_socket
from gevent.hub import get_hub
from gevent.server import StreamServer
from gevent.socket import socket

from loadtests.audit.promises import audit
from loadtests.client.answers import Requests
from loadtests.client.channel import Target
from loadtests.client.measure import Meters
from loadtests.crowd.arrivals import curve_of
from loadtests.crowd.crowd import Crowd
from loadtests.crowd.crowd_file import load_profile
from loadtests.crowd.profile import CONNECTION_KINDS, BotKind, Bots
from loadtests.generator import connection_bots
from loadtests.generator.connection_bots import MOST, ConnectionBots
from loadtests.resident.agenda import Agenda
from loadtests.resident.bots import Fleet
from loadtests.resident.journey import Journey
from loadtests.resident.pace import Pace
from loadtests.resident.run_opening import RunOpening
from loadtests.run.clock import RunClock
from tests.support.honest_opening_bots import Infested

N = 50
PROMISES = {
    "slow-head": "slow heads ended", "slow-body": "slow bodies ended", "idle-herd": "idle connections ended",
}  # fmt: skip


class Herd:
    """Two bots of a kind, of three connections each, and the server on the other side."""

    def __init__(self, kind: BotKind, target: Target, per_resident: float = 2 / N, connections: int = 3) -> None:
        bots = (Bots(kind, per_resident, 0.02, connections, None if kind == "connection-flood" else 0.1),)
        profile = msgspec.structs.replace(load_profile("bots"), bots=bots)
        crowd = Crowd(N, ("440106",), date(2021, 6, 19), 5, profile)
        opens_at = datetime.fromisoformat("2021-06-19T08:00:00+08:00")
        opening = RunOpening("440106", "2021-06-19", opens_at, 0, 120.0, "", ("440106001",))
        curve = curve_of(profile.arrivals, profile.door, 600, 120)
        requests, pace = Requests("test:80"), Pace.of(600, profile)
        self.journey = Journey(crowd, (opening,), (curve,), pace, requests, Agenda(), Meters())
        self.fleet = Fleet(self.journey, requests)
        self.bots = ConnectionBots(self.journey, RunClock(0), target, "test:80", tls=False)

    def counted(self, series: str) -> int:
        return sum(self.journey.meters.counts[series].values())

    def until(self, seen: Callable[[], bool]) -> None:
        self.bots.begin()
        try:
            with gevent.Timeout(20):
                while not seen():
                    gevent.sleep(0.01)
        finally:
            self.bots.end()


@contextmanager
def server(handle: Callable[[socket], None]) -> Iterator[Target]:
    def accept(peer: socket, _: object) -> None:
        handle(peer)
        peer.close()

    listening = StreamServer(("127.0.0.1", 0), accept)
    listening.start()
    try:
        yield Target(get_hub().loop, gevent_socket.AF_INET, ("127.0.0.1", listening.server_port), "localhost")
    finally:
        listening.stop()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_bots, "_TICK_SECONDS", 0.01)


def sends_away(peer: socket) -> None:
    peer.recv(1)
    peer.sendall(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")


def bears(peer: socket) -> None:
    while peer.recv(1000):
        pass


@pytest.mark.parametrize("kind", ["slow-head", "slow-body"])
def test_who_dawdles_is_sent_away_with_an_answer(kind: BotKind) -> None:
    with server(sends_away) as target:
        herd = Herd(kind, target)
        herd.until(lambda: herd.journey.meters.bots[(kind, 408, "")] > 6)  # and they come again
    assert not herd.journey.observations.contradictions


def test_who_says_nothing_is_let_go_without_one() -> None:
    with server(lambda peer: gevent.sleep(0.02)) as target:
        herd = Herd("idle-herd", target)
        herd.until(lambda: herd.journey.meters.bots[("idle-herd", 0, "closed")] > 6)
    assert not herd.journey.observations.contradictions


@pytest.mark.parametrize("kind", PROMISES)
def test_a_server_that_bears_it_is_told_of_once_for_each_connection(kind: BotKind) -> None:
    with server(bears) as target:
        herd = Herd(kind, target)
        herd.until(lambda: herd.journey.observations.contradictions[f"{kind} borne"] >= 6)
    assert herd.journey.observations.contradictions == {f"{kind} borne": 6}


def test_a_slow_head_is_a_request_and_comes_a_byte_at_a_time() -> None:
    heard: list[bytes] = []

    def listens(peer: socket) -> None:
        while data := peer.recv(1000):
            heard.append(data)

    with server(listens) as target:
        herd = Herd("slow-head", target, 1 / N, 1)
        herd.until(lambda: len(heard) > 20)
    assert b"".join(heard).startswith(b"POST /api/v1/openings")
    assert max(map(len, heard)) <= 2


def test_a_flood_opens_connections_and_leaves_them() -> None:
    with server(bears) as target:
        herd = Herd("connection-flood", target)
        herd.until(lambda: herd.counted("bot connections") > 30)
    assert not herd.journey.observations.contradictions
    assert not herd.journey.meters.bots


def test_they_are_bounded_and_are_no_bots_that_ask() -> None:
    with server(bears) as target:
        herd = Herd("idle-herd", target, 1.0, 500)
    assert (len(herd.bots), len(herd.fleet)) == (MOST, 0)


@pytest.mark.parametrize("kind", PROMISES)
def test_the_audit_says_which_of_them_was_borne_too_long(kind: BotKind) -> None:
    world = Infested()
    assert PROMISES[kind] not in red_of(world)
    world.observations.contradict(f"{kind} borne", N, "not ended after 16 s")
    assert red_of(world) == {PROMISES[kind]}
    assert kind in CONNECTION_KINDS


@pytest.mark.parametrize("kind", PROMISES)
def test_the_audit_misses_those_that_were_never_ended(kind: BotKind) -> None:
    world = Infested()
    for told in [told for told in world.evidence.meters.bots if told[0] == kind]:
        del world.evidence.meters.bots[told]
    assert red_of(world) == {PROMISES[kind]}


def red_of(world: Infested) -> set[str]:
    return {check.name for check in audit(world.evidence) if check.ok is False}
