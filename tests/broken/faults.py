"""The faults, each as small as the promise it breaks allows."""

import asyncio
import hashlib
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from redis.asyncio import Redis

from server.store import scripts


@dataclass
class Exchange:
    """A request (path below the base path) and, once there is one, its answer."""

    method: str
    path: str
    bearer: bytes
    asked: bytes = b""
    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def told(self, method: str, path: str, *statuses: int) -> dict[str, Any] | None:
        """The answer, where it is that of such a call with such a status; `path` may end in `*`."""
        fits = self.path.startswith(path[:-1]) if path.endswith("*") else self.path == path
        if self.method != method or not fits or self.status not in statuses:
            return None
        found: dict[str, Any] = msgspec.json.decode(self.body)
        return found

    def say(self, status: int, body: Mapping[str, Any]) -> None:
        """Answer this instead."""
        kind = "application/json" if status < 400 else "application/problem+json"
        self.status, self.headers, self.body = status, [("content-type", kind)], msgspec.json.encode(body)

    def change(self, **fields: Any) -> None:
        """Answer the same but for these fields."""
        self.body = msgspec.json.encode(msgspec.json.decode(self.body) | fields)


async def _nothing_before(exchange: Exchange) -> None:
    pass


def _nothing_after(exchange: Exchange) -> None:
    pass


@dataclass
class Fault:
    """What is broken.

    Attributes:
        scripts: Lua in place of a script, which is there as `honest()`.
        before: done before a call is answered; where it sets a status, that is the answer, and the call is not done.
        after: may change an answer.
    """

    scripts: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[Exchange], Awaitable[None]] = _nothing_before
    after: Callable[[Exchange], None] = _nothing_after


def broken(source: str, instead: str) -> str:
    """A script with other Lua in its place, in which it is `honest()`; the header stays."""
    lines = source.splitlines()
    body_at = next(i for i, line in enumerate(lines) if not line.startswith("--"))
    return "\n".join([*lines[:body_at], "local function honest()", *lines[body_at:], "end", instead])


def break_scripts(fault: Fault) -> None:
    """From now on scripts are loaded broken."""
    honest = scripts.parse
    known = {path.stem for path in scripts.LUA_DIR.glob("*.lua")}
    assert known >= fault.scripts.keys()  # a script that was renamed must not let its fault vanish

    def parse(name: str, source: str, prelude: str) -> scripts.Script:
        return honest(name, broken(source, fault.scripts[name]) if name in fault.scripts else source, prelude)

    if fault.scripts and "broken" not in vars(scripts):
        vars(scripts)["broken"] = True
        vars(scripts)["parse"] = parse
        scripts.load_scripts.cache_clear()


def chosen() -> Fault:
    """The fault that BROKEN names."""
    return FAULTS[os.environ["BROKEN"]]


def one_in(n: int, what: bytes) -> bool:
    """Whether this is one of every n of its kind: the same ones each time."""
    return hashlib.sha256(what).digest()[0] % n == 0


# Places and numbers


def _another_commitment(x: Exchange) -> None:
    if (opening := x.told("GET", "/openings/*", 200)) and opening["draw"]["entries"] is not None:
        x.change(draw=opening["draw"] | {"commitment": "0" * 64})


# Whoever asks again, a moment later, has the place they had taken away and is put behind everybody.
_MOVED_BACK = """
local issued = tonumber(call('HGET', KEYS[1], 'issued') or 0)
for i = 1, #ARGV[3], 16 do
  local resident = string.sub(ARGV[3], i, i + 15)
  local entry = tonumber(call('HGET', KEYS[2], resident))
  if entry and entry + 30 < issued then call('HDEL', KEYS[2], resident) end
end
return honest()
"""

# Now and then a number is given to nobody.
_A_GAP = """
local before = tonumber(call('HGET', KEYS[1], 'issued') or 0)
local answer = honest()
local issued = tonumber(call('HGET', KEYS[1], 'issued') or 0)
if math.floor(issued / 30) > math.floor(before / 30) then call('HINCRBY', KEYS[1], 'issued', 1) end
return answer
"""

