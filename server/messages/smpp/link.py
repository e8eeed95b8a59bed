"""What messages go out by and receipts come in by: one connection, or two where the SMSC takes no transceiver."""

import asyncio
import ssl

import structlog
from aiosmpplib import SmppCommandStatus as Status
from aiosmpplib import SubmitSm

from server.messages.smpp.session import BindRefused, Keep, Session, SubmitResult
from server.messages.smpp.settings import Bind, SmppSettings

log = structlog.get_logger()

# What SMSCs say to a bind_transceiver that they do not know (SMPP 3.3 has none) or do not allow; others send a
# generic_nack, or close the connection.
_NO_TRANSCEIVER = {
    Status.ESME_RINVCMDID,
    Status.ESME_RINVBNDSTS,
    Status.ESME_RBINDFAIL,
    Status.ESME_RINVCMDLEN,
    Status.ESME_RSYSERR,
}


class Link:
    """A bound way to the SMSC; `open` makes one.

    Args:
        sender: messages go out by it.
        receiver: receipts come by it as well, where they are two.
    """

    def __init__(self, sender: Session, receiver: Session | None = None) -> None:
        self._sender = sender
        self._sessions = [sender] if receiver is None else [sender, receiver]
        self.window = sender.window

    @classmethod
    async def open(cls, settings: SmppSettings, tls: ssl.SSLContext | None, keep: Keep, bind: Bind) -> "Link":
        """Connect and bind, as `bind` says; `auto`: as transceiver, and as a pair where that is not taken.

        Raises:
            OSError: no connection, or the SMSC does not let us in.
        """
        if bind == "pair":
            return await cls._pair(settings, tls, keep)
        try:
            return cls(await Session.open(settings, tls, keep, "transceiver"))
        except BindRefused as refused:
            if bind == "transceiver" or not (refused.is_unknown or refused.status in _NO_TRANSCEIVER):
                raise
            try:
                link = await cls._pair(settings, tls, keep)
            except OSError:
                raise refused from None
        log.info("the SMSC takes no transceiver: bound as transmitter and as receiver")
        return link

    @classmethod
    async def _pair(cls, settings: SmppSettings, tls: ssl.SSLContext | None, keep: Keep) -> "Link":
        receiver = await Session.open(settings, tls, keep, "receiver")
        try:
            return cls(await Session.open(settings, tls, keep, "transmitter"), receiver)
        except BaseException:
            await receiver.close()
            raise

    @property
    def is_pair(self) -> bool:
        """Whether it is two connections."""
        return len(self._sessions) > 1

    @property
    def ended(self) -> bool:
        """Nothing can go out by it any more."""
        return self._sender.ended

    @property
    def answered(self) -> int:
        """Messages answered."""
        return self._sender.answered

    @property
    def unanswered(self) -> int:
        """Messages sent and not answered."""
        return self._sender.unanswered

    @property
    def strays(self) -> int:
        """Answers to nothing that was asked."""
        return sum(session.strays for session in self._sessions)

    def submit(self, message: SubmitSm) -> "asyncio.Future[SubmitResult | None]":
        """Send a message; its answer, whenever it comes, or None where the connection ended first."""
        return self._sender.submit(message)

    async def run(self) -> OSError:
        """Read and keep alive, until one of the connections ends; why it did. Then close it."""
        running = [asyncio.create_task(session.run()) for session in self._sessions]
        try:
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        return next(iter(done)).result()

    async def finish(self, timeout_s: float) -> None:
        """Wait for the answers that are still to come."""
        await self._sender.finish(timeout_s)

    async def close(self) -> None:
        """Take leave of the SMSC."""
        await asyncio.gather(*(session.close() for session in self._sessions))
