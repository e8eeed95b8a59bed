"""What providers say of the messages they have taken, and what people reply to them."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec
import structlog

from server.core.city import City
from server.core.clock import Clock
from server.core.errors import StoreUnavailable
from server.core.keys import Pepper
from server.core.sms import plain_word
from server.messages.delivery_failures import KINDS_CALLED, failed
from server.messages.message_ids import RELATIONS, Relation, Rule, Said, choose, usual_of
from server.messages.receipt_store import ReceiptStore
from server.messages.store import OutboxStore
from server.records.message import Noted, Sent
from server.store.coalescer import Coalescer
from server.store.connection import Connection
from server.store.registrations import RegistrationReader

log = structlog.get_logger()

HOUR_MS: Final = 3_600_000
# A receipt may be faster than the answer that has the message's id.
_LOOK_AGAIN_SECONDS = (0.2, 1.0, 5.0, 20.0)
_MOST_EARLY_RECEIPTS = 10_000
_USUAL_FOR_SECONDS = 60.0
_HOURS_LOOKED_AT = 24


class ReportedDelivery(msgspec.Struct, frozen=True):
    """A receipt, of whichever protocol.

    `ids`: of the message as it has them, the surest first. `phones`: what residents may call the phones that it names.
    `submitted`: when it was handed over, in the provider's words. `rule`: how this provider spells ids.
    """

    ids: tuple[str, ...]
    said: Said
    phones: tuple[str, ...] = ()
    submitted: str = ""
    rule: Rule = "auto"


class _Heard(msgspec.Struct, frozen=True, array_like=True):
    """A receipt as it may be kept: with hashes of the phones."""

    ids: tuple[str, ...]
    said: Said
    phones: frozenset[bytes]
    submitted: str
    rule: Rule


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(_Heard).decode


class DeliveryReceipts:
    """Notes what became of messages on the registrations; what reached nobody goes on the list of calls.

    Args:
        city: words that people reply.
        connection: the messages that were sent.
        clock: city time.
        pepper: keyed hashes of phones.
    """

    def __init__(self, city: City, connection: Connection, clock: Clock, pepper: Pepper) -> None:
        self._receipt_store = ReceiptStore(connection)
        self._outbox = OutboxStore(connection)
        self._reader = RegistrationReader(connection)
        self._clock = clock
        self._pepper = pepper
        self._stop_words = {plain_word(word) for word in city.sms.stop_words}
        self._start_words = {plain_word(word) for word in city.sms.start_words}
        self._sent_as: Coalescer[tuple[str, ...], list[Sent]] = Coalescer(self._receipt_store.sent_as)
        self._note: Coalescer[tuple[Sent, Said], Noted] = Coalescer(self._receipt_store.receipt)
        self._count: Coalescer[tuple[int, tuple[str, ...]], None] = Coalescer(self._receipt_store.count_receipts)
        self._early: set[asyncio.Task[None]] = set()
        self._usual: tuple[float, Relation | None] = (float("-inf"), None)

    async def take(self, told: ReportedDelivery) -> None:
        """The provider says what became of a message. One that is not known yet is looked at again for a while.

        Raises:
            StoreUnavailable: it was not noted; the provider may say it again.
            BufferError: too many that are not known; so it may.
        """
        phones = frozenset(self._pepper.phone(phone) for phone in told.phones)
        heard = _Heard(told.ids, told.said, phones, told.submitted, told.rule)
        if await self._take(heard) is None:
            return
        if len(self._early) >= _MOST_EARLY_RECEIPTS:
            raise BufferError
        task = asyncio.create_task(self._take_later(heard))
        self._early.add(task)
        task.add_done_callback(self._early.discard)

    async def settled(self, timeout_s: float) -> None:
        """Wait, for so long at most, for the receipts that are looked at again."""
        if self._early:
            await asyncio.wait(self._early, timeout=timeout_s)

    async def take_early(self, packed: Sequence[bytes]) -> None:
        """Receipts that were kept until their message is known, as it is now.

        Raises:
            StoreUnavailable: they were not noted.
        """
        for each in packed:
            if await self._take(_unpack(each)) is None:
                await self._counted("-unmatched", "-unknown")

    async def _take_later(self, heard: _Heard) -> None:
        why: str | None = "unknown"
        for seconds in _LOOK_AGAIN_SECONDS:
            await asyncio.sleep(seconds)
            with suppress(StoreUnavailable):
                why = await self._take(heard)
                if why is None:
                    return
        # Of another message than the latest of its kind it is no news; all else is nobody's message that we know.
        if why != "earlier":
            log.warning("a receipt that matches no message", id=heard.ids[0][:65], why=why)
        with suppress(StoreUnavailable):
            if why == "unknown":
                await self._receipt_store.keep_early(heard.ids, _pack(heard))
            await self._counted("matched" if why == "earlier" else "unmatched", why if why != "earlier" else None)

    async def _take(self, heard: _Heard) -> str | None:
        """None: noted. Else why not (yet)."""
        candidates = await self._sent_as.submit(heard.ids)
        usual = await self._usual_relation()
        choice = choose(heard.ids, candidates, heard.phones, heard.submitted, heard.rule, usual)
        if choice.which is None or choice.relation is None:
            return choice.why
        sent = candidates[choice.which]
        if sent.kind != "code":
            noted = await self._note.submit((sent, heard.said))
            if not noted.now:
                return "earlier"
            await self._see_to_calls(sent, noted)
        is_proven = bool(heard.phones and sent.phone)
        word = "not-known" if heard.said == "unknown" else heard.said
        await self._counted("matched", word, choice.relation if is_proven else None)
        return None

    async def _see_to_calls(self, sent: Sent, noted: Noted) -> None:
        if noted.now == "undelivered":
            log.warning("sms not delivered", kind=sent.kind, district=sent.district)
            if sent.kind in KINDS_CALLED:
                await self._outbox.note_call(sent.district, sent.no, sent.resident)
        elif noted.now == "delivered" and noted.was == "undelivered":  # the provider knew no better then
            kept = await self._reader.registration(sent.resident)
            if kept is not None and kept.no == sent.no and not failed(kept):
                await self._outbox.forget_call(sent.district, sent.no)

    async def _counted(self, *what: str | None) -> None:
        await self._count.submit((self._clock.now_ms() // HOUR_MS, tuple(filter(None, what))))

    async def _usual_relation(self) -> Relation | None:
        """How this provider's receipts have spelled ids lately, where phones proved it."""
        now = asyncio.get_running_loop().time()
        if now - self._usual[0] >= _USUAL_FOR_SECONDS:
            self._usual = now, self._usual[1]  # nobody else looks meanwhile
            counts = await self.counts(_HOURS_LOOKED_AT)
            self._usual = now, usual_of({how: counts[how] for how in RELATIONS})
        return self._usual[1]

    async def counts(self, hours: int) -> Counter[str]:
        """What was counted in the last hours, by all senders."""
        hour = self._clock.now_ms() // HOUR_MS
        found = await self._receipt_store.receipt_counts(range(hour - hours + 1, hour + 1))
        return sum(found, Counter())

    # What people reply

    async def reply(self, phone: str, text: str) -> None:
        """Somebody has sent something to the number that our messages come from.

        Args:
            phone: as residents write it.
            text: one of the city's words, alone; anything else is left unread.

        Raises:
            StoreUnavailable: it was not noted; the provider may say it again.
        """
        word = plain_word(text)
        if word in self._stop_words:
            await self.stop(phone)
            log.info("a phone wants no more messages")
        elif word in self._start_words:
            await self.start(phone)
            log.info("a phone wants messages again")

    async def stop(self, phone: str) -> bool:
        """Send a phone no more messages, as its holder asks; False where it had been stopped before.

        Raises:
            StoreUnavailable: it was not noted.
        """
        return await self._receipt_store.opt_out(self._pepper.phone(phone), self._clock.now_ms())

    async def start(self, phone: str) -> bool:
        """Send a phone messages again; False where it had not been stopped.

        Raises:
            StoreUnavailable: it was not noted.
        """
        return await self._receipt_store.opt_in(self._pepper.phone(phone))