# Somebody who never asked gets in by a back door.
_BACK_DOOR = """
local before = tonumber(call('HGET', KEYS[1], 'issued') or 0)
local answer = honest()
local issued = tonumber(call('HGET', KEYS[1], 'issued') or 0)
if math.floor(issued / 30) > math.floor(before / 30) then
  call('HSET', KEYS[2], string.format('a friend %07d', issued), issued)
  call('HINCRBY', KEYS[1], 'issued', 1)
end
return answer
"""


def _wrong_numbers(x: Exchange) -> None:
    # some neighbours in line are told each other's number, always: so nobody notices by themselves
    place = x.told("GET", "/ticket", 200) or x.told("POST", "/openings/*", 200, 201)
    if place and (place.get("number") or 0) % 20 in (6, 7):
        x.change(number=place["number"] ^ 1)


def _wrong_proof(x: Exchange) -> None:
    # some are told the blind of the list's other end: all of it is good but for that
    if (proof := x.told("GET", "/ticket/proof", 200)) and proof["entry"] % 9 == 3:
        x.change(blind=proof["blind"][::-1])


# Calls and passes

# Who asks for a pass gets one, called or not; the books are kept as if they had been called.
_LET_IN = """
local opening, places, done, claims, passes = KEYS[1], KEYS[2], KEYS[3], KEYS[5], KEYS[6]
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local o = load_opening(opening)
for i = 3, #ARGV, 3 do
  local entry, number, resident = tonumber(ARGV[i]), tonumber(ARGV[i + 1]), ARGV[i + 2]
  if o.settled == 1 and number > o.serving + 2 and call('HEXISTS', claims, entry) == 0
    and call('GETBIT', done, number) == 0 and tonumber(call('HGET', places, resident)) == entry then
    call('SETBIT', done, number, 1)
    call('HSET', claims, entry, resident .. string.format('%.0f', now + o.pass_ms))
    call('ZADD', passes, now + o.pass_ms, entry)
    call('HINCRBY', opening, 'claimed', 1)
    call('HINCRBY', opening, 'called', 1)
    call('HINCRBYFLOAT', opening, 'credit', -1)
  end
end
return honest()
"""


def _too_late_at_once(x: Exchange) -> None:
    if x.method == "POST" and x.path == "/passes" and x.status == 201 and one_in(8, x.bearer):
        x.say(410, {"type": "/problems/expired", "title": "", "status": 410, "code": "expired", "detail": ""})


# The clock of the calls runs at twice its speed.
_IN_A_HURRY = """
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local last = tonumber(call('HGET', KEYS[1], 'last_ms') or now)
if last < now and last > now - 1000 then call('HSET', KEYS[1], 'last_ms', last - (now - last)) end
return honest()
"""

# As if nobody had ever said how many may be inside.
_NO_CAP = """
local most = call('HGET', KEYS[1], 'max_active')
if not most then return honest() end
call('HSET', KEYS[1], 'max_active', 1000000)
local answer = honest()
call('HSET', KEYS[1], 'max_active', most)
return answer
"""

_COUNTED_TWICE = """
local before = call('HGET', KEYS[1], 'claimed')
local answer = honest()
if call('HGET', KEYS[1], 'claimed') ~= before then call('HINCRBY', KEYS[1], 'claimed', 1) end
return answer
"""


class _FavouritesFirst:
    """Of the numbers called, three of ten are told to wait until the others have gone ahead."""

    def __init__(self) -> None:
        self._since: dict[int, float] = {}

    def __call__(self, x: Exchange) -> None:
        place = x.told("GET", "/ticket", 200)
        if place and place["state"] == "ready" and place["number"] % 10 < 3:
            if time.monotonic() - self._since.setdefault(place["number"], time.monotonic()) < 4:
                x.change(state="waiting", claim_before=None, poll_after_seconds=0.5)


# Registrations

