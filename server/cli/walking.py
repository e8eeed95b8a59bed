"""Commands that walk over all keys of the store: a connection, and a progress bar on a terminal."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from server.cli.progress import progress_bar
from server.core.settings import Settings
from server.operations.walking import count_keys
from server.store.connection import Connection
from server.store.setup import open_store

T = TypeVar("T")


def over_all_keys(settings: Settings, what: str, work: Callable[[Connection, Callable[[int], Any]], Awaitable[T]]) -> T:
    """Run `work` on the store of these settings; `what` stands beside the bar.

    Raises:
        SetupError, StoreUnavailable: the store does not answer.
    """

    async def run() -> T:
        connection = await open_store(settings)
        try:
            with progress_bar() as bar:
                task = bar.add_task(what, total=await count_keys(connection))
                return await work(connection, lambda n: bar.update(task, completed=n))
        finally:
            await connection.close()

    return asyncio.run(run())
