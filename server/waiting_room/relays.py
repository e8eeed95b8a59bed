"""Asks a beacon's relays for a round: all at once, each with its time, and believes none of them.

Imported where the city file names a beacon, and nowhere else.
"""

import asyncio
import random
from typing import Final
from urllib.parse import urlsplit

import httpx
import msgspec
import structlog

from server.core.beacon import Beacon
from server.core.clock import Clock
from server.fairness.beacon import CHAINS, BeaconUnverifiable, Chain, NotOfTheBeacon
from server.waiting_room.drawing import Heard

log = structlog.get_logger()

_LARGEST_BYTES: Final = 16_384
_PAUSE_SECONDS: Final = 0.3
_LONGEST_PAUSE_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.1
# Several workers look for the same round, and the first one tells the others.
_APART_SECONDS: Final = 0.5


class _Answer(msgspec.Struct):
    """As the relays have it, v1 or v2; what else they say is not looked at, not the number of the round either."""

    signature: str


class _Odd(Exception):
    """A relay has answered with something else."""


_answer = msgspec.json.Decoder(_Answer)


class Relays:
    """The relays of a city's beacon.

    Args:
        beacon: the city file's.
        clock: city time, by which rounds are due.
    """

    def __init__(self, beacon: Beacon, clock: Clock) -> None:
        self._beacon = beacon
        self._chain: Chain = CHAINS[beacon.chain]
        self._clock = clock

    async def ask(self, number: int) -> Heard:
        """Wait until a round is due, then ask every relay until one has its signature, or time is over."""
        # by looks: the city's clock is set now and then
        while (wait_ms := self._chain.due_ms(number) - self._clock.now_ms()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(min(wait_ms / 1000, _LOOK_SECONDS))
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
                    signature = await self._get(client, f"{relay.rstrip('/')}/{self._chain.hash}/public/{number}")
                self._chain.verify(number, signature)
                return signature
            except NotOfTheBeacon:
                faults[host] = "a signature that is not the round's"
            except (_Odd, BeaconUnverifiable) as error:
                faults[host] = str(error)
            except TimeoutError:
                pass
            except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
                faults[host] = type(error).__name__
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.6, _LONGEST_PAUSE_SECONDS)

    async def _get(self, client: httpx.AsyncClient, url: str) -> str:
        async with client.stream("GET", url) as response:
            if response.status_code != 200:  # before its time too: what each relay says then nobody has written down
                raise _Odd(f"HTTP {response.status_code}")
            body = b""
            async for part in response.aiter_raw():
                body += part
                if len(body) > _LARGEST_BYTES:
                    raise _Odd("an answer without end")
        try:
            return _answer.decode(body).signature
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise _Odd("an answer that is no beacon's") from None
