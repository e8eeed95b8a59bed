"""Connections as browsers keep them: one each, used again, given up with their network; and as many as can be held."""

import resource
from datetime import date
from typing import Any

import msgspec
import pytest

from loadtests.cli.checks import problem_of
from loadtests.client.measure import Meters
from loadtests.crowd.arrivals import Curve, parse_curve
from loadtests.crowd.crowd import Crowd, mix
from loadtests.crowd.crowd_file import load_profile
from loadtests.crowd.profile import Browsers, CrowdProfile, Families, Network
from loadtests.generator.connections import OwnConnections, SharedConnections
from loadtests.resident.acts import SECOND_US as S
from loadtests.resident.acts import Act
from loadtests.run.holdable import Holdable, holdable, needed, refuse_too_many
from loadtests.run.options import CannotRehearse, Options
from loadtests.run.sources import source_of
from loadtests.scenarios import load, names
from tests.support.honest_opening import World


class Wire:
    """A channel without a server: open until somebody closes it."""

    def __init__(self, owner: int, needed_us: int) -> None:
        self.owner, self.needed_us, self.idle_since_us = owner, needed_us, 0
        self.next_idle: Any = None
        self.is_open, self.connects = True, 0

    def connect(self) -> None:
        self.connects += 1

    def close(self) -> None:
        self.is_open = False


def crowd(**changes: Any) -> Crowd:
    plain = {"browsers": Browsers(keep_alive_seconds=115), "networks": (), "families": Families()} | changes
    profile: CrowdProfile = msgspec.structs.replace(load_profile(), **plain)
    return Crowd(1000, profile.come, date(2021, 6, 19), 1, profile)


class Browsing:
    """Own connections of a crowd, and what was counted."""

    def __init__(self, most: int = 100, **changes: Any) -> None:
        self.meters, self.made = Meters(), list[Wire]()
        self.connections: Any = OwnConnections(crowd(**changes), self.meters, self._make, most, 1)  # type: ignore[arg-type]

    def _make(self, owner: int, needed_us: int) -> Wire:
        self.made.append(Wire(owner, needed_us))
        return self.made[-1]

    def asks(self, i: int, at_s: float, act: Act = Act.POLL) -> Wire:
        wire: Wire = self.connections.take(i, act, int(at_s * S), int(at_s * S))
        return wire

    def hears(self, wire: Wire, at_s: float) -> None:
        self.connections.give_back(wire, int(at_s * S))

    def counted(self, series: str) -> int:
        return sum(self.meters.counts[series].values())


def test_who_asks_again_asks_by_the_same_connection() -> None:
    world = Browsing()
    first, other = world.asks(3, 0), world.asks(4, 0)
    assert first is not other
    world.hears(first, 1)
    assert world.asks(3, 20) is first
    assert world.counted("connections reused") == 1
    assert world.connections.open == 2


def test_a_second_request_at_once_and_a_second_device_have_connections_of_their_own() -> None:
    world = Browsing()
    page, tab = world.asks(3, 0), world.asks(3, 0)
    phone = world.asks(3, 0, Act.OTHER_DEVICE)
    assert len({page, tab, phone}) == 3
    for wire in (page, tab, phone):
        world.hears(wire, 1)
    assert world.asks(3, 2) is tab
    assert world.asks(3, 2) is page
    assert world.asks(3, 2, Act.OTHER_DEVICE) is phone


def test_a_family_has_one_phone_and_one_connection() -> None:
    world = Browsing(families=Families(share=1.0, size=3))
    wire = world.asks(3, 0)
    world.hears(wire, 1)
    assert world.asks(5, 2) is wire


def test_a_browser_keeps_an_idle_connection_for_so_long_and_no_longer() -> None:
    world = Browsing()
    wire, later = world.asks(3, 0), world.asks(4, 0)
    world.hears(wire, 1)
    world.hears(later, 50)
    world.connections.look_after(115 * S)
    assert wire.is_open
    world.connections.look_after(117 * S)
    assert (wire.is_open, later.is_open) == (False, True)
    assert world.counted("connections expired") == 1
    assert world.asks(3, 118) is not wire


def test_what_the_server_has_closed_is_not_used_again() -> None:
    world = Browsing()
    page, tab = world.asks(3, 0), world.asks(3, 0)
    world.hears(page, 1)
    world.hears(tab, 1)
    page.is_open = False
    world.connections.closed(page)
    assert world.connections.open == 1
    assert world.asks(3, 2) is tab
    assert world.asks(3, 2) not in (tab, page)


def test_who_changes_networks_leaves_the_old_connection_standing() -> None:
    train = Network("train", 1.0, 100, 200, reconnects=1.0)
    world = Browsing(networks=(train,))
    wire = world.asks(3, 0)
    world.hears(wire, 1)
    again = world.asks(3, 2)
    assert again is not wire
    assert wire.is_open, "the server hears nothing"
    assert (world.counted("connections left standing"), world.connections.open) == (1, 2)
    world.connections.look_after(123 * S)
    assert (wire.is_open, world.connections.open) == (False, 1)


