"""Sends one-time codes: before all else, at any hour, and not once they have expired."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import structlog

from server.core.encryption import Unreadable
from server.core.errors import MessageRefused, StoreUnavailable
from server.core.languages import Language
from server.core.masks import mask_phone
from server.messages.gateways import Gateway
from server.messages.outbox_reader import HOLD_SECONDS, OutboxReader
from server.records.message import OutboxEntry, Sent

log = structlog.get_logger()

Sending: TypeAlias = Coroutine[Any, Any, int]
"""Sends what was taken; how many messages went out."""


class CodeSender(OutboxReader):
    """Codes go to phones that want no other messages, too: somebody who has the papers has just asked for one."""

    async def take(self, gateway: Gateway, districts: Sequence[str], consumer: str, room: int) -> list[Sending]:
        """About so many that are owed now."""
        entries = await self._read(districts, consumer, room, "codes")
        if entries:  # they do not wait for the pace, but what comes after them does
            await self._outbox.pace(len(entries), self._city.sms.per_second)
        return [self._deliver(gateway, each) for each in entries]

    async def _deliver(self, gateway: Gateway, entry: OutboxEntry) -> int:
        try:
            async with asyncio.timeout(HOLD_SECONDS):
                sent = await self._send(gateway, entry)
            await self._acknowledge.submit(entry)
        except Exception as error:
            log.error("code stays owed", id=entry.id, error=type(error).__name__)
            return 0
        return int(sent)

    async def _send(self, gateway: Gateway, entry: OutboxEntry) -> bool:
        resident, kind = entry.fields["resident"], entry.fields["kind"].decode()
        if int(entry.fields["expires_ms"]) <= self._clock.now_ms():
            log.warning("message too old, not sent", kind=kind)
            return False
        try:
            phone = await self._renderer.phone(resident)
            language: Language = "en" if entry.fields.get("lang") == b"en" else "zh"
            text = self._renderer.code(resident, entry.fields["sealed"], language)
        except Unreadable as error:
            log.error("message cannot be read, not sent", kind=kind, why=str(error))
            return False
        try:
            ids = await gateway.submit(phone, text)
        except MessageRefused as refused:
            log.error("message refused for good", kind=kind, phone=mask_phone(phone), why=refused.why)
            return False
        log.info("sms sent", kind=kind, phone=mask_phone(phone), district=entry.district)
        if ids:  # else its receipt would be one of no message that we know
            now_ms = self._clock.now_ms()
            sent = Sent(resident, entry.district, "", kind, now_ms, phone=self._pepper.phone(phone), sent_ms=now_ms)
            with suppress(StoreUnavailable):  # it is sent all the same
                await self._receipt_store.expect_receipts(ids, sent)
        return True
