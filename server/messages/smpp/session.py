"""One connection to the SMSC: bound, kept alive, its answers and receipts read, until it ends."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, Literal

import msgspec
import structlog
from aiosmpplib import (
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    SmppCommand,
    SmppCommandStatus,
    SubmitSm,
    Unbind,
    UnbindResp,
)
from aiosmpplib.sequence import SimpleSequenceGenerator

from server.messages.smpp.incoming import Receipt, Reply, read_incoming
from server.messages.smpp.pdus import Pdu, data_sm_resp, read_length, read_message_id, read_pdu
from server.messages.smpp.pdus import status_name as name_of
from server.messages.smpp.settings import SmppSettings

log = structlog.get_logger()

BindRole = Literal["transceiver", "transmitter", "receiver"]
Keep = Callable[[Receipt | Reply], Awaitable[None]]
"""Takes what the SMSC sends of its own accord; where it raises, the SMSC may send it again."""

_BINDS: Final[dict[BindRole, tuple[type[Any], SmppCommand]]] = {
    "transceiver": (BindTransceiver, SmppCommand.BIND_TRANSCEIVER_RESP),
    "transmitter": (BindTransmitter, SmppCommand.BIND_TRANSMITTER_RESP),
    "receiver": (BindReceiver, SmppCommand.BIND_RECEIVER_RESP),
}
_RESPONSE = 0x80000000
_MOST_RECEIPTS = 1000  # read and not yet kept
_RECEIPTS_AT_ONCE = 100
_CLOSING_SECONDS = 2.0
# Nobody waits so many times the time for an answer.
_FORGOTTEN_AFTER = 10


class SubmitResult(msgspec.Struct, frozen=True):
    """What the SMSC said to a message; `message_id` where it has taken it. Times are the loop's, in seconds."""

    status: int
    message_id: str
    sent_at: float


class BindRefused(ConnectionRefusedError):
    """The SMSC does not let us in.

    Args:
        status: its own.
        is_unknown: it does not know the request: a nack, or it has only closed the connection.
    """

    def __init__(self, status: int, *, is_unknown: bool = False) -> None:
        super().__init__(
            f"the SMSC does not let us in: {name_of(status) if status else 'it has closed the connection'}"
        )
        self.status = status
        self.is_unknown = is_unknown


