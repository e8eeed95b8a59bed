"""The connections of a plan's crowd: how many come new, how many are held, and what their TLS takes in a proxy.

A browser keeps one of its own. Whoever is told to come back later is let go with the answer, and opens another one
then: so what is open follows the calls of the next seconds, and not the crowd.
"""

from __future__ import annotations

from collections.abc import Iterator

from loadtests.capacity.figures import Figure, Mark, number
from loadtests.capacity.load import Load


def connection_figures(load: Load) -> Iterator[Figure]:
    """Of one city, at the peak of each."""
    known = load.known.sizes.connections
    new = max(it.connections_per_second for it in load.moments)
    held = new * known.kept_seconds
    mark: Mark = "measured" if new <= known.new_per_second else "extrapolated"
    yield Figure(
        "new connections/s", new, number(new), mark,
        "joins + looks + old clients' polls + claims + registrations + look-ups, each on a new one; most at the draw's "
        "end, when everyone looks: a lower look_budget_per_second spreads that over a longer time",
    )  # fmt: skip
    yield Figure(
        "connections held", held, number(held), mark,
        f"new a second × {known.kept_seconds:g} s that the shipped fronts keep one; fewer where it is let go with the "
        f"answer; as much again of open files in a proxy, {number(held * known.bytes_each / 1e6)} MB in workers "
        "where there is none",
    )  # fmt: skip
    cores = new * known.tls_us / 1e6
    yield Figure(
        "TLS, cores of a proxy", cores, number(cores), mark,
        f"new a second × {known.tls_us:g} µs: a full handshake each, ECDSA P-256, none resumed, proxying in it",
    )  # fmt: skip
