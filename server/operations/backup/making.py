"""Making a backup, and looking whether it could be restored."""

import asyncio
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from server import __version__
from server.core.errors import SetupError
from server.core.keys import fingerprint
from server.core.settings import Settings
from server.operations.backup.sealed_file import Header, SealedWriter, read_sealed
from server.store.address import Address, read_address
from server.store.agreed import FORMAT
from server.store.connection import Connection
from server.store.loaded import loaded
from server.store.nodes import Nodes
from server.store.primaries import Watchers
from server.store.setup import city_clock
from server.store.snapshot import Snapshot

_LENGTH = struct.Struct(">Q")
_SALT_BYTES = 16


class Made(NamedTuple):
    """A backup that was read again and loaded: how large, of how many nodes and keys, as of when (city time, ms)."""

    size_bytes: int
    nodes: int
    keys: int
    created_ms: int


async def make_backup(
    settings: Settings, connection: Connection, path: Path, progress: Callable[[int], object] = lambda _: None
) -> Made:
    """Write the whole store, as it is now, into a file; then read it, decrypt it and load it.

    Of a cluster each node is as it was at a moment of its own, within seconds of the others: everything that is about
    one opening, or one person, is on one node.

    Args:
        settings: whose store; the current secret seals the file.
        connection: to it.
        path: of the file; what was there is replaced once the new one is whole.
        progress: is told how many bytes more are written.

    Raises:
        SetupError: we may not, or the file cannot be written.
        StoreUnavailable: a node is away.
    """
    address = read_address(settings.redis_url)
    hosts = await _hosts(address, connection)
    created_ms = (await city_clock(connection)).now_ms()
    secret = settings.secrets[0]
    header = Header(created_ms, __version__, FORMAT, len(hosts), fingerprint(secret), os.urandom(_SALT_BYTES).hex())

    def write() -> int:
        with SealedWriter(path, header, secret) as out:
            for host in hosts:
                snapshot = Snapshot(address, host)
                out.write(_LENGTH.pack(snapshot.length))
                for piece in snapshot.pieces():
                    out.write(piece)
                    progress(len(piece))
        return path.stat().st_size

    size_bytes = await asyncio.to_thread(write)
    keys = await asyncio.to_thread(_count, path, settings)
    return Made(size_bytes, len(hosts), keys, created_ms)


def _count(path: Path, settings: Settings) -> int:
    with loaded(nodes_in(read_sealed(path, settings.secrets))) as nodes:
        return sum(node.count_keys() for node in nodes)


def nodes_in(pieces: Iterator[bytes]) -> Iterator[Iterator[bytes]]:
    """Of a backup's content, each node's snapshot in turn; each is to be read to its end before the next."""
    kept = b""

    def take(size: int) -> Iterator[bytes]:
        nonlocal kept
        while size:
            if not kept:
                kept = next(pieces, b"")
                if not kept:
                    return
            piece, kept = kept[:size], kept[size:]
            size -= len(piece)
            yield piece

    while len(head := b"".join(take(_LENGTH.size))) == _LENGTH.size:
        yield take(_LENGTH.unpack(head)[0])


async def _hosts(address: Address, connection: Connection) -> list[tuple[str, int] | None]:
    """Where each primary is; None for the socket in the address."""
    if address.path:
        return [None]
    if connection.is_cluster:
        names = [node.name for node in Nodes(connection).primaries()]
        return [(host, int(port)) for host, _, port in (name.rpartition(":") for name in names)]
    if address.watched_as:
        return [await Watchers(address).primary()]
    if len(address.hosts) > 1:
        raise SetupError("a backup is of one server: name the primary alone, or the Sentinels that know it")
    return [address.hosts[0]]
