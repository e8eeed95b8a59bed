"""Devices and their networks: how much later than its resident acts a request reaches the server.

Nobody sleeps for it: an act is filed in the agenda for the moment at which its request reaches the server, and latency
counts from there. The delay is a pure function of seed, resident, act and time: same seed, same delays.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from loadtests.crowd.crowd import Crowd, mix
from loadtests.crowd.profile import Network, per_mille

_SALT = 13
_P95 = NormalDist().inv_cdf(0.95)
_Z = [NormalDist().inv_cdf((k + 0.5) / 1024) for k in range(1024)]
_MOST_LOSSES = 5
"""A request is not lost more often: by then a person has pressed again."""
_SET_UP_ROUND_TRIPS = 2
"""For TCP and TLS 1.3, before the first request on a new connection."""


class Networks:
    """Everybody's network.

    A whole round trip is added to each act: half for the answer before it to come down, half for the request to go up.
    """

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._networks = crowd.profile.networks
        ends, at = [], 0.0
        for network in self._networks:
            at += network.share
            ends.append(per_mille(at))
        self._classes = bytes(
            next(k for k, end in enumerate(ends) if slot < end) for slot in range(1000 if ends else 0)
        )
        self._sigmas = [
            math.log(n.latency_p95_ms / n.latency_ms) / _P95 if n.latency_ms else 0.0 for n in self._networks
        ]
        size = crowd.profile.request_bytes * 1e6
        self._upload_us = [
            size / n.upload_bytes_per_second if n.upload_bytes_per_second else 0.0 for n in self._networks
        ]

    def network(self, i: int) -> Network | None:
        """Return the network of resident `i`, which a family shares; None where the crowd has none but the machine's
        own."""
        return self._networks[self._class(i)] if self._networks else None

    def delay_us(self, i: int, act: int, due_us: int) -> int:
        """Say how long after `due_us`, when resident `i` does something, its request reaches the server."""
        if not self._networks:
            return 0
        k = self._class(i)
        network = self._networks[k]
        bits = mix(self._crowd.stir(i, _SALT) + (due_us << 5 | act))
        round_trip_us = 1000 * network.latency_ms * math.exp(self._sigmas[k] * _Z[bits & 1023])
        connects = (bits >> 10 & 0xFFFFF) / 2**20 < network.reconnects
        delay_us = round_trip_us * (1 + _SET_UP_ROUND_TRIPS * connects) + self._upload_us[k]
        if network.loss:
            pick, losses, odds = (bits >> 30 & 0xFFFFFFFF) / 2**32, 0, network.loss
            while pick < odds and losses < _MOST_LOSSES:
                losses, odds = losses + 1, odds * network.loss
            # sent again after the retry time, then after twice that, ...
            delay_us += network.retry_seconds * 1e6 * (2**losses - 1) + losses * self._upload_us[k]
        return int(delay_us)

    def describe(self) -> str:
        """Return the networks in a sentence, for the report."""
        if not self._networks:
            return "loopback, no added latency or loss"
        return "; ".join(
            f"{n.share:.0%} {n.name}: round trip {n.latency_ms:g} ms, p95 {n.latency_p95_ms:g} ms, {n.loss:.1%} lost, "
            f"{(n.upload_bytes_per_second or math.inf) / 1000:g} kB/s up, {n.reconnects:.0%} reconnect"
            for n in self._networks
        )

    def _class(self, i: int) -> int:
        return self._classes[(self._crowd.stir(self._crowd.head(i), _SALT) >> 8) % 1000]
