"""A capacity file from the operator's page: judged as `jiaohao import capacity` does, kept as a whole or not at all."""

import asyncio
from collections.abc import Sequence

import msgspec
import structlog

from server.core.city import City
from server.core.clock import Clock
from server.core.errors import Invalid, SetupError
from server.operations.importing.capacity import CapacityFound, Lowered
from server.operations.importing.csv_file import CsvFile, RowFault
from server.operations.importing.steps import CapacityImport, capacity_file
from server.store.connection import Connection

log = structlog.get_logger()


class CapacityImported(msgspec.Struct):
    """What an upload did; `lowered`: slots of which more had been given than there are now."""

    rows: int
    slots: int
    lowered: list[Lowered]


class CapacityUpload:
    """Keeps what is sent.

    Args:
        city: districts, products.
        connection: where capacities are kept.
        clock: city time.
    """

    def __init__(self, city: City, connection: Connection, clock: Clock) -> None:
        self._import = CapacityImport(city, connection, clock)

    async def keep(self, sent: bytes, *, confirmed: bool = False) -> CapacityImported:
        """Keep a capacity file (contract, files).

        Args:
            sent: the file.
            confirmed: it is right, though it does not look so.

        Raises:
            Invalid: rows that cannot be kept, the first of them by line and column; `bad_rows`: how many. Or a file
                that is not plausible; `doubts`: why.
        """
        read = await self._import.reader()

        def judge() -> tuple[CsvFile, CapacityFound]:
            file = capacity_file(sent, lambda _: None)
            return file, self._import.judge(file, read)

        try:
            file, judged = await asyncio.to_thread(judge)  # a large file is work, and others wait for this worker
        except SetupError:
            raise _bad_rows([("line 1", "csv-header")], 1) from None
        if judged.outcome.bad:
            raise _bad_rows([_told(fault) for fault in judged.outcome.first_bad], judged.outcome.bad)
        found, last = await self._import.compare(judged)
        doubts = self._import.doubts(found, last)
        if doubts and not confirmed:
            refusal = Invalid(("file", "csv-implausible"))
            refusal.extras["doubts"] = doubts
            raise refusal
        kept = await self._import.keep(file, found)
        log.info("capacity imported", slots=kept.slots, lowered=len(kept.lowered), actor="operator")
        return CapacityImported(found.outcome.kept, kept.slots, kept.lowered)


def _told(fault: RowFault) -> tuple[str, str]:
    """(field, fault) as a refusal has them."""
    column = f", column {fault.column_no} ({fault.column})" if fault.column else ""
    return f"line {fault.line}{column}", "csv-twice" if fault.twice else f"csv-{fault.column or 'row'}"


def _bad_rows(fields: Sequence[tuple[str, str]], count: int) -> Invalid:
    refusal = Invalid(*fields)
    refusal.extras["bad_rows"] = count
    return refusal
