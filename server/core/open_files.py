"""How many files a process may have open: each resident's connection is one."""

import resource

from server.core.errors import SetupError

# The store's connections, the listeners, the log, pages, metrics; and what a worker opens in passing.
_BESIDE = 512
# Connections beyond those that are held: of those that are told `overloaded`, and of heads that do not end.
_RESERVE = 8
_FEWEST = 64


def with_reserve(connections: int) -> int:
    """How many a worker takes, so that those beyond `connections` can be told that it is full."""
    return connections + max(_FEWEST, connections // _RESERVE)


def files_needed(connections: int) -> int:
    """How many files a worker needs that holds so many connections."""
    return with_reserve(connections) + _BESIDE


def connections_allowed() -> int:
    """How many connections a worker can hold by this machine's hard limit on open files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        return 1 << 30
    room = hard - _BESIDE
    return max(0, min(room - _FEWEST, room * _RESERVE // (_RESERVE + 1)))


def allow_files(connections: int) -> int:
    """Raise what is in force (soft) to what this process may ask for (hard); workers inherit it.

    Args:
        connections: how many a worker is to hold.

    Returns:
        How many it can hold: as many, or fewer where the hard limit is too low for them.

    Raises:
        SetupError: next to none.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    allowed = connections_allowed()
    if allowed < _FEWEST:
        raise SetupError(
            f"{hard} open files are allowed (ulimit -Hn), and a worker with {_FEWEST} connections needs "
            f"{files_needed(_FEWEST)}: raise it (systemd: LimitNOFILE=, containers: --ulimit nofile=)"
        )
    return min(connections, allowed)
