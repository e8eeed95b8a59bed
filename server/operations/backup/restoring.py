"""Putting a backup back: into an empty store, of any kind, and so that no number is given twice."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from server.core.errors import SetupError
from server.core.keys import Pepper
from server.core.settings import Settings
from server.operations.backup.making import nodes_in
from server.operations.backup.sealed_file import read_header, read_sealed
from server.operations.restored import raise_given
from server.store.agreed import FORMAT, Agreement
from server.store.connection import Connection
from server.store.loaded import LoadedNode, loaded


class Restored(NamedTuple):
    """How many keys were put back, as of when (city time, ms), and of which openings how many places were forgotten."""

    keys: int
    created_ms: int
    forgotten: list[tuple[str, int]]


async def restore_backup(
    settings: Settings,
    connection: Connection,
    path: Path,
    given: Mapping[str, int],
    progress: Callable[[int], object] = lambda _: None,
) -> Restored:
    """Put a backup into a store that holds nothing.

    Args:
        settings: the secrets under which it was made.
        connection: to the empty store.
        path: of the backup.
        given: of each opening that is on now, by its tag, how many places had
            been given: nobody else knows, and without it two people would hold one number.
        progress: is told how many keys more are there.

    Raises:
        SetupError: the backup or the store is not what it must be, or an opening is not in `given`; then nothing was
            changed.
        StoreUnavailable: the store went away; then it is to be emptied, and begun again.
    """
    header = read_header(path)
    if header.format > FORMAT:
        raise SetupError(f"{path} is of a newer version ({header.version}): restore it with that one")
    if not await Agreement(connection).is_empty():
        raise SetupError("this store is not empty: a backup is put into a new one, so that nothing is lost by mistake")
    with loaded(nodes_in(read_sealed(path, settings.secrets))) as sources:
        if len(sources) != header.nodes:
            raise SetupError(f"{path} has {len(sources)} of its {header.nodes} nodes: take another copy of it")
        _check_pepper(sources, Pepper(settings.pepper).mark)
        now_ms = await _now_ms(connection, sources)
        _check_given(_open_at(sources, now_ms), given)
        keys = 0
        for source in sources:
            for batch in source.commands():
                await connection.plain(batch, waits=False)
                keys += len(batch)
                progress(len(batch))
    forgotten = await raise_given(connection, list(given.items()))
    return Restored(keys, header.created_ms, forgotten)


async def _now_ms(connection: Connection, sources: Iterable[LoadedNode]) -> int:
    """City time: by the clock of the new store, or where it has none by that of the old one."""
    agreement = Agreement(connection)
    offset_ms = await agreement.kept_offset_ms()
    if offset_ms is None:
        kept = (source.offset_ms() for source in sources)
        offset_ms = next((each for each in kept if each is not None), connection.offset_ms)
    return await agreement.time_ms() + offset_ms


def _check_pepper(sources: Iterable[LoadedNode], mark: str) -> None:
    if {source.pepper_mark() for source in sources} - {mark.encode(), None}:
        raise SetupError("this backup's residents were filed under another JIAOHAO_PEPPER: give that one")


def _open_at(sources: Iterable[LoadedNode], now_ms: int) -> list[str]:
    """The tags of the openings that are on now: what they have given since the backup, nobody here knows."""
    return sorted(tag for source in sources for tag, it in source.openings() if it.opens_ms <= now_ms < it.closes_ms)


def _check_given(open_: Iterable[str], given: Mapping[str, int]) -> None:
    if missing := [tag for tag in open_ if tag not in given]:
        raise SetupError(
            f"{', '.join(missing)}: open now: say how many places had been given, "
            f"so that none is given twice: --given {missing[0]}=N (jiaohao_opening_issued in the monitoring, or "
            "`issued` in the last public answer; rather too many than too few)"
        )
