"""What providers say of messages they have taken, and which phones want none."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from server.core.errors import UnknownStatus
from server.core.keys import key, resident_tag
from server.messages.message_ids import Said, form_of, forms_of
from server.records.fields import items_of
from server.records.message import RECEIPT, Noted, Sent, pack_sent, unpack_sent
from server.store.connection import FeatureStore

_RECEIPTS_LIVE_MS = 4 * 86_400_000
_EARLY_LIVE_MS = 6 * 3_600_000
_COUNTS_LIVE_MS = 49 * 3_600_000
# Messages that one id stood for: an SMSC that counts anew after a restart, or gives one id to all.
_MOST_OF_ONE_ID = 16
_OPTED_OUT: Final = key("opted_out", "phones")


class ReceiptStore(FeatureStore):
    """Kept for some days: a receipt that comes later is of no interest."""

    async def expect_receipts(self, ids: Sequence[str], sent: Sent) -> list[bytes]:
        """Keep which message the provider's ids stand for, those of its parts in their order.

        Returns:
            The receipts that have come before, as `keep_early` was given them.
        """
        commands: list[tuple[str | int | bytes, ...]] = []
        for part, answer in enumerate(ids, start=1):
            name = key("answered", form_of(answer))
            packed = pack_sent(sent._replace(part=part, parts=len(ids), answer=answer))
            commands += [
                ("LPUSH", name, packed),
                ("LTRIM", name, 0, _MOST_OF_ONE_ID - 1),
                ("PEXPIRE", name, _RECEIPTS_LIVE_MS),
            ]
        early = await self._connection.plain(
            [*commands, *(("LPOP", key("early", form_of(answer)), _MOST_OF_ONE_ID) for answer in ids)]
        )
        return list(dict.fromkeys(each for found in early[len(commands) :] for each in found or ()))

    async def keep_early(self, receipted: Sequence[str], packed: bytes) -> None:
        """Keep a receipt of no message that is known, until its message is: a part of one may arrive long before the
        provider has taken the others."""
        commands: list[tuple[str | int | bytes, ...]] = []
        for form in dict.fromkeys(form for each in receipted for form in forms_of(each)):
            name = key("early", form)
            commands += [
                ("LPUSH", name, packed),
                ("LTRIM", name, 0, _MOST_OF_ONE_ID - 1),
                ("PEXPIRE", name, _EARLY_LIVE_MS),
            ]
        await self._connection.plain(commands)

    async def sent_as(self, receipted: Sequence[Sequence[str]]) -> list[list[Sent]]:
        """For each receipt, by the ids that it has: the messages that may be meant."""
        names = [list(dict.fromkeys(form for each in ids for form in forms_of(each))) for ids in receipted]
        answers = iter(
            await self._connection.plain([("LRANGE", key("answered", form), 0, -1) for of in names for form in of])
        )
        found = []
        for of in names:
            packed = dict.fromkeys(each for _ in of for each in next(answers))
            read = self._connection.decode_each(packed, unpack_sent)
            found.append([sent for sent in read if isinstance(sent, Sent)])
        await self._add_earlier(receipted, found)
        return found

    async def _add_earlier(self, receipted: Sequence[Sequence[str]], found: list[list[Sent]]) -> None:
        """Messages that a version before this one has sent, under the id as it was."""
        places = [(i, each) for i, ids in enumerate(receipted) if not found[i] for each in ids]
        if not places:
            return
        for (i, each), packed in zip(
            places, await self._connection.plain([("GET", key("sent", each)) for _, each in places]), strict=True
        ):
            if packed:
                (sent,) = self._connection.decode_each([packed], unpack_sent)
                if isinstance(sent, Sent):
                    found[i].append(sent._replace(answer=each))

    async def receipt(self, said: Sequence[tuple[Sent, Said]]) -> list[Noted | UnknownStatus]:
        """What the provider says became of each part of a message."""
        calls = []
        for sent, outcome in said:
            about = (sent.no, sent.kind, sent.at_ms, outcome, sent.part, sent.parts)
            calls.append((resident_tag(sent.resident), (*self._connection.clock(), *about)))
        return self._connection.read_each(await self._connection.run_each("receipt", calls), self._noted)

    def _noted(self, answer: Any) -> Noted:
        status, now, was = answer
        return Noted(now.decode(), was.decode()) if self._connection.read(RECEIPT, status) == "noted" else Noted("", "")

    async def count_receipts(self, counted: Sequence[tuple[int, tuple[str, ...]]]) -> list[None]:
        """Count, of all senders together: each is the hour (since 1970, of the city) and what it was, or, with a minus
        before it, what it turned out not to be."""
        tally: Counter[tuple[int, str]] = Counter()
        for hour, names in counted:
            for what in names:
                tally[hour, what.removeprefix("-")] += -1 if what.startswith("-") else 1
        commands: list[tuple[str | int, ...]] = [
            ("HINCRBY", key("receipts", str(hour)), what, many) for (hour, what), many in tally.items()
        ]
        commands += [("PEXPIRE", key("receipts", str(hour)), _COUNTS_LIVE_MS) for hour in {hour for hour, _ in tally}]
        await self._connection.plain(commands)
        return [None] * len(counted)

    async def receipt_counts(self, hours: Sequence[int]) -> list[Counter[str]]:
        """What was counted in each of these hours."""
        answers = await self._connection.plain([("HGETALL", key("receipts", str(hour))) for hour in hours])
        return [Counter({what.decode(): int(many) for what, many in items_of(answer)}) for answer in answers]

    # Phones that want no messages

    async def opt_out(self, phone: bytes, at_ms: int) -> bool:
        """A phone, by its hash, wants no more messages; False where it has said so before."""
        (added,) = await self._connection.plain([("HSETNX", _OPTED_OUT, phone, at_ms)])
        return bool(added)

    async def opt_in(self, phone: bytes) -> bool:
        """A phone wants messages again; False where it had not said otherwise."""
        (removed,) = await self._connection.plain([("HDEL", _OPTED_OUT, phone)])
        return bool(removed)

    async def has_opted_out(self, phones: Sequence[bytes]) -> list[bool]:
        """Which of these want no messages."""
        (found,) = await self._connection.plain([("HMGET", _OPTED_OUT, *phones)]) if phones else ([],)
        return [each is not None for each in found]

    async def count_opted_out(self) -> int:
        """How many phones want no messages."""
        (many,) = await self._connection.plain([("HLEN", _OPTED_OUT)])
        return int(many)
