"""A connection to the SMSC, kept: made again whenever it must be."""

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from server.messages.smpp.incoming import Receipt, Reply
from server.messages.smpp.link import Link
from server.messages.smpp.settings import Bind, SmppSettings

log = structlog.get_logger()

_CLOSING_SECONDS = 5.0


async def probe(settings: SmppSettings) -> None:
    """Connect, bind and take leave again: does the SMSC let us in?

    Raises:
        OSError: why not.
    """
    link = await Link.open(settings, await _tls(settings), _leave_to_the_next, settings.bind)
    await link.close()


async def _leave_to_the_next(_incoming: Receipt | Reply) -> None:
    raise LookupError("nobody keeps receipts here")


async def _tls(settings: SmppSettings) -> ssl.SSLContext | None:
    # Reads files.
    return await asyncio.to_thread(ssl.create_default_context, cafile=settings.ca_file) if settings.tls else None


class LinkKeeper:
    """Connects, and connects again, from `begin` to `end`.

    Args:
        settings: which SMSC.
        received: takes what comes in.
    """

    def __init__(self, settings: SmppSettings, received: Callable[[Receipt | Reply], Awaitable[None]]) -> None:
        self._settings = settings
        self._received = received
        self._bind: Bind = settings.bind
        self._link: Link | None = None
        self._bound = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ended_strays = 0
        self.connections = 0
        self.why_not = "not connected yet"

    async def begin(self) -> None:
        """Connect, from now on.

        Raises:
            OSError: the files for TLS cannot be read.
        """
        tls = await _tls(self._settings)
        if tls is None and self._settings.host not in ("localhost", "127.0.0.1", "::1"):
            log.warning("smpp without TLS: the password, phones and texts can be read on the way; use smpps://")
        self._task = asyncio.create_task(self._keep_connected(tls))

    async def end(self) -> None:
        """Take leave, when what was handed over is answered, or after a while."""
        self._bound.clear()
        if self._link is not None:
            await self._link.finish(_CLOSING_SECONDS)
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self.why_not = "closed"

    @property
    def is_bound(self) -> bool:
        """Whether messages can go out now."""
        return self._bound.is_set()

    @property
    def unanswered(self) -> int:
        """Messages handed over in this connection that have no answer yet."""
        return self._link.unanswered if self._link else 0

    @property
    def strays(self) -> int:
        """Answers to nothing that was asked, in all connections."""
        return self._ended_strays + (self._link.strays if self._link else 0)

    async def bound(self) -> Link:
        """The connection, as soon as there is one."""
        await self._bound.wait()
        assert self._link is not None  # noqa: S101  (bound)
        return self._link

    async def _keep_connected(self, tls: ssl.SSLContext | None) -> None:
        backoff_s = self._settings.backoff_s
        while True:
            answered = 0
            try:
                link = await Link.open(self._settings, tls, self._received, self._bind)
                try:
                    answered = await self._use(link)
                finally:
                    self._bound.clear()
                    self._link = None
                    await link.close()
            except OSError as error:
                self._bind = self._settings.bind
                self.why_not = str(error) or "no connection in time"
            except Exception as error:
                # Never without a connection for a fault of ours.
                self.why_not = f"a fault of ours: {type(error).__name__}"
            log.warning("no connection to the SMSC", why=self.why_not)
            if answered:
                backoff_s = self._settings.backoff_s
            # Many that lost one SMSC together do not come back to it together.
            await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))  # noqa: S311
            backoff_s = min(self._settings.longest_backoff_s, backoff_s * 2)

    async def _use(self, link: Link) -> int:
        """Until it ends: how many messages were answered in it."""
        self.connections += 1
        self._link = link
        if link.is_pair:  # next time at once
            self._bind = "pair"
        self._bound.set()
        log.info("connected to the SMSC", tls=self._settings.tls)
        self.why_not = str(await link.run())
        self._ended_strays += link.strays
        return link.answered
