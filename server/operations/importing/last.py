"""What was noted of the last import of a kind of file, for the next one to be compared with."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from server.operations.store import OperationStore
from server.store.connection import Connection

Kind = Literal["registry", "sites", "capacity"]


class LastImport(msgspec.Struct):
    """When it was, and of which file (SHA-256, hex); how many residents, sites or slots it had, how many of them by
    district and product; of capacities also the doses, and on how many days; `names`: by which rule names were
    compared."""

    at_ms: int
    digest: str
    count: int
    districts: Mapping[str, int]
    products: Mapping[str, int] = {}
    doses: int = 0
    days: int = 0
    names: str = ""


_decoder = msgspec.json.Decoder(LastImport)


async def last_import(connection: Connection, kind: Kind) -> LastImport | None:
    """The last one that came to its end, None before the first."""
    noted = await OperationStore(connection).last_import(kind)
    return _decoder.decode(noted) if noted is not None else None


async def note_import(connection: Connection, kind: Kind, this: LastImport) -> None:
    """One has come to its end."""
    await OperationStore(connection).note_import(kind, msgspec.json.encode(this))
