"""Messages to residents: owed in the outbox, put into words when they go out, handed to a gateway.

What a crash costs. A message is owed from its event on, and until `settle_message`. Killed before the gateway took it:
another sender takes it up. Killed after the gateway said so and before the store knew: it goes out once more, the one
repeat there is. A store that is away in between costs no repeat, as what was handed over is remembered until it is
settled. Two live senders never have the same message: nobody keeps one as long as it takes to be taken over
(`_IDLE_MS`).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from datetime import time
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import structlog

from server.city import City
from server.clock import Clock, from_ms
from server.errors import MessageRefused, NotHandedOver, StoreUnavailable
from server.gateways import Gateway
from server.keys import Pepper, resident_tag
from server.letters import Letter, Letters
from server.masks import mask_phone
from server.seal import Seal, Unreadable
from server.sites import Sites
from server.sms import Language
from server.store import Store
from server.store.coalescer import Coalescer
from server.store.outbox import Outcome, Stream
from server.store.store import Arg, DeadLetter, Next, Owed, Pointer, Sent
from server.unreached import CALLED

log = structlog.get_logger()

_DAY_MS = 86_400_000
_PAUSE_SECONDS = 0.3
_MOST_CODES = 50
_MOST_MESSAGES = 200
# A sender has nothing in hand for longer than this and a few calls of the store (5 s each) ...
_HOLD_SECONDS = 20.0
# ... so whoever has had something for this long is dead, and another takes it up.
_IDLE_MS: dict[Stream, int] = {"codes": 30_000, "outbox": 60_000}
# For so long a sender tries to tell the store what the gateway has answered.
_TELL_SECONDS = 10.0
_BRING = 1000
# A pointer behind another one: that other one sends its resident's next message itself, so this is for the crash.
_BEHIND_MS = 15_000
_FIRST_BACKOFF_MS, _LONGEST_BACKOFF_MS = 5_000, 900_000
_MOST_SPREAD_MS = 600_000
_NOT_HANDED_OVER_MS = 2_000
# A receipt may be faster than the answer that has the message's id.
_LOOK_AGAIN_SECONDS = (0.2, 1.0, 5.0, 20.0)
_MOST_EARLY_RECEIPTS = 10_000

_Sending: TypeAlias = Coroutine[Any, Any, int]


class _Held(NamedTuple):
    """A message in hand: what led to it, and until when (the loop's time) it may be handed over."""

    pointer: Pointer
    found: Next
    deadline: float


class Notices:
    """The outbox.

    Args:
        city: the messages' words.
        store: where they are owed.
        clock: city time.
        seal: seals what a message says, and opens the phone it goes to.
        pepper: keyed hashes of phones, where messages to them are counted.
        sites: names of sites.
    """

    def __init__(self, city: City, store: Store, clock: Clock, seal: Seal, pepper: Pepper, sites: Sites) -> None:
        self._city = city
        self._store = store
        self._clock = clock
        self._seal = seal
        self._pepper = pepper
        self._letters = Letters(city, store, seal, sites)
        self._districts = [district.code for district in city.districts]
        # Many residents' messages are on their way at once, and the store hears of them in few calls.
        self._next: Coalescer[Pointer, Next] = Coalescer(store.next_message)
        self._count: Coalescer[tuple[str, int, int], int] = Coalescer(store.count_messages)
        self._settle: Coalescer[tuple[Pointer, int, Outcome], bool] = Coalescer(store.settle_message)
        self._sent: Coalescer[Owed, None] = Coalescer(store.sent)
        self._sent_as: Coalescer[str, Sent | None] = Coalescer(store.sent_as)
        self._receipts: Coalescer[tuple[Sent, bool], str] = Coalescer(store.receipt)
        # What a gateway has answered and the store has not been told yet.
        self._answered: dict[tuple[str, int, float, str], tuple[Outcome, list[str]]] = {}
        self._early_receipts: set[asyncio.Task[None]] = set()

    async def owe_code(
        self, resident: bytes, district: str, code: str, expires_ms: int, language: Language = "zh"
    ) -> None:
        """A one-time code is owed to a resident, until it expires."""
        sealed = self._seal.close_text(resident, code)
        fields: dict[str, Arg] = {
            "kind": "code", "resident": resident, "sealed": sealed, "expires_ms": expires_ms, "lang": language,
        }  # fmt: skip
        await self._store.owe(district, fields)

    @property
    def is_quiet(self) -> bool:
        """Whether it is an hour in which only codes go out."""
        return self._time_of_day() in self._city.sms.quiet_hours

    def _time_of_day(self) -> time:
        return from_ms(self._clock.now_ms(), self._city.tz).time()

    # Sending

    async def run(self, gateway: Gateway, consumer: str) -> None:
        """Send what is owed, until cancelled; what the gateway has in hand then is waited for.

        Args:
            gateway: takes the messages.
            consumer: this sender's name, its own among all that send at the same time.
        """
        # Not gathered: that would be over with the first of them, while the other still waits for its gateway.
        async with asyncio.TaskGroup() as both:
            codes, messages = (partial(take, gateway, consumer) for take in (self._take_codes, self._take_messages))
            both.create_task(self._keep_sending(gateway, codes, _MOST_CODES))
            both.create_task(self._keep_sending(gateway, messages, self._most_messages))

    @property
    def _most_messages(self) -> int:
        return min(_MOST_MESSAGES, self._city.sms.per_second)

    async def _keep_sending(
        self, gateway: Gateway, take: Callable[[int], Awaitable[list[_Sending]]], most: int
    ) -> None:
        """Keep up to `most` messages in the gateway's hands; codes and the others, each with their own room."""
        in_hand: set[asyncio.Task[int]] = set()
        settled = asyncio.Event()
        opened = False

        def settle(task: asyncio.Task[int]) -> None:
            in_hand.discard(task)
            settled.set()

        try:
            while True:
                settled.clear()
                taken: list[_Sending] = []
                looked = False
                try:
                    if not opened:
                        await self._store.open_outbox(self._districts)
                        opened = True
                    room = min(gateway.ready, most)
                    # Not for one or two: each look asks every district.
                    if looked := bool(room) and len(in_hand) * 2 <= room:
                        taken = await take(room - len(in_hand))
                except StoreUnavailable:
                    opened = False
                except Exception:  # whatever it was, the messages are still owed
                    log.exception("sending failed")
                for each in taken:
                    task = asyncio.create_task(each)
                    in_hand.add(task)
                    task.add_done_callback(settle)
                if looked and not taken:
                    await asyncio.sleep(_PAUSE_SECONDS)
                elif not taken:  # no room
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_PAUSE_SECONDS):
                            await settled.wait()
        finally:
            if in_hand:
                await asyncio.wait(in_hand, timeout=_HOLD_SECONDS)

    async def send_owed(self, gateway: Gateway, consumer: str) -> int:
        """Send what is owed now, codes first; how many were sent.

        One that the gateway does not take stays owed and holds up no other resident's.

        Raises:
            StoreUnavailable: it went away meanwhile; the rest is still owed.
        """
        return await self.send_codes(gateway, consumer) + await self.send_messages(gateway, consumer)

    async def send_codes(self, gateway: Gateway, consumer: str) -> int:
        """Send the one-time codes that are owed now; how many were sent.

        Raises:
            StoreUnavailable: it went away meanwhile; the rest is still owed.
        """
        return await self._send_all(gateway, partial(self._take_codes, gateway, consumer), _MOST_CODES)

    async def send_messages(self, gateway: Gateway, consumer: str) -> int:
        """Send the messages that are due now, unless it is quiet; how many were sent.

        Raises:
            StoreUnavailable: it went away meanwhile; the rest is still owed.
        """
        take = partial(self._take_messages, gateway, consumer, bring=False)
        if not self.is_quiet:
            await self._bring()
        return await self._send_all(gateway, take, self._most_messages)

    async def _send_all(self, gateway: Gateway, take: Callable[[int], Awaitable[list[_Sending]]], most: int) -> int:
        sent = 0
        while (room := min(gateway.ready, most)) and (taken := await take(room)):
            sent += sum(await asyncio.gather(*taken))
        return sent

    async def _read(self, consumer: str, room: int, stream: Stream) -> list[Owed]:
        """About so many entries: from each district alike at first, then from those that have more."""
        found: list[Owed] = []
        districts = random.sample(self._districts, len(self._districts))
        while districts and len(found) < room:
            share = -(-(room - len(found)) // len(districts))
            more = await self._store.next_owed(districts, consumer, share, _IDLE_MS[stream], stream)
            found += more
            counts = [sum(owed.district == district for owed in more) for district in districts]
            districts = [district for district, count in zip(districts, counts, strict=True) if count >= share]
        return found

    # Codes

    async def _take_codes(self, gateway: Gateway, consumer: str, room: int) -> list[_Sending]:
        owed = await self._read(consumer, room, "codes")
        if owed:  # they do not wait for the pace, but what comes after them does
            await self._store.pace(len(owed), self._city.sms.per_second)
        return [self._deliver_code(gateway, each) for each in owed]

    async def _deliver_code(self, gateway: Gateway, owed: Owed) -> int:
        try:
            async with asyncio.timeout(_HOLD_SECONDS):
                sent = await self._send_code(gateway, owed)
            await self._sent.submit(owed)
        except Exception as error:
            log.error("code stays owed", id=owed.id, error=type(error).__name__)
            return 0
        return int(sent)

    async def _send_code(self, gateway: Gateway, owed: Owed) -> bool:
        resident, kind = owed.fields["resident"], owed.fields["kind"].decode()
        if int(owed.fields["expires_ms"]) <= self._clock.now_ms():
            log.warning("message too old, not sent", kind=kind)
            return False
        try:
            phone = await self._letters.phone(resident)
            language: Language = "en" if owed.fields.get("lang") == b"en" else "zh"
            text = self._letters.code(resident, owed.fields["sealed"], language)
        except Unreadable as error:
            log.error("message cannot be read, not sent", kind=kind, why=str(error))
            return False
        try:
            await gateway.submit(phone, text)
        except MessageRefused as refused:
            log.error("message refused for good", kind=kind, phone=mask_phone(phone), why=refused.why)
            return False
        log.info("sms sent", kind=kind, phone=mask_phone(phone), district=owed.district)
        return True

    # What residents are owed

    async def _bring(self) -> None:
        await self._store.bring(self._districts, _BRING)

    async def _take_messages(self, gateway: Gateway, consumer: str, room: int, *, bring: bool = True) -> list[_Sending]:
        if self.is_quiet:
            return []
        deadline = asyncio.get_running_loop().time() + _HOLD_SECONDS
        if bring:
            await self._bring()
        pointers = []
        for owed in await self._read(consumer, room, "outbox"):
            try:
                pointers.append(Pointer.of(owed))
            except (KeyError, ValueError):
                log.error("an entry of the outbox that is no pointer", district=owed.district, id=owed.id)
        found = await self._store.next_message(pointers)
        many = sum(each.status == "send" for each in found)
        wait_s = await self._store.pace(many, self._city.sms.per_second) / 1000 if many else 0.0
        held = [_Held(*each, deadline) for each in zip(pointers, found, strict=True)]
        return [self._follow(gateway, each, wait_s) for each in held]

    async def _follow(self, gateway: Gateway, held: _Held, wait_s: float) -> int:
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
                held = _Held(pointer, await self._next.submit(pointer), held.deadline)
                if held.found.status == "send":
                    wait_s = await self._store.pace(1, self._city.sms.per_second) / 1000
            await self._leave(held)
        except StoreUnavailable:
            log.warning("message stays owed: the store is away", pointer=held.pointer.name)
        except Exception as error:  # taken up again when it has lain for long enough
            log.error("message stays owed", pointer=held.pointer.name, error=type(error).__name__)
        return sent

    async def _leave(self, held: _Held) -> None:
        """Nothing is to be sent for this pointer now."""
        match held.found.status:
            case "none":
                await self._sent.submit(held.pointer.owed)
            case "early":
                await self._store.defer(held.pointer, held.found.due_ms, 0)
            case _:  # behind
                await self._defer(held.pointer, _BEHIND_MS)

    async def _deliver(self, gateway: Gateway, held: _Held) -> Outcome | None:
        """Send and settle the message in hand; None where it was put off or laid aside, with its pointer."""
        pointer, found = held.pointer, held.found
        assert found.message is not None  # noqa: S101  (there is one to send)
        # With its event: numbers begin anew where nothing is owed any more.
        mark = (pointer.name, found.seq, found.message.at_ms, found.message.kind)
        answer = self._answered.get(mark)
        is_latest = True
        if answer is None:
            try:
                letter = await self._letters.write(pointer.resident, found.message)
            except Unreadable as error:
                # Not for ever, perhaps: a secret may only be missing here.
                await self._lay_aside(held, f"cannot be read: {error}")
                return None
            if letter is None:
                await self._settle.submit((pointer, found.seq, "dropped"))
                return "dropped"
            is_latest = letter.is_latest
            answer = await self._hand_over(gateway, held, letter)
            if answer is None:
                return None
            self._answered[mark] = answer
        patience = asyncio.get_running_loop().time() + _TELL_SECONDS
        while True:
            try:
                await self._tell(held, answer, is_latest)
                break
            except StoreUnavailable:  # back soon? Else whoever takes this up repeats it, unless it is us
                if asyncio.get_running_loop().time() >= patience:
                    raise
                await asyncio.sleep(_PAUSE_SECONDS)
        del self._answered[mark]
        return answer[0]

    async def _tell(self, held: _Held, answer: tuple[Outcome, list[str]], is_latest: bool) -> None:
        """Let the store know what the gateway has answered."""
        (outcome, ids), (pointer, found, _) = answer, held
        assert found.message is not None  # noqa: S101
        message = found.message
        sent = Sent(pointer.resident, pointer.owed.district, message.no, message.kind, int(message.at_ms))
        if ids:  # before it is settled: a receipt that comes between the two is looked at again
            await self._store.expect_receipts(ids, sent)
        if outcome == "refused" and is_latest:
            await self._note_call(sent)
        await self._settle.submit((pointer, found.seq, outcome))

    async def _hand_over(self, gateway: Gateway, held: _Held, letter: Letter) -> tuple[Outcome, list[str]] | None:
        """What the gateway says, with its ids; None where the message was put off or laid aside."""
        pointer, message = held.pointer, held.found.message
        assert message is not None  # noqa: S101
        shown: dict[str, Any] = {"kind": message.kind, "phone": mask_phone(letter.phone)}
        if asyncio.get_running_loop().time() >= held.deadline:  # this process was asleep, or the pace is slow
            await self._defer(pointer, 0)
            return None
        # Counted when it is tried first: a gateway that fails uses nothing up.
        if pointer.tries == 0 and (wait_ms := await self._wait_of_phone(message.kind, letter.phone)):
            log.warning("too many messages to one phone, put off", **shown)
            await self._defer(pointer, wait_ms)
            return None
        try:
            async with asyncio.timeout_at(held.deadline):
                ids = await gateway.submit(letter.phone, letter.text)
        except MessageRefused as refused:
            log.error("message refused for good", why=refused.why, **shown)
            return "refused", []
        except NotHandedOver:
            # However often, no more than the first try: that one has counted against its phone.
            await self._defer(pointer, _NOT_HANDED_OVER_MS, max(1, pointer.tries))
            return None
        except Exception as error:
            why = f"{type(error).__name__}: {error}" if isinstance(error, OSError) else type(error).__name__
            await self._fail(held, why[:200])
            return None
        log.info("sms sent", district=pointer.owed.district, **shown)
        return "accepted", ids

    async def _wait_of_phone(self, kind: str, phone: str) -> int:
        tag = resident_tag(self._pepper.pair(f"sms {kind}".encode(), phone))
        return await self._count.submit((tag, _DAY_MS, self._city.sms.per_phone_a_day))

    async def _fail(self, held: _Held, why: str) -> None:
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
        await self._store.defer(pointer, due_ms, pointer.tries if tries is None else tries)

    async def _lay_aside(self, held: _Held, why: str) -> None:
        """Make a dead letter of the message in hand; an operator may send it after all (`jiaohao outbox resend`)."""
        pointer, message = held.pointer, held.found.message
        assert message is not None  # noqa: S101
        log.error("dead letter", pointer=pointer.name, kind=message.kind, why=why)
        resident, at_ms = pointer.resident, int(message.at_ms)
        district = pointer.owed.district
        await self._note_call(Sent(resident, district, message.no, message.kind, at_ms))
        tries = pointer.tries + 1
        letter = DeadLetter(resident, held.found.seq, message.kind, message.no, at_ms, tries, why)
        # In this order: killed in between, the message is tried once more, or is a dead letter already.
        await self._store.bury(district, pointer.name, letter)
        await self._store.shelve_message(pointer, held.found.seq)
        # What the resident is owed beside it goes on, with a pointer of its own.
        await self._store.point([(district, resident)])
        await self._store.sent([pointer.owed])

    async def _note_call(self, sent: Sent) -> None:
        if sent.kind in CALLED:
            await self._store.note_call(sent.district, sent.no, sent.resident)

    # Receipts

    async def receipt(self, message_id: str, *, delivered: bool) -> None:
        """The provider says what became of a message. One that is not known yet is looked at again for a while.

        Raises:
            StoreUnavailable: it was not noted; the provider may say it again.
            BufferError: too many that are not known; so it may.
        """
        if await self._note_receipt(message_id, delivered):
            return
        if len(self._early_receipts) >= _MOST_EARLY_RECEIPTS:
            raise BufferError
        task = asyncio.create_task(self._note_later(message_id, delivered))
        self._early_receipts.add(task)
        task.add_done_callback(self._early_receipts.discard)

    async def receipts_noted(self, timeout_s: float) -> None:
        """Wait, for so long at most, for the receipts that are looked at again."""
        if self._early_receipts:
            await asyncio.wait(self._early_receipts, timeout=timeout_s)

    async def _note_later(self, message_id: str, delivered: bool) -> None:
        for seconds in _LOOK_AGAIN_SECONDS:
            await asyncio.sleep(seconds)
            with suppress(StoreUnavailable):
                if await self._note_receipt(message_id, delivered):
                    return
        log.info("receipt of no message that is still of interest", id=message_id)

    async def _note_receipt(self, message_id: str, delivered: bool) -> bool:
        sent = await self._sent_as.submit(message_id)
        if sent is None or await self._receipts.submit((sent, delivered)) != "noted":
            return False
        if not delivered:
            log.warning("sms not delivered", kind=sent.kind, district=sent.district)
            await self._note_call(sent)
        return True
