"""One method per script, on a standalone server or a cluster."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple, TypeAlias

import msgspec
import structlog
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from server.errors import SetupError, StoreUnavailable
from server.keys import key, resident_tag
from server.store.scripts import load_scripts

log = structlog.get_logger()

Client: TypeAlias = Redis | RedisCluster
Arg: TypeAlias = str | int | float | bytes
_CALL_SECONDS = 5.0
_MOST_STEPS = 32
_MOST_LEFT = 5000


class FirstDoseRecord(msgspec.Struct, frozen=True, array_like=True):
    """A resident's line of the registry, packed (40 bytes or so).

    `day`: proleptic ordinal of the first dose's date; `match`: keyed hash of name and phone.
    """

    day: int
    product: str
    district: str
    match: bytes

    @property
    def date(self) -> date:
        """Date of the first dose."""
        return date.fromordinal(self.day)


class Resident(NamedTuple):
    """What the store knows of a person: registry line, and the number of their open registration."""

    first_dose: FirstDoseRecord | None
    open_registration: str | None


class Joined(NamedTuple):
    """Answer of `join` to one resident; `entry` is None where none was given (`status` says why)."""

    status: str
    drawn: int | None
    entry: int | None
    fresh: bool
    serving: int = 0


class Advance(NamedTuple):
    """How an opening stands: its fields, and the entries given up that the caller did not know."""

    now_ms: int
    passes_alive: int
    fields: dict[str, str]
    left: list[int]


class Place(NamedTuple):
    """A place whose number is known."""

    entry: int
    number: int
    resident: bytes


_record_encoder = msgspec.msgpack.Encoder()
_record_decoder = msgspec.msgpack.Decoder(FirstDoseRecord)


async def connect(url: str) -> Client:
    """A client for `redis://`, `rediss://` or `unix://`; a cluster is recognised by itself.

    Raises:
        SetupError: nothing answers there, or it is older than Redis 7.
    """
    options: dict[str, Any] = {"socket_timeout": _CALL_SECONDS, "socket_connect_timeout": 2.0}
    # One more try covers a pooled connection that a restarted store has cut; more would keep residents hanging.
    probe = Redis.from_url(url, retry=Retry(NoBackoff(), 1), **options)
    try:
        info: dict[str, Any] = await probe.info()
    except (RedisError, OSError, ValueError) as error:
        await probe.aclose()
        raise SetupError(f"no store answers at {_public(url)}: {error}") from None
    if int(str(info.get("redis_version", "0")).split(".")[0]) < 7:
        await probe.aclose()
        raise SetupError(f"the store at {_public(url)} is too old: Redis 7 or Valkey 7.2 at least")
    if not info.get("cluster_enabled"):
        return probe
    await probe.aclose()
    return RedisCluster.from_url(url, retry=Retry(NoBackoff(), 3), **options)


def _public(url: str) -> str:
    return url.split("@")[-1] if "@" in url else url


class Store:
    """The store's calls.

    Args:
        client: from `connect`.
        offset_ms: city time minus the store's TIME.
        now_ms: what a test passes in as the time; 0 = the store's TIME.
    """

    def __init__(self, client: Client, offset_ms: int = 0) -> None:
        self._client = client
        self._offset_ms = offset_ms
        self._scripts = load_scripts()
        self.now_ms = 0

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()

    async def _run(self, name: str, tag: str, *args: Arg) -> Any:
        return (await self._run_each(name, [(tag, args)]))[0]

    async def _run_each(self, name: str, calls: Sequence[tuple[str, Sequence[Arg]]]) -> list[Any]:
        """Run one script for each (tag, arguments) in one round trip; every script must succeed."""
        script = self._scripts[name]
        commands: list[tuple[Arg, ...]] = []
        for tag, args in calls:
            if not script.takes(len(args)):
                raise TypeError(f"{name}.lua takes {script.args}, got {len(args)} arguments")
            commands.append((len(script.keys), *(key(kind, tag) for kind in script.keys), *args))
        answers = await self._pipeline([("EVALSHA", script.sha, *c) for c in commands])
        forgotten = [i for i, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if forgotten:  # the store has restarted
            again = await self._pipeline([("EVAL", script.text, *commands[i]) for i in forgotten])
            for i, answer in zip(forgotten, again, strict=True):
                answers[i] = answer
        for answer in answers:
            if isinstance(answer, Exception):
                log.error("store refused", script=name, error=str(answer)[:200])
                raise StoreUnavailable from answer
        return answers

    async def _pipeline(self, commands: Sequence[Sequence[Arg]]) -> list[Any]:
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                if len(commands) == 1:
                    try:
                        return [await self._client.execute_command(*commands[0])]
                    except ResponseError as error:
                        return [error]
                pipe = self._client.pipeline(transaction=False)
                for command in commands:
                    pipe.execute_command(*command)
                answers: list[Any] = await pipe.execute(raise_on_error=False)
                return answers
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("store unavailable", command=str(commands[0][0]), error=type(error).__name__)
            raise StoreUnavailable from error

    def _clock(self) -> tuple[int, int]:
        return self.now_ms, self._offset_ms

    # The opening's scripts

    async def prepare(
        self,
        tag: str,
        *,
        opens_ms: int,
        draw_ms: int,
        closes_ms: int,
        claim_ms: int,
        pass_ms: int,
        grace_ms: int,
        poll_budget: float,
        rate: float,
        max_active: int,
        seed: bytes,
    ) -> bool:
        """Create the opening or let it follow the timetable; False once somebody has joined."""
        times = (opens_ms, draw_ms, closes_ms, claim_ms, pass_ms, grace_ms)
        status = await self._run("prepare", tag, *times, poll_budget, rate, max_active, seed.hex())
        return bool(status == b"prepared")

    async def join(self, tag: str, residents: Sequence[bytes]) -> list[Joined]:
        """A place for each resident key, or the one they have."""
        status, *rest = await self._run("join", tag, *self._clock(), b"".join(residents))
        status = status.decode()
        if status == "absent":
            return [Joined(status, None, None, False)] * len(residents)
        drawn, serving = rest[0] if rest[0] >= 0 else None, rest[1]
        return [
            Joined(status, drawn, answer >> 1 if answer >= 0 else None, answer >= 0 and bool(answer & 1), serving)
            for answer in rest[2:]
        ]

    async def rejoin(self, tag: str, place: Place) -> tuple[str, int]:
        """(status, entry): a place at the back for one whose earlier place is spent."""
        answer = await self._run("rejoin", tag, *self._clock(), place.resident, place.entry, place.number)
        return answer[0].decode(), answer[1]

    async def close_draw(self, tag: str, numbers: Sequence[int] = ()) -> tuple[str, int, list[int]]:
        """(status, N, entries whose numbers are asked for)."""
        status, drawn, *entries = await self._run("close_draw", tag, *self._clock(), *numbers)
        return status.decode(), drawn, [int(e) for e in entries]

    async def advance(self, wanted: Sequence[tuple[str, int]]) -> list[Advance]:
        """Advance each (tag, left_seen) and tell how it stands, all in one round trip."""
        calls = [(tag, (*self._clock(), left_seen, _MOST_STEPS, _MOST_LEFT)) for tag, left_seen in wanted]
        return [_advance(*answer) for answer in await self._run_each("advance", calls)]

    async def standing(self, tag: str, places: Sequence[Place]) -> list[tuple[str, int]]:
        """(standing, until_ms) of each place."""
        flat = [x for p in places for x in (p.entry, p.number)]
        return _pairs(await self._run("standing", tag, *self._clock(), *flat), len(places))

    async def claim(self, tag: str, places: Sequence[Place]) -> list[tuple[str, int]]:
        """(outcome, until_ms) of each ticket."""
        flat = [x for p in places for x in p]
        return _pairs(await self._run("claim", tag, *self._clock(), *flat), len(places))

    async def release(self, tag: str, entries: Sequence[int]) -> int:
        """Free the passes of those who have registered; how many were not free yet."""
        return int(await self._run("release", tag, *entries))

    async def leave(self, tag: str, place: Place) -> str:
        """Give a place up; the status."""
        answer = await self._run("leave", tag, *self._clock(), place.resident, place.entry, place.number)
        return str(answer.decode())

    async def adjust(self, tag: str, actor: str, hold_ms: int, changes: Mapping[str, Arg]) -> bool:
        """The operator's changes; False where the opening has not been prepared."""
        flat = [x for change in changes.items() for x in change]
        return bool(await self._run("adjust", tag, *self._clock(), actor, hold_ms, *flat) == b"adjusted")

    # The resident's

    async def register(self, requests: Sequence[tuple[bytes, int, str, dict[str, Arg]]]) -> list[tuple[str, int, str]]:
        """(status, registered_ms, number) for each (resident key, pass expiry ms, number, fields)."""
        calls = []
        for resident, expires_ms, no, fields in requests:
            flat = [x for field in fields.items() for x in field]
            calls.append((resident_tag(resident), (*self._clock(), expires_ms, no, *flat)))
        return [(a[0].decode(), a[1], a[2].decode()) for a in await self._run_each("register", calls)]

    async def residents(self, residents: Sequence[bytes]) -> list[Resident]:
        """What is known of each resident key."""
        wanted: list[tuple[bytes, bytes]] = []
        for resident in residents:
            tag = resident_tag(resident).encode()
            wanted.append((b"registry:{%b}" % tag, b"open:{%b}" % tag))
        if isinstance(self._client, RedisCluster):  # a person's two keys share a slot, two persons do not
            pairs = await self._plain([("MGET", *pair) for pair in wanted])
        else:
            (flat,) = await self._plain([("MGET", *(k for pair in wanted for k in pair))])
            pairs = list(zip(flat[::2], flat[1::2], strict=True))
        decode = _record_decoder.decode
        return [Resident(decode(record) if record else None, no.decode() if no else None) for record, no in pairs]

    async def registration(self, resident: bytes) -> dict[str, str]:
        """The fields of the resident's latest registration; empty where there is none."""
        (answer,) = await self._plain([("HGETALL", key("registration", resident_tag(resident)))])
        return _fields(answer)

    # Imported files

    async def keep_first_doses(self, records: Sequence[tuple[bytes, FirstDoseRecord]]) -> None:
        """Write registry lines; a later line of the same person replaces the earlier."""
        await self._plain(
            [("SET", key("registry", resident_tag(r)), _record_encoder.encode(record)) for r, record in records]
        )

    async def keep_sites(self, district: str, sites: dict[str, bytes]) -> None:
        """Write sites (code -> JSON) of a district."""
        flat = [x for site in sites.items() for x in site]
        await self._plain([("HSET", key("sites", district), *flat)])

    async def sites(self, districts: Sequence[str]) -> list[dict[str, str]]:
        """Sites (code -> JSON) of each district."""
        answers = await self._plain([("HGETALL", key("sites", district)) for district in districts])
        return [_fields(answer) for answer in answers]

    async def ping(self) -> None:
        """Raises StoreUnavailable when the store cannot be read."""
        await self._plain([("GET", key("ping", "ping"))])

    async def _plain(self, commands: Sequence[Sequence[Arg]]) -> list[Any]:
        answers = await self._pipeline(commands)
        for answer in answers:
            if isinstance(answer, Exception):
                log.error("store refused", error=str(answer)[:200])
                raise StoreUnavailable from answer
        return answers


def _fields(answer: Any) -> dict[str, str]:
    """HGETALL's answer, which a pipeline leaves flat and a plain call turns into a dict."""
    items = answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=True)
    return {k.decode(): v.decode() for k, v in items}


def _pairs(answer: list[Any], count: int) -> list[tuple[str, int]]:
    status, *rest = answer
    if status == b"absent":
        return [("absent", 0)] * count
    return [(outcome.decode(), until) for outcome, until in zip(rest[::2], rest[1::2], strict=True)]


def _advance(now_ms: int, alive: int, fields: Any, left: list[bytes]) -> Advance:
    return Advance(now_ms, alive, _fields(fields), [int(entry) for entry in left])
