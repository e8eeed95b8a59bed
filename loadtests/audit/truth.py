"""The store's truth, read by the documented keys (`lua/README.md`), for the audit alone."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from sys import intern
from typing import Any

import redis
from redis.cluster import RedisCluster

from loadtests.crowd.crowd import Wishes
from loadtests.resident.run_opening import RunOpening


def opening_key(district: str, date: str) -> str:
    return f"opening:{{{district}:{date}}}"


def passes_key(district: str, date: str) -> str:
    return f"passes:{{{district}:{date}}}"


@dataclass
class OpeningTruth:
    """One opening as the store has it.

    Attributes:
        fields: counters and settings of the opening.
        claimed, left, done: how many entries the store's own lists of these hold, read with `fields` at once.
        done_bits: the bitmap of numbers claimed or left.
        places: resident key to entry.
        left_entries: entries given up, in order.
        claims: entry to (resident key, pass expiry in ms or 0 once registered).
        passes: entry to expiry in ms, of passes alive.
        starts: numbers whose claim time is their own, later than their call's, and not over.
        alerts: how many places have asked to be told of their call.
    """

    fields: dict[str, str]
    claimed: int
    left: int
    done: int
    done_bits: bytes
    places: dict[bytes, int]
    left_entries: list[int]
    claims: dict[int, tuple[bytes, int]]
    passes: dict[int, int]
    starts: frozenset[int] = frozenset()
    alerts: int = 0

    def count(self, name: str) -> int:
        """Return a counter of the opening; 0 where the store has none."""
        return int(float(self.fields.get(name) or 0))

    @property
    def seed(self) -> bytes:
        return bytes.fromhex(self.fields["seed"])

    def is_done(self, number: int) -> bool:
        """Return whether this number was claimed or left."""
        byte, bit = divmod(number, 8)
        return byte < len(self.done_bits) and bool(self.done_bits[byte] >> (7 - bit) & 1)


@dataclass(frozen=True, slots=True)
class RegistrationTruth:
    """One resident's latest registration.

    Attributes:
        wishes: what the store will allot by.
        past: numbers of their earlier registrations, all closed.
        history: (number, state) of everything that became of their registrations, in order.
    """

    resident: bytes
    no: int
    state: str
    district: str
    date: str
    entry: int
    wishes: Wishes
    past: tuple[int, ...] = ()
    history: tuple[tuple[int, str], ...] = ()


@dataclass
class Truth:
    """All openings by district, every resident's latest registration, and who may not join, and why (`stop`)."""

    openings: dict[str, OpeningTruth]
    registrations: list[RegistrationTruth]
    stops: dict[bytes, str]


def connect(url: str) -> Any:
    """Return a client for a server or a cluster, whichever answers at `url`."""
    client = redis.Redis.from_url(url)
    if client.info("cluster").get("cluster_enabled"):
        client.close()
        return RedisCluster.from_url(url)
    return client


def keys_in(client: Any) -> int:
    """Say how many keys the store holds, all of its nodes together."""
    if isinstance(client, RedisCluster):
        return int(client.dbsize(target_nodes=RedisCluster.PRIMARIES))  # their sum
    return int(client.dbsize())


def script_calls(client: Any) -> int:
    """Return the scripts that the store has run since it started, all of its nodes together."""
    if isinstance(client, RedisCluster):
        found = client.info("commandstats", target_nodes=RedisCluster.PRIMARIES)
        nodes = list(found.values())
    else:
        nodes = [client.info("commandstats")]
    return sum(int(node.get(f"cmdstat_{name}", {}).get("calls", 0)) for node in nodes for name in ("evalsha", "eval"))


def read_truth(client: Any, openings: Iterable[RunOpening]) -> Truth:
    """Read everything the audit compares; meant for when the crowd has gone quiet."""
    truths = {g.district: _opening(client, g.district, g.date) for g in openings}
    return Truth(truths, list(_registrations(client)), dict(_stops(client)))


def _opening(client: Any, district: str, date: str) -> OpeningTruth:
    tag = f"{{{district}:{date}}}"
    with client.pipeline(transaction=True) as pipe:
        pipe.hgetall(opening_key(district, date))
        pipe.hlen(f"claims:{tag}")
        pipe.llen(f"left:{tag}")
        pipe.bitcount(f"done:{tag}")
        pipe.get(f"done:{tag}")
        pipe.zrange(f"starts:{tag}", 0, -1)
        pipe.hlen(f"alerts:{tag}")
        fields, claimed, left, done, bits, starts, alerts = pipe.execute()
    places = {bytes(k): int(v) for k, v in client.hscan_iter(f"places:{tag}", count=5000)}
    claims = {
        int(entry): (bytes(claim[:16]), int(claim[16:]))
        for entry, claim in client.hscan_iter(f"claims:{tag}", count=5000)
    }
    passes = {int(entry): int(expiry) for entry, expiry in client.zscan_iter(passes_key(district, date), count=5000)}
    left_entries = [int(entry) for entry in client.lrange(f"left:{tag}", 0, -1)]
    plain = {k.decode(): v.decode(errors="replace") for k, v in fields.items()}
    own = frozenset(map(int, starts))
    return OpeningTruth(plain, claimed, left, done, bits or b"", places, left_entries, claims, passes, own, alerts)


def _registrations(client: Any) -> Iterable[RegistrationTruth]:
    names = ("no", "state", "district", "date", "entry", "preferences", "accept_any_site", "not_before")
    for tags in registration_tags(client):
        with client.pipeline(transaction=False) as pipe:
            for tag in tags:
                pipe.hmget(f"registration:{{{tag}}}", *names)
                pipe.smembers(f"past:{{{tag}}}")
                pipe.lrange(f"history:{{{tag}}}", 0, -1)
            answers = iter(pipe.execute())
        for tag, values, past, history in zip(tags, answers, answers, answers, strict=True):
            no, state, district, date, entry, preferences, accept_any_site, not_before = (
                intern(v.decode()) if v is not None else "" for v in values
            )
            # a whole city's are held at once: millions of them share few words
            wished = tuple((intern(wish["site"]), intern(wish["period"])) for wish in json.loads(preferences or "[]"))
            yield RegistrationTruth(
                _resident(tag), int(no or 0), state, district, date, int(entry or -1),
                Wishes(wished, accept_any_site == "1", not_before), tuple(sorted(int(no) for no in past)),
                tuple((int(event[1]), intern(event[2])) for event in map(json.loads, history)),
            )  # fmt: skip


def _stops(client: Any) -> Iterable[tuple[bytes, str]]:
    for tags in _tags(client, "stop"):
        with client.pipeline(transaction=False) as pipe:
            for tag in tags:
                pipe.get(f"stop:{{{tag}}}")
            answers = pipe.execute()
        for tag, why in zip(tags, answers, strict=True):
            if why is not None:
                yield _resident(tag), why.decode()


def registration_tags(client: Any) -> Iterable[list[str]]:
    """Return the tags of everybody who has a registration, a thousand at a time."""
    return _tags(client, "registration")


def _tags(client: Any, kind: str) -> Iterable[list[str]]:
    """Return the tags of all residents who have a key of this kind, a thousand at a time."""
    found = iter(client.scan_iter(match=f"{kind}:*", count=5000))
    while keys := list(islice(found, 1000)):
        yield [key[key.index(b"{") + 1 : key.index(b"}")].decode() for key in keys]


def _resident(tag: str) -> bytes:
    return base64.urlsafe_b64decode(tag + "==")
