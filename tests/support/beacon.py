"""Rounds of drand's quicknet that were recorded: public facts, and the only ones that the tests know; and relays."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import date, time
from typing import Final, NamedTuple, TypeAlias

import msgspec

from server.core.beacon import Beacon
from server.core.city import City, load_city
from server.core.windows import Window

HASH: Final = "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971"


class Recorded(NamedTuple):
    """A round of the beacon, as its documentation has it."""

    number: int
    signature: str
    randomness: str


RECORDED: Final = (
    Recorded(
        657413,
        "b713718a38ae728dfd477991af2822e08d2f305e47718cef9f7848ce4050e7be41076862b98fad56e91a6b85b89cd97b",
        "fc1873a13f3545aeade8401532ef5519920652eee6b0d2b19ca12643b87b3587",
    ),
    Recorded(
        42,
        "95a9f9f5b231b7714de1553105d8ffdf3dcda24cfdb1e689319bccf79a9c8ce430a91b811fbfaf763900bc998b5d686a",
        "8ada64bae5c6c0f5540a6a13af56e663240edfbd2c76ac6a8f27671eb7259ce3",
    ),
)

Relay: TypeAlias = Callable[[str, asyncio.StreamWriter], Awaitable[None]]
"""Answers a request for a path."""

DAY: Final = date(2023, 9, 15)
"""On which round 657413 was due at 19:00:03 in Guangzhou: the first one three seconds after 19:00:00, or later."""
ENDS: Final = "19:00:00"
_DRAW_SECONDS: Final = 120


def bound_city(relays: Sequence[str], **changes: float) -> City:
    """The shipped city with a beacon, whose draws end at `ENDS`: on `DAY` they are bound to a recorded round."""
    city = load_city()
    hours = Window(time(18, 58), time(20))
    districts = [msgspec.structs.replace(it, only_window=hours, windows=()) for it in city.districts]
    policy = msgspec.structs.replace(city.policy, draw_seconds=_DRAW_SECONDS)
    beacon = msgspec.structs.replace(Beacon([*relays], ask_seconds=0.5, deadline_seconds=2.0), **changes)
    return msgspec.structs.replace(city, districts=districts, policy=policy, beacon=beacon)


@asynccontextmanager
async def serving(relay: Relay) -> AsyncIterator[str]:
    """A relay on this machine; its address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
            await relay(path, writer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # nobody waits for the answer any more
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"


def says(status: str, body: bytes, *headers: str) -> Relay:
    """A relay that always answers so."""

    async def relay(path: str, writer: asyncio.StreamWriter) -> None:
        head = "\r\n".join([f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers])
        writer.write(head.encode() + b"\r\n\r\n" + body)

    return relay


async def honest(path: str, writer: asyncio.StreamWriter) -> None:
    """A relay as drand's: it has the recorded rounds, and a 404 for all others."""
    found = next((it for it in RECORDED if path == f"/{HASH}/public/{it.number}"), None)
    if found is None:
        return await says("404 Not Found", b"not found")(path, writer)
    body = {"round": found.number, "randomness": found.randomness, "signature": found.signature}
    await says("200 OK", json.dumps(body).encode(), "content-type: application/json")(path, writer)


async def silent(path: str, writer: asyncio.StreamWriter) -> None:
    """A relay that takes the request and says nothing."""
    await asyncio.sleep(60)


async def dripping(path: str, writer: asyncio.StreamWriter) -> None:
    """A relay that goes on for ever, a little at a time: each part in time, the whole never."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


async def endless(path: str, writer: asyncio.StreamWriter) -> None:
    """A relay that sends as much as is taken."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b" " * 65_536)
        await writer.drain()


def _lie(**said: object) -> Relay:
    return says("200 OK", json.dumps(said).encode(), "content-type: application/json")


LIARS: Final[dict[str, Relay]] = {
    "not found": says("404 Not Found", b"not found"),
    "too early": says("425 Too Early", b"{}"),
    "broken": says("500 Internal Server Error", b""),
    "a page": says("200 OK", b"<html><body>please log in</body></html>", "content-type: text/html"),
    "nothing": says("200 OK", b""),
    "a redirect": says("302 Found", b"", "location: http://127.0.0.1:9/"),
    "another round": _lie(round=RECORDED[0].number, signature=RECORDED[1].signature),
    "a broken signature": _lie(round=RECORDED[0].number, signature=RECORDED[0].signature[:-2] + "98"),
    "with 0x": _lie(round=RECORDED[0].number, signature="0x" + RECORDED[0].signature),
    "with a newline": _lie(round=RECORDED[0].number, signature=RECORDED[0].signature + "\n"),
    "no hex": _lie(round=RECORDED[0].number, signature="ß" * 96),
    "a number": _lie(round=RECORDED[0].number, signature=7),
    "a list": says("200 OK", b"[]"),
    "no text": says("200 OK", b"\xff\xfe{}"),
    "no HTTP": says("banana", b""),
    "silent": silent,
    "dripping": dripping,
    "endless": endless,
}
"""Relays of no use, by what they do."""