class Session:
    """A bound connection; `open` makes one.

    `window` is to be held from before a message is sent until its answer is here or no longer waited for.
    """

    def __init__(
        self,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        settings: SmppSettings,
        keep: Keep,
    ) -> None:
        self._reader, self._writer = streams
        self._settings = settings
        self._keep = keep
        self._sequence = SimpleSequenceGenerator()
        self._unanswered: dict[int, tuple[float, asyncio.Future[SubmitResult | None]]] = {}
        self._incoming: asyncio.Queue[tuple[Pdu, Receipt | Reply]] = asyncio.Queue(_MOST_RECEIPTS)
        self._tasks: list[asyncio.Task[None]] = []
        self._heard = False
        self.window = asyncio.Semaphore(settings.window)
        self.ended = False
        self.answered = self.strays = 0

    @classmethod
    async def open(
        cls, settings: SmppSettings, tls: ssl.SSLContext | None, keep: Keep, role: BindRole = "transceiver"
    ) -> "Session":
        """Connect and bind.

        Args:
            settings: to whom, and as whom.
            tls: None for a connection in the clear.
            keep: takes receipts and replies.
            role: whether messages go out by it, receipts come in, or both.

        Raises:
            BindRefused: the SMSC does not let us in, or not in this role.
            OSError: no connection.
        """
        async with asyncio.timeout(settings.connect_timeout_s):
            session = cls(await asyncio.open_connection(settings.host, settings.port, ssl=tls), settings, keep)
            try:
                await session._bind(role)
            except BaseException:
                session._writer.transport.abort()
                raise
        return session

    async def _bind(self, role: BindRole) -> None:
        settings = self._settings
        make, response = _BINDS[role]
        bind = make(system_id=settings.system_id, password=settings.password, system_type=settings.system_type)
        self._send(bind, self._sequence.next_sequence())
        try:
            while (pdu := await self._next()).command != response:
                if pdu.command == SmppCommand.GENERIC_NACK:
                    # A nack without a status has still not let us in.
                    raise BindRefused(pdu.status or SmppCommandStatus.ESME_RINVCMDID, is_unknown=True)
        except BindRefused:
            raise
        except ConnectionError as error:
            raise BindRefused(0, is_unknown=True) from error
        if pdu.status:
            raise BindRefused(pdu.status)

    def _send(self, message: Any, sequence: int, status: int = 0) -> None:
        # Nothing waits for the buffer to empty: the window bounds what can be in it.
        message.sequence_num = sequence
        message.command_status = SmppCommandStatus(status)
        self._writer.write(message.pdu())

    async def _next(self) -> Pdu:
        try:
            length = read_length(await self._reader.readexactly(4))
            return read_pdu(await self._reader.readexactly(length - 4))
        except asyncio.IncompleteReadError:
            raise ConnectionResetError("the SMSC has closed the connection") from None
        except ValueError as error:
            raise ConnectionAbortedError(f"the SMSC does not speak SMPP: {error}") from None

    def submit(self, message: SubmitSm) -> "asyncio.Future[SubmitResult | None]":
        """Send a message; its answer, whenever it comes, or None where the connection ended first."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[SubmitResult | None] = loop.create_future()
        sequence = self._sequence.next_sequence()
        self._unanswered[sequence] = loop.time(), future
        self._send(message, sequence)
        return future

    @property
    def unanswered(self) -> int:
        """Messages sent and not answered."""
        return len(self._unanswered)

    async def run(self) -> OSError:
        """Read and keep alive, until it ends; why it did. Then close it before anything else is sent on it."""
        coroutines: tuple[Coroutine[Any, Any, None], ...] = (
            self._read(),
            self._enquire(),
            *(self._keep_incoming() for _ in range(_RECEIPTS_AT_ONCE)),
        )
        self._tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        error = next(iter(done)).exception()
        if isinstance(error, OSError):
            return error
        raise error or AssertionError("these never return")

    async def close(self) -> None:
        """Take leave of the SMSC, if it is still there; what is not answered by now never will be."""
        self.ended = True
        for _, future in self._unanswered.values():
            future.set_result(None)
        self._unanswered.clear()
        try:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            with suppress(OSError):
                async with asyncio.timeout(_CLOSING_SECONDS):
                    self._send(Unbind(), self._sequence.next_sequence())
                    self._writer.close()
                    await self._writer.wait_closed()
        finally:  # also where we are cancelled meanwhile
            self._writer.transport.abort()

    async def finish(self, timeout_s: float) -> None:
        """Wait for the answers that are still to come; those that were too late before are not."""
        long_ago = asyncio.get_running_loop().time() - self._settings.answer_timeout_s
        if waiting := [future for sent_at, future in self._unanswered.values() if sent_at > long_ago]:
            await asyncio.wait(waiting, timeout=timeout_s)

    async def _read(self) -> None:
        while True:
            pdu = await self._next()
            self._heard = True
            match pdu.command:
                case SmppCommand.SUBMIT_SM_RESP | SmppCommand.GENERIC_NACK:
                    self._answer(pdu)
                case SmppCommand.DELIVER_SM | SmppCommand.DATA_SM:
                    self._receive(pdu)
                case SmppCommand.ENQUIRE_LINK:
                    self._send(EnquireLinkResp(), pdu.sequence)
                case SmppCommand.UNBIND:
                    self._send(UnbindResp(), pdu.sequence)
                    raise ConnectionResetError("the SMSC has sent us away")
                case SmppCommand.ALERT_NOTIFICATION:
                    pass  # has no answer
                case command if not command & _RESPONSE:
                    self._send(GenericNack(), pdu.sequence, SmppCommandStatus.ESME_RINVCMDID)

    def _answer(self, pdu: Pdu) -> None:
        sent_at, future = self._unanswered.pop(pdu.sequence, (0.0, None))
        if future is None:
            self.strays += 1  # said twice, or to nothing we asked
            return
        self.answered += 1
        message_id = read_message_id(pdu.body) if pdu.command == SmppCommand.SUBMIT_SM_RESP else ""
        # A nack without a status has still taken nothing.
        status = pdu.status or (0 if pdu.command == SmppCommand.SUBMIT_SM_RESP else SmppCommandStatus.ESME_RSYSERR)
        future.set_result(SubmitResult(int(status), message_id, sent_at))

    def _receive(self, pdu: Pdu) -> None:
        try:
            incoming = read_incoming(pdu.command, pdu.body)
        except ValueError as error:
            # Sent again it would not be better: taken and left out.
            log.warning("a receipt from the SMSC that cannot be read", why=str(error))
            self._acknowledge(pdu)
            return
        try:
            self._incoming.put_nowait((pdu, incoming))
        except asyncio.QueueFull:
            self._acknowledge(pdu, SmppCommandStatus.ESME_RX_T_APPN)

    def _acknowledge(self, pdu: Pdu, status: int = SmppCommandStatus.ESME_ROK) -> None:
        if pdu.command == SmppCommand.DATA_SM:
            self._writer.write(data_sm_resp(pdu.sequence, status))
        else:
            self._send(DeliverSmResp(), pdu.sequence, status)

    async def _keep_incoming(self) -> None:
        # On their own: answers do not wait until a receipt is kept. Several at once: they come as fast as messages go.
        while True:
            pdu, incoming = await self._incoming.get()
            status = SmppCommandStatus.ESME_ROK
            try:
                await self._keep(incoming)
            except Exception as error:  # whatever it was, the SMSC may send it again
                log.error("receipt not kept", error=type(error).__name__)
                status = SmppCommandStatus.ESME_RX_T_APPN
            self._acknowledge(pdu, status)

    async def _enquire(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._settings.enquire_link_s)
            self._heard = False
            self._send(EnquireLink(), self._sequence.next_sequence())
            await asyncio.sleep(self._settings.answer_timeout_s)
            if not self._heard:
                raise TimeoutError("the SMSC no longer answers")
            long_ago = loop.time() - _FORGOTTEN_AFTER * self._settings.answer_timeout_s
            for sequence, (sent_at, future) in list(self._unanswered.items()):
                if sent_at < long_ago:
                    del self._unanswered[sequence]
                    future.set_result(None)