# Some are kept where they are forgotten in the end, when their holders ask again (`_Forgets`).
_KEPT_FOR_A_WHILE = """
local answer = honest()
if answer[1] == 'registered' and tonumber(string.sub(ARGV[4], -2)) % 10 == 0 then
  call('HSET', 'kept for a while', KEYS[1], KEYS[3])
end
return answer
"""
_FORGET = """
local found = redis.call('HGETALL', 'kept for a while')
for i = 1, #found, 2 do
  if redis.call('HGET', found[i], 'state') == 'proposed' then redis.call('DEL', found[i], found[i + 1]) end
end
return redis.call('DEL', 'kept for a while')
"""


class _Forgets:
    """The first look at a calendar, which is when the crowd has gone, takes with it what was kept for a while."""

    async def __call__(self, x: Exchange) -> None:
        if x.path.endswith("/appointment.ics"):
            store: Any = Redis.from_url(os.environ["JIAOHAO_REDIS_URL"])
            await store.eval(_FORGET, 0)
            await store.aclose()


# Some are kept a second time, under another key and another number.
_KEPT_TWICE = """
local answer = honest()
if answer[1] == 'registered' and tonumber(string.sub(ARGV[4], -2)) % 10 == 0 then
  local other = string.gsub(KEYS[1], '{(.)', function(c) return c == 'A' and '{B' or '{A' end)
  local fields = call('HGETALL', KEYS[1])
  call('HSET', other, unpack(fields))
  local no = string.format('%015.0f', tonumber(ARGV[4]) + 50000000)
  call('HSET', other, 'no', no)
  call('SET', (string.gsub(other, '^registration', 'stop')), 'open ' .. no)
end
return answer
"""

_NO_GUARD = """
local answer = honest()
if answer[1] == 'registered' then call('DEL', KEYS[3]) end
return answer
"""

# A pass that has lapsed is booked as used.
_LAPSED_IS_USED = """
local now = clock(tonumber(ARGV[1]), tonumber(ARGV[2]))
local claims = string.gsub(KEYS[1], '^opening', 'claims')
for _, entry in ipairs(call('ZRANGEBYSCORE', KEYS[4], '-inf', now)) do
  local claim = call('HGET', claims, entry)
  if claim then call('HSET', claims, entry, string.sub(claim, 1, 16) .. '0') end
end
return honest()
"""


class _Remembered:
    """Answers about registrations come from a memory that knows of a change which the store has never seen."""

    def __init__(self, method: str, ending: str, **fields: Any) -> None:
        self._method, self._ending, self._fields = method, ending, fields
        self._known: dict[str, dict[str, Any]] = {}

    def __call__(self, x: Exchange) -> None:
        _, _, no = x.path.partition("/registrations/")
        if not no or not 200 <= x.status < 300:
            return
        no, _, ending = no.partition("/")
        if x.method == self._method and ending == self._ending:
            sent = msgspec.json.decode(x.asked) if x.asked else {}
            self._known[no] = {"not_before": None} | sent if sent else self._fields
        if no in self._known and ending in ("", "cancellation"):
            x.change(**self._known[no])


_NOT_CANCELLED = "return 'cancelled'"
_NOT_AMENDED = "return 'amended'"


def _another_pass_time(x: Exchange) -> None:
    if x.told("POST", "/passes", 200):
        x.change(expires_at="2021-06-19T23:59:59+08:00")


def _another_number_for_a_replay(x: Exchange) -> None:
    if found := x.told("POST", "/registrations", 200):
        x.change(registration_no=f"{int(found['registration_no']) + 1:015d}")


def _other_wishes_shown(x: Exchange) -> None:
    found = x.told("GET", "/registrations/*", 200) if "." not in x.path else None
    if found and one_in(4, x.path.encode()):
        x.change(accept_any_site=not found["accept_any_site"])


def _tells_on_people(x: Exchange) -> None:
    if (found := x.told("POST", "/access-codes", 202)) and one_in(3, x.asked):
        x.change(expires_in_seconds=found["expires_in_seconds"] + 1)


# What residents feel


_STALL_SECONDS = 4.0
"""Of every eight: longer than a loaded machine makes anybody wait."""


def _rest_of_a_stall() -> float:
    return max(0.0, _STALL_SECONDS - time.monotonic() % (2 * _STALL_SECONDS))


