"""The store's truth, read by the documented keys (`lua/README.md`), for the audit alone."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import redis
from redis.cluster import RedisCluster

from loadtests.acts import Ground


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

    def count(self, name: str) -> int:
        """A counter of the opening; 0 where the store has none."""
        return int(float(self.fields.get(name) or 0))

    @property
    def seed(self) -> bytes:
        return bytes.fromhex(self.fields["seed"])

    def is_done(self, number: int) -> bool:
        """Whether this number was claimed or left."""
        byte, bit = divmod(number, 8)
        return byte < len(self.done_bits) and bool(self.done_bits[byte] >> (7 - bit) & 1)


@dataclass(frozen=True)
class RegistrationTruth:
    """One resident's registration."""

    resident: bytes
    no: int
    state: str
    district: str
    date: str
    entry: int


@dataclass
class Truth:
    """All openings by district, and every registration in the store."""

    openings: dict[str, OpeningTruth]
    registrations: list[RegistrationTruth]


def connect(url: str) -> Any:
    """A client for a server or a cluster, whichever answers at `url`."""
    client = redis.Redis.from_url(url)
    if client.info("cluster").get("cluster_enabled"):
        client.close()
        return RedisCluster.from_url(url)
    return client


def read_truth(client: Any, grounds: Iterable[Ground]) -> Truth:
    """Read everything the audit compares; meant for when the crowd has gone quiet."""
    return Truth({g.district: _opening(client, g.district, g.date) for g in grounds}, list(_registrations(client)))


def _opening(client: Any, district: str, date: str) -> OpeningTruth:
    tag = f"{{{district}:{date}}}"
    with client.pipeline(transaction=True) as pipe:
        pipe.hgetall(opening_key(district, date))
        pipe.hlen(f"claims:{tag}")
        pipe.llen(f"left:{tag}")
        pipe.bitcount(f"done:{tag}")
        pipe.get(f"done:{tag}")
        fields, claimed, left, done, bits = pipe.execute()
    places = {bytes(k): int(v) for k, v in client.hscan_iter(f"places:{tag}", count=5000)}
    claims = {
        int(entry): (bytes(claim[:16]), int(claim[16:]))
        for entry, claim in client.hscan_iter(f"claims:{tag}", count=5000)
    }
    passes = {int(entry): int(expiry) for entry, expiry in client.zscan_iter(passes_key(district, date), count=5000)}
    left_entries = [int(entry) for entry in client.lrange(f"left:{tag}", 0, -1)]
    plain = {k.decode(): v.decode(errors="replace") for k, v in fields.items()}
    return OpeningTruth(plain, claimed, left, done, bits or b"", places, left_entries, claims, passes)


def _registrations(client: Any) -> Iterable[RegistrationTruth]:
    names = ("no", "state", "district", "date", "entry")
    found = iter(client.scan_iter(match="registration:*", count=5000))
    while keys := list(islice(found, 1000)):
        with client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.hmget(key, *names)
            answers = pipe.execute()
        for key, values in zip(keys, answers, strict=True):
            tag = key[key.index(b"{") + 1 : key.index(b"}")]
            no, state, district, date, entry = (v.decode() if v is not None else "" for v in values)
            yield RegistrationTruth(
                base64.urlsafe_b64decode(tag + b"=="), int(no or 0), state, district, date, int(entry or -1)
            )
