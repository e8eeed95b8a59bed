"""The gateway: takes messages, and says when the SMSC has taken them."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

import msgspec
import structlog
from aiosmpplib import SmppCommandStatus as Status

from server.core.errors import MessageRefused, NotHandedOver
from server.core.masks import mask_phone
from server.messages.smpp.incoming import Receipt, Reply
from server.messages.smpp.keeper import LinkKeeper
from server.messages.smpp.lines import Lines
from server.messages.smpp.link import Link
from server.messages.smpp.pace import Pace
from server.messages.smpp.pdus import status_name, submit_sm
from server.messages.smpp.session import SubmitResult
from server.messages.smpp.settings import SmppSettings
from server.messages.smpp.split import split

log = structlog.get_logger()

OnReceipt = Callable[[Receipt], Awaitable[None]]
OnReply = Callable[[Reply], Awaitable[None]]

_THROTTLED = {Status.ESME_RTHROTTLED, Status.ESME_RMSGQFUL}
# What would be the same a second time. All else, providers' own numbers too, may be tried again.
_FOR_GOOD = {
    Status.ESME_RINVMSGLEN,
    Status.ESME_RINVCMDLEN,
    Status.ESME_RINVCMDID,
    Status.ESME_RINVPRTFLG,
    Status.ESME_RINVREGDLVFLG,
    Status.ESME_RINVSRCADR,
    Status.ESME_RINVDSTADR,
    Status.ESME_RINVSERTYP,
    Status.ESME_RINVESMCLASS,
    Status.ESME_RINVSRCTON,
    Status.ESME_RINVSRCNPI,
    Status.ESME_RINVDSTTON,
    Status.ESME_RINVDSTNPI,
    Status.ESME_RX_P_APPN,
    Status.ESME_RX_R_APPN,
}
_MOST_BEGUN = 10_000


class SmppState(msgspec.Struct, frozen=True, kw_only=True):
    """How it goes, for an operator; the counts are of short messages since the start."""

    bound: bool
    why_not: str | None
    unanswered: int
    per_second: float
    taken: int
    throttled: int
    refused: int
    answer_lost: int
    strays: int
    connections: int


class _Begun:
    """A message of which the SMSC may have something already."""

    def __init__(self, parts: list[bytes]) -> None:
        self.parts = parts
        self.ids: list[str] = []
        self.asked: asyncio.Future[SubmitResult | None] | None = None

    @property
    def is_worth_keeping(self) -> bool:
        return bool(self.ids) or self.asked is not None


class SmppGateway:
    """Hands messages to an SMSC; use it with `async with`, which connects, and connects again whenever it must.

    Messages to different phones go side by side, as many as the window lets through; those to one phone in the
    order of the calls. What was given back with an `OSError` may be given again: of a long message only the
    parts that the SMSC has not taken go out again, and where an answer was only late, nothing does.

    Args:
        settings: which SMSC.
        on_receipt: takes what became of a short message, by the SMSC's id. It may be called before
            `submit` has returned that id, and again for the same id; where it raises, the SMSC may send the
            receipt again.
        on_reply: takes what people send to the number that messages come from.
    """

    def __init__(
        self, settings: SmppSettings, on_receipt: OnReceipt | None = None, on_reply: OnReply | None = None
    ) -> None:
        self._settings = settings
        self._on_receipt = on_receipt
        self._on_reply = on_reply
        self._pace = Pace(settings.rate_per_second, settings.throttle_hold_s)
        self._pace_turn = asyncio.Lock()
        self._lines = Lines()
        self._begun: dict[tuple[str, str], _Begun] = {}
        # Not from 0: a message to the same phone just before we were started again had another one.
        self._reference = random.randrange(256)  # noqa: S311
        self._keeper = LinkKeeper(settings, self._received)
        self._taken = self._throttled = self._refused = self._lost = 0

    async def __aenter__(self) -> Self:
        await self._keeper.begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._keeper.end()

    @property
    def state(self) -> SmppState:
        """How it goes."""
        keeper = self._keeper
        return SmppState(
            bound=keeper.is_bound,
            why_not=None if keeper.is_bound else keeper.why_not,
            unanswered=keeper.unanswered,
            per_second=round(self._pace.per_second, 1),
            taken=self._taken,
            throttled=self._throttled,
            refused=self._refused,
            answer_lost=self._lost,
            strays=keeper.strays,
            connections=keeper.connections,
        )

    @property
    def ready(self) -> int:
        """How many messages at once are of use now: the window, less where the SMSC throttles; 0: not connected."""
        return max(1, int(min(self._settings.window, self._pace.per_second))) if self._keeper.is_bound else 0

    async def submit(self, phone: str, text: str) -> list[str]:
        """Hand a message over; the SMSC's ids of its parts, once it has taken them all.

        Raises:
            NotHandedOver: it has not been offered to it in time; give it again.
            OSError: it has not taken it, or not said so in time; give it again.
            MessageRefused: it never will.
        """
        deadline = asyncio.get_running_loop().time() + self._settings.patience_s
        key = phone, text
        async with self._lines.turn(phone):
            begun = self._begun.pop(key, None)
            try:
                if begun is None:
                    begun = self._begin(text)
                await self._hand_over(begun, phone, deadline)
            except (OSError, asyncio.CancelledError):
                if begun is not None and begun.is_worth_keeping:
                    self._begun[key] = begun
                    if len(self._begun) > _MOST_BEGUN:
                        del self._begun[next(iter(self._begun))]
                raise
            except MessageRefused as refusal:
                self._refused += 1
                log.warning("sms refused", phone=mask_phone(phone), why=refusal.why)
                raise
        return [message_id for message_id in begun.ids if message_id]

    def _begin(self, text: str) -> _Begun:
        try:
            parts = split(text, self._reference)
        except ValueError as error:
            raise MessageRefused(str(error)) from None
        if len(parts) > 1:
            self._reference = (self._reference + 1) % 256
        return _Begun(parts)

    async def _hand_over(self, begun: _Begun, phone: str, deadline: float) -> None:
        while len(begun.ids) < len(begun.parts):
            answer = await self._answer(begun, phone, deadline)
            if answer.status == Status.ESME_ROK:
                self._pace.taken()
                self._taken += 1
                begun.ids.append(answer.message_id)
            elif answer.status in _THROTTLED:
                self._throttled += 1
                if self._pace.throttled(answer.sent_at, asyncio.get_running_loop().time()):
                    log.info("smsc throttles", why=status_name(answer.status), per_second=self.state.per_second)
            elif answer.status in _FOR_GOOD:
                raise MessageRefused(status_name(answer.status))
            else:
                raise OSError(f"not taken by the SMSC: {status_name(answer.status)}")

    async def _answer(self, begun: _Begun, phone: str, deadline: float) -> SubmitResult:
        """The answer to the next part of a message; one that an earlier call has waited for, if it comes yet."""
        timeout_s = self._settings.answer_timeout_s
        if begun.asked is not None:
            await asyncio.wait([begun.asked], timeout=timeout_s)
            asked, begun.asked = begun.asked, None
            if asked.done() and (answer := asked.result()) is not None:
                return answer
            self._lost += 1
        link = await self._may_send(deadline)
        try:
            message = submit_sm(self._settings, phone, begun.parts[len(begun.ids)], len(begun.parts) > 1)
            begun.asked = link.submit(message)
            await asyncio.wait([begun.asked], timeout=timeout_s)
        except ValueError as error:
            raise MessageRefused(str(error)) from None
        finally:
            link.window.release()
        if not begun.asked.done():
            raise TimeoutError("the SMSC has not answered in time")
        answer, begun.asked = begun.asked.result(), None
        if answer is None:
            self._lost += 1
            raise ConnectionResetError("the connection ended before the SMSC answered")
        return answer

    async def _may_send(self, deadline: float) -> Link:
        """A bound connection, when the pace and the window let a message through; its window is held."""
        try:
            async with asyncio.timeout_at(deadline):
                while True:
                    link = await self._keeper.bound()
                    await link.window.acquire()
                    try:
                        await self._keep_pace()
                    except asyncio.CancelledError:
                        link.window.release()
                        raise
                    if not link.ended:
                        return link
                    link.window.release()
        except TimeoutError:
            why = "too much to send" if self._keeper.is_bound else self._keeper.why_not
            raise NotHandedOver(f"not sent in time: {why}") from None

    async def _keep_pace(self) -> None:
        loop = asyncio.get_running_loop()
        # One at a time asks, the others wait behind it.
        async with self._pace_turn:
            while True:
                wait_s = self._pace.wait_s(loop.time())
                if wait_s <= 0:
                    return
                await asyncio.sleep(wait_s)

    async def _received(self, incoming: Receipt | Reply) -> None:
        if isinstance(incoming, Receipt):
            if self._on_receipt is not None:
                await self._on_receipt(incoming)
        elif self._on_reply is not None:
            await self._on_reply(incoming)
