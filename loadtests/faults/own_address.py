"""Processes that have an address of their own in a rehearsal's network: imported at the start of the interpreter.

Their connections to the store come from there, so that the relay knows who speaks. Which address is whose stands in a
file of that name, with the process's number. A name for all (`JIAOHAO_REHEARSAL_HOST`) makes one host of them.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

_folder = Path(os.environ["JIAOHAO_REHEARSAL_ADDRESSES"])
_net = os.environ["JIAOHAO_REHEARSAL_NET"]
_host = os.environ.get("JIAOHAO_REHEARSAL_HOST")
_open_connection = asyncio.open_connection
_own: dict[int, str] = {}  # by process: a worker may be forked from one that has connected already


async def _open_from_own_address(host: Any = None, port: Any = None, **options: Any) -> Any:
    if host is not None and str(host).startswith(_net):
        options["local_addr"] = (_address(), 0)
    return await _open_connection(host, port, **options)


def _address() -> str:
    pid = os.getpid()
    if pid not in _own:
        _own[pid] = _host or _taken(pid)
    return _own[pid]


def _taken(pid: int) -> str:
    for address in (_folder / "free").read_text().split():
        try:
            with (_folder / address).open("x") as file:
                file.write(str(pid))
        except FileExistsError:
            continue
        return address
    raise OSError("no address is left in the rehearsal's network")


asyncio.open_connection = _open_from_own_address
