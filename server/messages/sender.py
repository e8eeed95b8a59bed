"""Messages to residents: owed in the outbox, put into words when they go out, handed to a gateway.

What a crash costs. A message is owed from its event on, and until `settle_message`. Killed before the gateway took it:
another sender takes it up. Killed after the gateway said so and before the store knew: it goes out once more, the one
repeat there is. A store that is away in between costs no repeat, as what was handed over is remembered until it is
settled. Two live senders never have the same message: nobody keeps one as long as it takes to be taken over
(`outbox_reader`).

A message has an end (the city file's `sms.ends`): whoever sends after a pause, or from a restored backup, sends nothing
stale, and who was not told of what matters is called.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import time
from functools import partial
from typing import NamedTuple

import structlog

from server.appointments.sites import Sites
from server.core.city import City
from server.core.clock import Clock, from_ms
from server.core.encryption import Cipher
from server.core.errors import SetupError, StoreUnavailable
from server.core.keys import Pepper
from server.core.languages import Language
from server.messages.code_sender import CodeSender, Sending
from server.messages.delivery_receipts import DeliveryReceipts
from server.messages.gateways import Gateway
from server.messages.message_sender import MessageSender
from server.messages.outbox_reader import HOLD_SECONDS
from server.messages.rendering import Renderer
from server.messages.store import OutboxStore
from server.records.fields import Arg
from server.store.connection import Connection

log = structlog.get_logger()

_PAUSE_SECONDS = 0.3
_MOST_CODES = 50
_MOST_MESSAGES = 200
_MOST_PROMOTED = 1000
# Longer than a gateway takes to connect or to give up.
_CONNECT_SECONDS = 15.0


class SentOnce(NamedTuple):
    """How many messages were sent, how many are still owed, and how many wait for the end of the quiet hours."""

    sent: int
    owed: int
    quiet: int


class Sender:
    """The outbox.

    Args:
        city: the messages' words.
        connection: where they are owed.
        clock: city time.
        cipher: encrypts what a message says, and decrypts the phone it goes to.
        pepper: keyed hashes of phones, where messages to them are counted.
        sites: names of sites.
    """

    def __init__(
        self, city: City, connection: Connection, clock: Clock, cipher: Cipher, pepper: Pepper, sites: Sites
    ) -> None:
        self._city = city
        self._outbox = OutboxStore(connection)
        self._clock = clock
        self._cipher = cipher
        self._pepper = pepper
        renderer = Renderer(city, connection, cipher, sites)
        self._codes = CodeSender(city, connection, clock, pepper, renderer)
        self.receipts = DeliveryReceipts(city, connection, clock, pepper)
        self._messages = MessageSender(city, connection, clock, pepper, renderer, self.receipts)
        self._districts = [district.code for district in city.districts]

    async def enqueue_code(
        self, resident: bytes, district: str, code: str, expires_ms: int, language: Language = "zh"
    ) -> None:
        """A one-time code is owed to a resident, until it expires."""
        sealed = self._cipher.encrypt_text(resident, code)
        fields: dict[str, Arg] = {
            "kind": "code", "resident": resident, "sealed": sealed, "expires_ms": expires_ms, "lang": language,
        }  # fmt: skip
        await self._outbox.enqueue_code(district, fields)

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

    async def _keep_sending(self, gateway: Gateway, take: Callable[[int], Awaitable[list[Sending]]], most: int) -> None:
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
                taken: list[Sending] = []
                looked = False
                try:
                    if not opened:
                        await self._outbox.open_outbox(self._districts)
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
                await asyncio.wait(in_hand, timeout=HOLD_SECONDS)

    async def send_due(self, gateway: Gateway, consumer: str) -> int:
        """Send what is owed now, codes first; how many were sent.

        One that the gateway does not take stays owed and holds up no other resident's.

        Raises:
            StoreUnavailable: it went away meanwhile; the rest is still owed.
        """
        return await self.send_codes(gateway, consumer) + await self.send_messages(gateway, consumer)

    async def send_once(self, gateway: Gateway, consumer: str) -> SentOnce:
        """Send what is owed now, and see what is left.

        Raises:
            SetupError: the gateway has no connection within a quarter of a minute.
            StoreUnavailable: it went away meanwhile; the rest is still owed.
        """
        await self._outbox.open_outbox(self._districts)
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                while not gateway.ready:  # noqa: ASYNC110  (its keeper tells nobody)
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise SetupError("no connection to the SMSC: see the log above, and `jiaohao doctor`") from None
        sent = await self.send_due(gateway, consumer)
        backlogs = await self._outbox.backlogs(self._districts)
        quiet = sum(each.waiting for each in backlogs) if self.is_quiet else 0
        return SentOnce(sent, sum(each.codes + each.waiting for each in backlogs) - quiet, quiet)

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
        take = partial(self._take_messages, gateway, consumer, promote=False)
        if not self.is_quiet:
            await self._promote_due()
        return await self._send_all(gateway, take, self._most_messages)

    async def _send_all(self, gateway: Gateway, take: Callable[[int], Awaitable[list[Sending]]], most: int) -> int:
        sent = 0
        while (room := min(gateway.ready, most)) and (taken := await take(room)):
            sent += sum(await asyncio.gather(*taken))
        return sent

    async def _take_codes(self, gateway: Gateway, consumer: str, room: int) -> list[Sending]:
        return await self._codes.take(gateway, self._districts, consumer, room)

    async def _promote_due(self) -> None:
        await self._outbox.bring(self._districts, _MOST_PROMOTED)

    async def _take_messages(
        self, gateway: Gateway, consumer: str, room: int, *, promote: bool = True
    ) -> list[Sending]:
        if self.is_quiet:
            return []
        if promote:
            await self._promote_due()
        return await self._messages.take(gateway, self._districts, consumer, room)
