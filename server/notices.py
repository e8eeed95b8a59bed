"""Messages to residents: owed in the outbox, put into words when they go out, handed to a gateway."""

import asyncio
import os
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from server.city import City
from server.clock import Clock
from server.errors import MessageRefused, StoreUnavailable
from server.masks import mask_phone
from server.seal import Seal, Unreadable
from server.store import Store
from server.store.store import Arg, Owed

log = structlog.get_logger()

_PAUSE_SECONDS = 0.3
_MOST = 10  # of each district at a time
# Whoever took messages and died with them is not waited for longer.
_IDLE_MS = 30_000


class Gateway(Protocol):
    """Takes messages; what it has taken will be delivered, or its own log says why not."""

    async def send(self, phone: str, text: str) -> None:
        """Hand a message over.

        Messages to one phone go out in the order of the calls.

        Raises:
            OSError: it did not take it; it will be tried again.
            MessageRefused: it never will.
        """


class FileGateway:
    """Writes each message as a line of JSON, for a set-up without an SMS provider.

    Args:
        path: the file, made with mode 600: phone numbers and codes are in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._in_order = asyncio.Lock()

    async def send(self, phone: str, text: str) -> None:
        """Append a line."""
        async with self._in_order:
            await asyncio.to_thread(self._append, msgspec.json.encode({"phone": phone, "text": text}) + b"\n")

    def _append(self, line: bytes) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Notices:
    """The outbox.

    Args:
        city: the messages' words.
        store: where they are owed.
        clock: city time.
        seal: seals what a message says, and opens the phone it goes to.
    """

    def __init__(self, city: City, store: Store, clock: Clock, seal: Seal) -> None:
        self._city = city
        self._store = store
        self._clock = clock
        self._seal = seal
        self._districts = [district.code for district in city.districts]

    async def owe_code(self, resident: bytes, district: str, code: str, expires_ms: int) -> None:
        """A one-time code is owed to a resident, until it expires."""
        sealed = self._seal.close_text(resident, code)
        fields: dict[str, Arg] = {"kind": "code", "resident": resident, "sealed": sealed, "expires_ms": expires_ms}
        await self._store.owe(district, fields)

    async def run(self, gateway: Gateway, consumer: str) -> None:
        """Send what is owed, until cancelled.

        Args:
            gateway: takes the messages.
            consumer: this sender's name, its own among all that send at the same time.
        """
        opened = False
        while True:
            try:
                if not opened:
                    await self._store.open_outbox(self._districts)
                    opened = True
                await self.send_owed(gateway, consumer)
            except StoreUnavailable:
                opened = False
            except Exception:  # whatever it was, the messages are still owed
                log.exception("sending failed")
            await asyncio.sleep(_PAUSE_SECONDS)

    async def send_owed(self, gateway: Gateway, consumer: str) -> int:
        """Send what is owed now, side by side; how many were sent.

        One that the gateway does not take stays owed and holds up no other.

        Raises:
            StoreUnavailable: nothing has been sent.
        """
        owed = await self._store.next_owed(self._districts, consumer, _MOST, _IDLE_MS)
        return sum(await asyncio.gather(*(self._deliver(gateway, each) for each in owed)))

    async def _deliver(self, gateway: Gateway, owed: Owed) -> bool:
        try:
            sent = await self._send(gateway, owed)
            await self._store.sent(owed)
        except Exception as error:
            log.error("message stays owed", id=owed.id, error=type(error).__name__)
            return False
        return sent

    async def _send(self, gateway: Gateway, owed: Owed) -> bool:
        resident, kind = owed.fields["resident"], owed.fields["kind"].decode()
        if int(owed.fields["expires_ms"]) <= self._clock.now_ms():
            log.warning("message too old, not sent", kind=kind)
            return False
        try:
            phone = await self._phone(resident)
            text = self._city.sms.code_text("zh", self._seal.open_text(resident, owed.fields["sealed"]))
        except Unreadable as error:
            log.error("message cannot be read, not sent", kind=kind, why=str(error))
            return False
        try:
            await gateway.send(phone, text)
        except MessageRefused as refused:
            log.error("message refused for good", kind=kind, phone=mask_phone(phone), why=refused.why)
            return False
        log.info("sms sent", kind=kind, phone=mask_phone(phone), district=owed.district)
        return True

    async def _phone(self, resident: bytes) -> str:
        (known,) = await self._store.residents([resident])
        if known.first_dose is None:
            raise Unreadable("no record of this resident")
        return self._seal.open(resident, known.first_dose.contact).phone