def test_where_no_more_can_be_held_the_longest_idle_one_goes() -> None:
    world = Browsing(most=2)
    first, second = world.asks(1, 0), world.asks(2, 0)
    assert not world.connections.has_room()
    world.hears(first, 1)
    world.hears(second, 2)
    assert world.connections.has_room()
    third = world.asks(3, 3)
    assert (first.is_open, second.is_open, third.is_open) == (False, True, True)
    assert world.counted("connections closed for room") == 1


def test_a_connection_opened_ahead_is_kept_idle_and_is_the_next_to_be_used() -> None:
    world = Browsing(browsers=Browsers(spare=1.0))
    wire = world.asks(3, 0)
    (spare,) = [made for made in world.made if made is not wire]
    assert (spare.connects, world.connections.open) == (1, 2)
    assert world.asks(3, 0) is spare


def test_shared_connections_are_as_many_as_there_are_lines() -> None:
    made: list[Wire] = []

    def make(owner: int, needed_us: int) -> Any:
        made.append(Wire(owner, needed_us))
        return made[-1]

    shared: Any = SharedConnections(make)
    assert not shared.has_room()
    shared.line_came()
    shared.line_came()
    one, two = shared.take(1, Act.POLL, 0, 0), shared.take(2, Act.POLL, 0, 0)
    assert not shared.has_room()
    shared.give_back(one, 1)
    assert shared.take(3, Act.POLL, 1, 1) is one
    shared.closed(two)
    assert shared.has_room()
    shared.give_back(one, 2)
    shared.line_left()
    shared.line_left()
    assert (one.is_open, shared.open) == (False, 0)


# how many can be held


def test_the_limit_of_open_files_is_raised_and_bounds_what_can_be_held() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 900), hard))
    try:
        can = holdable("127.0.0.1")
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == can.files > 900
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert 0 < can.connections < can.files
    assert can.sources == 4000
    assert holdable("192.0.2.7").sources == 1


def test_devices_come_from_addresses_of_their_own_in_the_machines_net() -> None:
    addresses = {source_of(owner << 1) for owner in range(9000)}
    assert len(addresses) == 4000
    assert all(address.startswith("127.0.") and address != "127.0.0.1" for address in addresses)
    assert source_of(6) == source_of(7), "a second device, at the same home"


def test_the_busiest_second_says_what_is_needed_at_the_least() -> None:
    world = World()
    profile = msgspec.structs.replace(
        world.crowd.profile,
        browsers=Browsers(spare=0.5),
        habits=msgspec.structs.replace(world.crowd.profile.habits, second_device=0.25),
    )
    everyone = Crowd(30_000, world.crowd.districts, world.crowd.day, 1, profile)
    curves = [loaded("stampede") for _ in world.evidence.openings]
    assert needed(everyone, world.evidence.openings, curves) == pytest.approx(30_000 * 1.75, abs=1)
    evenly = [loaded("even") for _ in world.evidence.openings]
    assert needed(everyone, world.evidence.openings, evenly) == pytest.approx(500 * 1.75, rel=0.01)


def loaded(arrivals: str) -> Curve:
    return parse_curve(arrivals, 60, 10)


def test_a_crowd_that_cannot_be_held_is_refused_with_what_helps() -> None:
    can = Holdable(19_700, 20_000, 112_928_000, 4000)
    with pytest.raises(CannotRehearse, match=r"opens 32,700 connections in its busiest second.*--processes.*ulimit"):
        refuse_too_many(Options(), can, 32_700, 1)
    refuse_too_many(Options(), can, 32_700, 2)
    refuse_too_many(Options(connections="shared"), can, 32_700, 1)


def test_own_connections_are_every_scenarios_default() -> None:
    assert {load(name).options({}).connections for name in names()} == {"own"}


@pytest.mark.parametrize("arrivals", ["door:0.333", "stampede", "even", "door:0.5,decay:0.5@7"])
def test_the_share_that_comes_in_a_second_is_that_of_the_arrivals(arrivals: str) -> None:
    curve = parse_curve(arrivals, 60, 10)
    seconds = [int(curve.arrival(mix(k)).at_seconds) for k in range(20_000)]
    for second in (0, 5, 30):
        seen = seconds.count(second) / len(seconds)
        assert curve.share_between(second, second + 1) == pytest.approx(seen, abs=0.01)
    assert curve.share_between(0, 60) == pytest.approx(1)


def test_tls_needs_somebody_who_speaks_it() -> None:
    assert (problem_of(Options(tls=True)) or "").startswith("--tls: jiaohao up speaks no TLS")
    assert (problem_of(Options(tls=True, host="http://127.0.0.1:1")) or "").startswith("--tls: ")
    assert problem_of(Options(tls=True, host="https://127.0.0.1:1")) is None


def test_what_stands_in_front_is_known_and_stands_before_a_server_of_our_own() -> None:
    assert (problem_of(Options(front="apache")) or "").startswith("--front: expected one of nginx, haproxy, varnish")
    assert "not together with --host" in (problem_of(Options(front="nginx", host="http://127.0.0.1:1")) or "")


def test_a_front_that_is_not_installed_is_said_before_anything_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    assert "there is no varnishd here" in (problem_of(Options(front="varnish")) or "")
