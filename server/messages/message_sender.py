"""Sends what residents are owed: in the order of events, within the caps, and only while it is worth sending."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, assert_never

import structlog

from server.core.city import City
from server.core.clock import Clock
from server.core.encryption import Unreadable
from server.core.errors import MessageRefused, NotHandedOver, NotUnderstood, StoreUnavailable
from server.core.keys import Pepper, resident_tag
from server.core.masks import mask_phone
from server.core.message_kinds import KINDS
from server.messages.code_sender import Sending
from server.messages.delivery_failures import KINDS_CALLED
from server.messages.delivery_receipts import DeliveryReceipts
from server.messages.gateways import Gateway
from server.messages.in_hand import Answer, InHand
from server.messages.outbox_reader import HOLD_SECONDS, OutboxReader
from server.messages.rendering import Rendered, Renderer
from server.records.message import AdmitVerdict, Caps, DeadLetter, Next, Pointer, SendOutcome
from server.store.coalescer import Coalescer
from server.store.connection import Connection
from server.store.pointers import Pointers

log = structlog.get_logger()

# For so long a sender tries to tell the store what the gateway has answered.
_TELL_SECONDS = 10.0
_PAUSE_SECONDS = 0.3
# A pointer behind another one: that other one sends its resident's next message itself, so this is for the crash.
_BEHIND_MS = 15_000
_FIRST_BACKOFF_MS, _LONGEST_BACKOFF_MS = 5_000, 900_000
_MOST_SPREAD_MS = 600_000
_NOT_HANDED_OVER_MS = 2_000
# Of a call whoever asked for it is told up to three quarters of that, so that a family's phone is told of all of them.
_CALLS_SHARE: Final = 0.75
# What only confirms may have half of a phone's messages, so that nobody can use up those that matter. It is not put off
# where a phone has had enough of it, either: it would hold up what matters.
_CONFIRMING_SHARE: Final = 2


class MessageSender(OutboxReader):
    """What a crash costs, and what not, stands in `server.messages.sender`.

    Args:
        city: limits.
        connection: where messages are owed.
        clock: city time.
        pepper: keyed hashes of phones, where messages to them are counted.
        renderer: puts messages into words.
        receipts: takes those that came before their message was known.
    """

    def __init__(
        self,
        city: City,
        connection: Connection,
        clock: Clock,
        pepper: Pepper,
        renderer: Renderer,
        receipts: DeliveryReceipts,
    ) -> None:
        super().__init__(city, connection, clock, pepper, renderer)
        self._receipts = receipts
        self._pointers = Pointers(connection)
        # Many residents' messages are on their way at once, and the store hears of them in few calls.
        self._next: Coalescer[Pointer, Next] = Coalescer(self._outbox.next_message)
        self._admit: Coalescer[tuple[str, str, bool, Caps], tuple[AdmitVerdict, int]] = Coalescer(self._outbox.admit)
        self._opted_out: Coalescer[bytes, bool] = Coalescer(self._receipt_store.has_opted_out)
        self._settle_message: Coalescer[tuple[Pointer, int, SendOutcome, str], bool] = Coalescer(
            self._outbox.settle_message
        )
        # What a gateway has answered and the store has not been told yet.
        self._answered: dict[tuple[str, int, float, str], Answer] = {}

    async def take(self, gateway: Gateway, districts: Sequence[str], consumer: str, room: int) -> list[Sending]:
        """About so many residents who are owed something now."""
        deadline = asyncio.get_running_loop().time() + HOLD_SECONDS
        pointers = []
        for entry in await self._read(districts, consumer, room, "outbox"):
            try:
                pointers.append(Pointer.of(entry))
            except (KeyError, ValueError):
                log.error("an entry of the outbox that is no pointer", district=entry.district, id=entry.id)
        # What is not understood stays owed, and is taken up again when it has lain for long enough.
        found = [
            (pointer, each)
            for pointer, each in zip(pointers, await self._outbox.next_message(pointers), strict=True)
            if not isinstance(each, NotUnderstood)
        ]
        many = sum(each.status == "send" for _, each in found)
        wait_s = await self._outbox.pace(many, self._city.sms.per_second) / 1000 if many else 0.0
        held = [InHand(*each, deadline) for each in found]
        return [self._follow(gateway, each, wait_s) for each in held]

    async def _follow(self, gateway: Gateway, held: InHand, wait_s: float) -> int:
        """Send what a resident is owed, one after the other, beginning in so many seconds; how many were sent."""
        sent = 0
        try:
            while held.found.status == "send":
                await asyncio.sleep(wait_s)
                outcome = await self._deliver(gateway, held)
                if outcome is None:
                    return sent
                sent += outcome == "accepted"
                pointer = held.pointer._replace(tries=0)
                held = InHand(pointer, await self._next.submit(pointer), held.deadline)
                if held.found.status == "send":
                    wait_s = await self._outbox.pace(1, self._city.sms.per_second) / 1000
            await self._leave(held)
        except StoreUnavailable:
            log.warning("message stays owed: the store is away", pointer=held.pointer.name)
        except Exception as error:  # taken up again when it has lain for long enough
            log.error("message stays owed", pointer=held.pointer.name, error=type(error).__name__)
        return sent

    async def _leave(self, held: InHand) -> None:
        """Nothing is to be sent for this pointer now."""
        match held.found.status:
            case "none":
                await self._acknowledge.submit(held.pointer.entry)
            case "early":
                await self._outbox.defer(held.pointer, held.found.due_ms, 0)
            case "behind":
                await self._defer(held.pointer, _BEHIND_MS)
            case "send":
                raise AssertionError("a message that is to be sent is not left")
            case _:
                assert_never(held.found.status)

    async def _deliver(self, gateway: Gateway, held: InHand) -> SendOutcome | None:
        """Send and settle the message in hand; None where it was put off or laid aside, with its pointer."""
        answer = self._answered.get(held.mark)
        if answer is None:
            answer = await self._answer(gateway, held)
            if answer is None:
                return None
            self._answered[held.mark] = answer
        patience = asyncio.get_running_loop().time() + _TELL_SECONDS
        early: list[bytes] = []
        while True:
            try:
                # Before it is settled: a receipt that comes between the two is looked at again.
                early += await self._expect_receipts(held, answer)
                await self._tell(held, answer)
                break
            except StoreUnavailable:  # back soon? Else whoever takes this up repeats it, unless it is us
                if asyncio.get_running_loop().time() >= patience:
                    raise
                await asyncio.sleep(_PAUSE_SECONDS)
        with suppress(StoreUnavailable):  # it is settled
            await self._receipts.take_early(early)
        del self._answered[held.mark]
        return answer.outcome

    async def _answer(self, gateway: Gateway, held: InHand) -> Answer | None:
        """What becomes of a message; None where it was put off or laid aside."""
        try:
            rendered = await self._renderer.render(held.pointer.resident, held.message, self._clock.now_ms())
        except Unreadable as error:
            # Not for ever, perhaps: a secret may only be missing here.
            await self._lay_aside(held, f"cannot be read: {error}")
            return None
        if rendered is None:
            return Answer("dropped")
        if self._clock.now_ms() >= rendered.ends_ms:
            log.warning("message too late, not sent", kind=held.message.kind, district=held.pointer.entry.district)
            return Answer("unsent", "too-late", rendered.is_latest)
        return await self._hand_over(gateway, held, rendered)

    async def _expect_receipts(self, held: InHand, answer: Answer) -> list[bytes]:
        """Let receipts find the message; those that came before."""
        if not answer.ids:
            return []
        sent = held.sent()._replace(phone=answer.phone, sent_ms=answer.at_ms)
        return await self._receipt_store.expect_receipts(answer.ids, sent)

    async def _tell(self, held: InHand, answer: Answer) -> None:
        """Let the store know what the gateway has answered."""
        if answer.outcome in ("refused", "unsent") and answer.is_latest:
            await self._note_call(held)
        await self._settle_message.submit((held.pointer, held.found.seq, answer.outcome, answer.why))

    async def _hand_over(self, gateway: Gateway, held: InHand, rendered: Rendered) -> Answer | None:
        """What the gateway says, where the message may go; None where it was put off or laid aside."""
        pointer, kind = held.pointer, held.message.kind
        shown: dict[str, Any] = {"kind": kind, "phone": mask_phone(rendered.phone)}
        if asyncio.get_running_loop().time() >= held.deadline:  # this process was asleep, or the pace is slow
            await self._defer(pointer, 0)
            return None
        if await self._opted_out.submit(self._pepper.phone(rendered.phone)):
            log.info("the phone wants no messages, not sent", **shown)
            return Answer("unsent", "opted-out", rendered.is_latest)
        # Counted when it is tried first: a gateway that fails uses nothing up.
        verdict: AdmitVerdict
        verdict, wait_ms = ("go", 0) if pointer.tries else await self._admit.submit(self._asked(kind, rendered.phone))
        match verdict:
            case "never":
                log.warning("too many messages to one phone, not sent", **shown)
                return Answer("unsent", "too-many", rendered.is_latest)
            case "later":
                log.warning("too many messages to one phone, put off", **shown)
                await self._defer(pointer, wait_ms)
                return None
            case "go":
                return await self._submit(gateway, held, rendered)
            case _:
                assert_never(verdict)

    async def _submit(self, gateway: Gateway, held: InHand, rendered: Rendered) -> Answer | None:
        """What the gateway says; None where the message was put off or laid aside."""
        pointer = held.pointer
        shown: dict[str, Any] = {"kind": held.message.kind, "phone": mask_phone(rendered.phone)}
        try:
            async with asyncio.timeout_at(held.deadline):
                ids = await gateway.submit(rendered.phone, rendered.text)
        except MessageRefused as refused:
            log.error("message refused for good", why=refused.why, **shown)
            return Answer("refused", is_latest=rendered.is_latest)
        except NotHandedOver:
            # However often, no more than the first try: that one has counted against its phone.
            await self._defer(pointer, _NOT_HANDED_OVER_MS, max(1, pointer.tries))
            return None
        except Exception as error:
            why = f"{type(error).__name__}: {error}" if isinstance(error, OSError) else type(error).__name__
            await self._fail(held, why[:200])
            return None
        log.info("sms sent", district=pointer.entry.district, **shown)
        if held.message.about.latest_ms:
            with suppress(StoreUnavailable):  # by a few moments: it has counted since the words were made
                await self._renderer.start_claim(pointer.resident, held.message.about)
        phone = self._pepper.phone(rendered.phone)
        return Answer("accepted", "", rendered.is_latest, ids, phone, self._clock.now_ms())

    def _asked(self, kind: str, phone: str) -> tuple[str, str, bool, Caps]:
        sms = self._city.sms
        share = max(1, sms.per_phone_a_day_in_all // _CONFIRMING_SHARE)
        if KINDS[kind].true_while == "ready":
            share = max(share, round(sms.per_phone_a_day_in_all * _CALLS_SHARE))
        caps = Caps(sms.per_phone_a_day, share, sms.per_phone_a_day_in_all)
        return resident_tag(self._pepper.phone(phone)), kind, kind not in KINDS_CALLED, caps

    async def _fail(self, held: InHand, why: str) -> None:
        tries = held.pointer.tries + 1
        if tries >= self._city.sms.tries:
            await self._lay_aside(held, why)
            return
        log.warning("message not taken, will be tried again", pointer=held.pointer.name, tries=tries, why=why)
        backoff_ms = min(_LONGEST_BACKOFF_MS, _FIRST_BACKOFF_MS * 2 ** (tries - 1))
        await self._defer(held.pointer, backoff_ms, tries)

    async def _defer(self, pointer: Pointer, ms: int, tries: int | None = None) -> None:
        """Put a pointer off, by so much and some more: what failed together does not come back together."""
        spread_ms = random.uniform(0, min(ms / 2, _MOST_SPREAD_MS))  # noqa: S311
        due_ms = self._clock.now_ms() + ms + round(spread_ms)
        await self._outbox.defer(pointer, due_ms, pointer.tries if tries is None else tries)

    async def _lay_aside(self, held: InHand, why: str) -> None:
        """Make a dead letter of the message in hand; an operator may send it after all (`jiaohao outbox resend`)."""
        pointer, message = held.pointer, held.message
        log.error("dead letter", pointer=pointer.name, kind=message.kind, why=why)
        district, tries = pointer.entry.district, pointer.tries + 1
        await self._note_call(held)
        letter = DeadLetter(
            pointer.resident, held.found.seq, message.kind, message.no, int(message.at_ms), tries, why
        )  # fmt: skip
        # In this order: killed in between, the message is tried once more, or is a dead letter already.
        await self._outbox.keep_dead_letter(district, pointer.name, letter)
        await self._outbox.shelve_message(pointer, held.found.seq)
        # What the resident is owed beside it goes on, with a pointer of its own.
        await self._pointers.write_pointers([(district, pointer.resident)])
        await self._acknowledge.submit(pointer.entry)

    async def _note_call(self, held: InHand) -> None:
        if held.message.kind in KINDS_CALLED:
            await self._outbox.note_call(held.pointer.entry.district, held.message.no, held.pointer.resident)