async def _slow_disk(x: Exchange) -> None:
    if x.method == "POST" and x.path == "/registrations":
        await asyncio.sleep(_rest_of_a_stall())


async def _stands_still(x: Exchange) -> None:
    time.sleep(_rest_of_a_stall())  # noqa: ASYNC251  (the whole worker, that is the point)


def _promises_too_soon(x: Exchange) -> None:
    place = x.told("GET", "/ticket", 200) or x.told("POST", "/openings/*", 200, 201)
    if place and place.get("eta_high_seconds") is not None:
        x.change(eta_low_seconds=place["eta_low_seconds"] / 3, eta_high_seconds=place["eta_high_seconds"] / 3)
    opening = x.told("GET", "/openings/*", 200)
    if opening and opening["wait"] is not None:
        turns = [(number, begins / 3, ends / 3) for number, begins, ends in opening["wait"]["turns"]]
        x.change(wait=opening["wait"] | {"turns": turns})


def _promises_too_much(x: Exchange) -> None:
    place = x.told("GET", "/ticket", 200) or x.told("POST", "/openings/*", 200, 201)
    if place and place.get("eta_seconds") is not None:
        x.change(eta_seconds=place["eta_seconds"] * 3)
    # who waits by the public answer works it out
    opening = x.told("GET", "/openings/*", 200)
    if opening and opening["wait"] is not None:
        slower = {"pace_per_second": opening["wait"]["pace_per_second"] / 3, "free": 0}
        x.change(wait=opening["wait"] | slower)


def _broken_image(x: Exchange) -> None:
    if x.path.endswith("/qr.svg") and one_in(5, x.path.encode()):
        x.say(500, {"type": "about:blank", "title": "Internal Server Error", "status": 500, "code": "oops"})


# Bots


def _takes_any_ticket(x: Exchange) -> None:
    if x.path == "/ticket" and x.method == "GET" and x.status == 401:
        place = {"state": "waiting", "number": 1, "serving": 0, "ahead": 0, "eta_seconds": 1, "poll_after_seconds": 1}
        x.say(200, place)


class _TiredOfPolls:
    """Who asks for the same ticket again within half a second is refused."""

    def __init__(self) -> None:
        self._asked: dict[bytes, float] = {}

    def __call__(self, x: Exchange) -> None:
        place = x.told("GET", "/ticket", 200)
        if place and place["state"] == "waiting":  # in the draw the polls are counted
            before, now = self._asked.get(x.bearer, 0.0), time.monotonic()
            self._asked[x.bearer] = now
            if now - before < 0.5:
                x.say(403, {"status": 403, "code": "barred", "detail": ""})


class _AsksTheStore:
    """A poll, too, has the store run a script."""

    def __init__(self) -> None:
        self._store: Any = None

    async def __call__(self, x: Exchange) -> None:
        if x.path == "/ticket" and x.method == "GET":
            self._store = self._store or Redis.from_url(os.environ["JIAOHAO_REDIS_URL"])
            await self._store.eval("return 1", 0)


def _replays_pushed_back(x: Exchange) -> None:
    if x.told("POST", "/registrations", 200):
        x.say(503, {"status": 503, "code": "overloaded", "detail": ""})
        x.headers.append(("retry-after", "1"))


# What only a history shows: each answer is one that the contract allows at some time


class _BeforeTheWrite:
    """Who has claimed is told, one time in two, that they may claim: the answer of the poll before."""

    def __init__(self) -> None:
        self._before: dict[bytes, dict[str, Any]] = {}
        self._turn = 0

    def __call__(self, x: Exchange) -> None:
        place = x.told("GET", "/ticket", 200)
        if place and place["state"] == "ready":
            self._before[x.bearer] = place
        elif place and place["state"] == "claimed" and x.bearer in self._before:
            self._turn += 1
            if self._turn % 2:
                x.change(**self._before[x.bearer] | {"serving": place["serving"]})


class _ForgetsWhoLeaves:
    """Who gives up a place whose number they know is told that it is given up, and it is not."""

    def __init__(self) -> None:
        self._numbered: set[bytes] = set()

    async def before(self, x: Exchange) -> None:
        if x.method == "DELETE" and x.path == "/ticket" and x.bearer in self._numbered:
            x.status = 204

    def after(self, x: Exchange) -> None:
        place = x.told("GET", "/ticket", 200)
        if place and place["number"] is not None:
            self._numbered.add(x.bearer)


