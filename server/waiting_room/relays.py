"""Asks a beacon's relays for a round: all at once, each with its time, and believes none of them.

Imported where the city file names a beacon, and nowhere else.
"""

import asyncio
import random
import time
from typing import Final, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec
import structlog

from server.core.beacon import Beacon
from server.core.clock import Clock
from server.core.errors import SetupError
from server.fairness.beacon import BeaconUnverifiable, Chain, NotOfTheBeacon, chain_named
from server.waiting_room.drawing import Heard

log = structlog.get_logger()

T = TypeVar("T")

_LARGEST_BYTES: Final = 16_384
_PAUSE_SECONDS: Final = 0.3
_LONGEST_PAUSE_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.1
# Several workers look for the same round, and the first one tells the others.
_APART_SECONDS: Final = 0.5
_PATIENCE_SECONDS: Final = 180.0


class _Answer(msgspec.Struct):
    """As the relays have it, v1 or v2; what else they say is not looked at, not the number of the round either."""

    signature: str


class _Info(msgspec.Struct):
    """Which chain a relay serves (v1)."""

    hash: str
    public_key: str
    genesis_time: int
    period: int


class _Odd(Exception):
    """A relay has answered with something else."""


_answer = msgspec.json.Decoder(_Answer)
_info = msgspec.json.Decoder(_Info)
_FAULTS: Final = (_Odd, BeaconUnverifiable, httpx.HTTPError, httpx.InvalidURL, OSError, ValueError)


class Relays:
    """The relays of a city's beacon.

    Args:
        beacon: the city file's.
        clock: city time, by which rounds are due.
    """

    def __init__(self, beacon: Beacon, clock: Clock) -> None:
        self._beacon = beacon
        chain = chain_named(beacon.chain)
        if chain is None:
            raise SetupError(f"beacon.chain: {beacon.chain} is none that is known here")
        self._chain: Chain = chain
        self._clock = clock

    async def ask(self, number: int) -> Heard:
        """Wait until a round is due, then ask every relay until one has its signature, or time is over.

        Nobody is asked for one that is far away by the city's clock: what waits for it goes on without.
        """
        if not await self._is_due(number):
            log.error("no beacon", round=number, why="far away by the city's clock")
            return Heard("", f"round {number} is far away by the city's clock")
        await asyncio.sleep(random.uniform(0, _APART_SECONDS))  # noqa: S311
        # in a thread: it reads all certificates, which takes a quarter of a second
        client = await asyncio.to_thread(self._client)
        faults: dict[str, str] = {}
        tasks = [asyncio.create_task(self._ask(client, relay, number, faults)) for relay in self._beacon.relays]
        try:
            done, _ = await asyncio.wait(
                tasks, timeout=self._beacon.deadline_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            signature = next((task.result() for task in done if task.exception() is None), "")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await client.aclose()
        if signature:
            return Heard(signature, "")
        told = "; ".join(f"{host}: {fault}" for host, fault in sorted(faults.items()))
        log.error("no beacon", round=number, relays=told)
        return Heard("", f"round {number} was not had within {self._beacon.deadline_seconds:g} s ({told})")

    async def _is_due(self, number: int) -> bool:
        """Wait until it is, by looks, as the city's clock is set now and then; False where that would be too long."""
        began = time.monotonic()
        while (wait_ms := self._chain.due_ms(number) - self._clock.now_ms()) > 0:
            is_soon = self._chain.is_soon(number, self._clock.now_ms())
            if not is_soon or time.monotonic() - began > _PATIENCE_SECONDS:  # a clock may be set back all the time
                return False
            await asyncio.sleep(min(wait_ms / 1000, _LOOK_SECONDS))
        return True

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            timeout=self._beacon.ask_seconds,
            follow_redirects=False,
            headers={"accept": "application/json", "accept-encoding": "identity", "user-agent": "jiaohao"},
        )

    async def _ask(self, client: httpx.AsyncClient, relay: str, number: int, faults: dict[str, str]) -> str:
        """Ask one relay again and again, until it has given the round's signature."""
        host, pause_s = urlsplit(relay).netloc, _PAUSE_SECONDS
        while True:
            faults[host] = f"no answer in {self._beacon.ask_seconds:g} s"
            try:
                async with asyncio.timeout(self._beacon.ask_seconds):
                    body = await self._get(client, f"{relay.rstrip('/')}/{self._chain.hash}/public/{number}")
                signature = _read(_answer, body).signature
                self._chain.verify(number, signature)
                return signature
            except NotOfTheBeacon:
                faults[host] = "a signature that is not the round's"
            except TimeoutError:
                pass
            except _FAULTS as error:
                faults[host] = _in_words(error)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.6, _LONGEST_PAUSE_SECONDS)

    async def look(self) -> dict[str, str]:
        """Ask each relay once which chain it serves: its host, and what is wrong with it, "" where nothing is."""
        client = await asyncio.to_thread(self._client)
        async with client:
            looks = [self._look_at(client, relay) for relay in self._beacon.relays]
            hosts = [urlsplit(relay).netloc for relay in self._beacon.relays]
            return dict(zip(hosts, await asyncio.gather(*looks), strict=True))

    async def _look_at(self, client: httpx.AsyncClient, relay: str) -> str:
        try:
            async with asyncio.timeout(self._beacon.ask_seconds):
                body = await self._get(client, f"{relay.rstrip('/')}/{self._chain.hash}/info")
            told = _read(_info, body)
        except TimeoutError:
            return f"no answer in {self._beacon.ask_seconds:g} s"
        except _FAULTS as error:
            return _in_words(error)
        its = (told.hash, told.public_key, told.genesis_time, told.period)
        ours = (self._chain.hash, self._chain.public_key, self._chain.genesis_s, self._chain.period_s)
        return "" if its == ours else "it serves another chain"

    async def _get(self, client: httpx.AsyncClient, url: str) -> bytes:
        async with client.stream("GET", url) as response:
            if response.status_code != 200:  # before its time too: what each relay says then nobody has written down
                raise _Odd(f"HTTP {response.status_code}")
            body = b""
            async for part in response.aiter_raw():
                body += part
                if len(body) > _LARGEST_BYTES:
                    raise _Odd("an answer without end")
            return body


def _read(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _Odd("an answer that is no beacon's") from None


def _in_words(error: Exception) -> str:
    return str(error) if isinstance(error, _Odd | BeaconUnverifiable) else type(error).__name__