class _FoundByItsPass:
    """A pass that has made a registration finds it, open, though it was cancelled."""

    def __init__(self) -> None:
        self._made: dict[bytes, dict[str, Any]] = {}

    def __call__(self, x: Exchange) -> None:
        if made := x.told("POST", "/registrations", 201):
            self._made[x.bearer] = made
        elif x.told("POST", "/registrations", 409) and x.bearer in self._made:
            x.say(200, self._made[x.bearer])


def _always_the_first(x: Exchange) -> None:
    if x.told("POST", "/openings/*", 200) and x.path.endswith("/tickets"):
        x.status = 201


class _Yesterday:
    """Of every four seconds, one in which the opening is what it was four seconds ago, as if it were now."""

    def __init__(self) -> None:
        self._known: list[tuple[float, dict[str, Any]]] = []

    def __call__(self, x: Exchange) -> None:
        opening, now = x.told("GET", "/openings/*", 200), time.monotonic()
        if opening is None or opening["draw"]["seed"] is None:
            return
        self._known.append((now, opening))
        earlier = [known for at, known in self._known if at < now - 4]
        if earlier and now % 4 < 1:
            x.change(**earlier[-1] | {"now": opening["now"]})


_LEAVES = _ForgetsWhoLeaves()

FAULTS = {
    "none": Fault(),
    "another commitment": Fault(after=_another_commitment),
    "double place": Fault({"join": _MOVED_BACK}),
    "gap in the numbers": Fault({"join": _A_GAP}),
    "back door": Fault({"join": _BACK_DOOR}),
    "wrong number": Fault(after=_wrong_numbers),
    "wrong proof": Fault(after=_wrong_proof),
    "called out of turn": Fault({"claim": _LET_IN}),
    "call not kept": Fault(after=_too_late_at_once),
    "rate exceeded": Fault({"advance": _IN_A_HURRY}),
    "cap exceeded": Fault({"advance": _NO_CAP, "claim": _NO_CAP}),
    "counted twice": Fault({"claim": _COUNTED_TWICE}),
    "unfair order": Fault(after=_FavouritesFirst()),
    "lost registration": Fault({"register": _KEPT_FOR_A_WHILE}, before=_Forgets()),
    "registered twice": Fault({"register": _KEPT_TWICE}),
    "may register again": Fault({"register": _NO_GUARD}),
    "lapsed counts as used": Fault({"advance": _LAPSED_IS_USED}),
    "lost cancellation": Fault(
        {"cancel": _NOT_CANCELLED}, after=_Remembered("POST", "cancellation", state="cancelled")
    ),
    "lost change": Fault({"amend": _NOT_AMENDED}, after=_Remembered("PATCH", "")),
    "another answer": Fault(after=_another_pass_time),
    "wrong receipt": Fault(after=_other_wishes_shown),
    "wrong eligibility": Fault(),
    "codes differ": Fault(after=_tells_on_people),
    "slow disk": Fault(before=_slow_disk),
    "slow second": Fault(before=_stands_still),
    "wrong ETA": Fault(after=_promises_too_much),
    "wrong interval": Fault(after=_promises_too_soon),
    "errors": Fault(after=_broken_image),
    "forged ticket": Fault(after=_takes_any_ticket),
    "replay": Fault(after=_another_number_for_a_replay),
    "codes without limit": Fault({"quota": "return 0"}),
    "replays pushed back": Fault(after=_replays_pushed_back),
    "polls refused": Fault(after=_TiredOfPolls()),
    "polls cost a call": Fault(before=_AsksTheStore()),
    "stale read after write": Fault(after=_BeforeTheWrite()),
    "lost update": Fault(before=_LEAVES.before, after=_LEAVES.after),
    "resurrected registration": Fault(after=_FoundByItsPass()),
    "double first answer": Fault(after=_always_the_first),
    "time going backwards": Fault(after=_Yesterday()),
}
