"""Random histories of an opening: the scripts and the reference model agree on every answer and every count.

A history's calls go to the store in one pipeline, because the model knows what each will answer; the store is one
thread, so every interleaving of workers is such a history, and `again` is a redelivery.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import count
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.records.opening import Place as StorePlace
from server.store.connecting import Client, connect
from server.store.scripts import load_scripts
from tests.support.model import Place, WaitingRoom
from tests.support.stores import Store

_OPENS_MS = 1_624_060_800_000  # 2021-06-19 08:00 in Guangzhou
_SEED = bytes(range(32))
_RESIDENTS = [bytes([65 + i]) * 16 for i in range(14)]
_GRID_MS = 125  # an eighth of a second is exact in binary, so credit has no rounding and limits are hit exactly


class Shape(NamedTuple):
    """An opening: the city file's plan, small enough for a history to see all of it."""

    rate: Fraction
    max_active: int
    closes_ms: int = 50_000
    draw_ms: int = 4_000
    claim_ms: int = 3_000
    pass_ms: int = 4_000


_SHAPES = {
    "brisk": Shape(Fraction(4), 5),
    "crowded": Shape(Fraction(32), 2),
    "a_trickle": Shape(Fraction(1, 2), 100),
    "standing_still": Shape(Fraction(0), 3),
    "soon_over": Shape(Fraction(8), 4, closes_ms=14_000),
    "nobody_may_enter": Shape(Fraction(8), 0),
    "closing_with_the_draw": Shape(Fraction(8), 4, closes_ms=4_000),
}

_KINDS = [
    "wait",
    *["join"] * 6,
    *["advance"] * 9,
    *["claim"] * 6,
    *["leave", "rejoin"] * 3,
    *["release", "standing", "settle"] * 2,
    *["half_settle", "rate", "max_active", "pause", "resume", "resume", "prepare", "again"],
]
_STEPS = [0, 0, 1, 1, 1, 2, 2, 4, 4, 8, 8, 16, 24, 32, 48, -1]
_ACT_BYTES = 4


class Act(NamedTuple):
    """One step of a history: time passes, then somebody does something."""

    kind: str
    step_ms: int
    which: int
    more: int


# Four bytes an act: a fifth of the time that a list of tuples takes to draw, and it shrinks to waiting for nothing.
_HISTORIES = st.binary(min_size=_ACT_BYTES * 30, max_size=_ACT_BYTES * 60).map(
    lambda raw: [
        Act(_KINDS[a % len(_KINDS)], _STEPS[b % len(_STEPS)] * _GRID_MS, c, d)
        for a, b, c, d in zip(*[iter(raw)] * _ACT_BYTES, strict=False)
    ]
)


# Of the draw; an opening that was prepared before the second one goes on as it was.
_VERSIONS = st.sampled_from([2, 2, 1])


class _Pipelined:
    """A client that keeps calls until they are flushed, all in one round trip."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._kept: list[tuple[asyncio.Future[Any], tuple[Any, ...]]] = []

    def execute_command(self, *command: Any) -> "asyncio.Future[Any]":
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._kept.append((future, command))
        return future

    async def flush(self) -> None:
        pipe = self.client.pipeline(transaction=False)
        for _, command in self._kept:
            pipe.execute_command(*command)
        for (future, _), answer in zip(self._kept, await pipe.execute(raise_on_error=False), strict=True):
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        self._kept.clear()


class _History:
    """Plays acts on the model, and the same calls on the store; compares afterwards."""

    def __init__(self, store: Store, pipelined: _Pipelined, tag: str, shape: Shape, version: int) -> None:
        self.store = store
        self.pipelined = pipelined
        self.tag = tag
        self.now = _OPENS_MS - _GRID_MS
        self.went_back = False
        plan: dict[str, Any] = {
            "opens_ms": _OPENS_MS,
            "draw_ms": _OPENS_MS + shape.draw_ms,
            "closes_ms": _OPENS_MS + shape.closes_ms,
            "claim_ms": shape.claim_ms,
            "pass_ms": shape.pass_ms,
            "grace_ms": 2_000,
            "poll_budget": 8,
            "rate": float(shape.rate),
            "max_active": shape.max_active,
        }
        self.plan = plan | {"beacon": "", "commitment": "", "sealed": "", "night_commitment": "", "night_sealed": ""}
        exact: dict[str, Any] = {"poll_budget": Fraction(8), "rate": shape.rate}
        self.model = WaitingRoom(**(plan | exact), seed=_SEED, version=version)
        self.done: list[tuple[str, Any, asyncio.Task[Any]]] = []
        self.last: Callable[[], None] = lambda: None
        self._expect("prepare", True, self.store.prepare(self.tag, **self.plan))
        if version == 1:  # as the version before did
            name = f"opening:{{{tag}}}"
            self._expect("seed", [1], self.store.plain([("HSET", name, "seed", _SEED.hex())]))
            self._expect("version", [2], self.store.plain([("HDEL", name, "version", "sealed")]))

    def _expect(self, what: str, expected: Any, call: Awaitable[Any], now: int = 0) -> None:
        async def at_its_time() -> Any:
            self.store.now_ms = now
            return await call

        self.done.append((f"{len(self.done)} {what}", expected, asyncio.ensure_future(at_its_time())))

    def play(self, act: Act) -> None:
        kind, step_ms, which, more = act
        self.now += step_ms
        self.went_back |= step_ms < 0
        self.last = (lambda: self._act(kind, which, more)) if kind != "again" else self.last
        self.last()
        self.model.check_guarantees()
        if not self.went_back:
            self.model.check_one_place_each(self.now)
        self._expect(f"counts after {kind}", self._model_counts(), self._store_counts(self.now))

    async def _claim(self, places: list[StorePlace]) -> Any:
        outcomes, _ = await self.store.claim(self.tag, places)
        return outcomes

    def _some(self, which: int, more: int) -> list[Place]:
        """A few places, one of them perhaps twice."""
        places = self.model.places
        if which >= 64:  # mostly those whose turn it is or was
            places = [p for p in places if p.state in ("called", "claimed")] or places
        return [places[(which + i * i) % len(places)] for i in range(1 + more % 4)] if places else []

    def _stored(self, place: Place) -> StorePlace:
        return StorePlace(place.entry, self.model.number(place), place.resident)

    def _act(self, kind: str, which: int, more: int) -> None:
        model, store, tag, now = self.model, self.store, self.tag, self.now
        places = self._some(which, more)
        stored = [self._stored(p) for p in places]
        changes: dict[str, Any] = {}
        match kind:
            case "join":
                residents = [_RESIDENTS[(which + i * (1 + more // 8)) % len(_RESIDENTS)] for i in range(1 + more % 8)]
                residents.append(residents[0])
                self._expect(f"join {residents}", model.join(now, residents), store.join(tag, residents), now)
            case "advance":
                alive = model.advance(now)
                self._expect(
                    f"advance at {now}", (now, alive, model.given_up[which % 4 :]), self._advance(which % 4), now
                )
            case "claim" if places and model.knows_numbers:
                self._expect(f"claim {stored}", model.claim(now, places), self._claim(stored), now)
            case "standing" if places and model.knows_numbers:
                expected = [model.standing(now, p) for p in places]
                self._expect(f"standing {stored}", expected, store.standing(tag, stored), now)
            case "release" if places:
                registered = [p for p in places if p.state in ("claimed", "used")]
                stored = [self._stored(p) for p in registered]
                self._expect(f"release {stored}", model.release(registered), store.release(tag, stored), now)
            case "leave" if places:
                self._expect(f"leave {stored[0]}", self._leave(places[0]), store.leave(tag, stored[0]), now)
            case "rejoin" if places:
                self._expect(
                    f"rejoin {stored[0]}",
                    model.rejoin(now, places[0], stored[0].number),
                    store.rejoin(tag, stored[0]),
                    now,
                )
            case "settle" | "half_settle":
                if model.version > 1:
                    self._fix(which, more)
                self._expect(kind, model.close_draw(now, (), 0), store.close_draw(tag), now)
                if model.knows_numbers:
                    after = model.numbered
                    entries = model.given_up[after : after + more % 3 if kind == "half_settle" else None]
                    numbers = [model.number(model.places[e]) for e in entries]
                    expected_of = model.close_draw(now, numbers, after)
                    self._expect(f"{kind} {numbers}", expected_of, store.close_draw(tag, numbers, after), now)
            case "rate":
                changes = {"rate": Fraction([0, 1, 2, 8, 32, 128][which % 6], 2)}
            case "max_active":
                changes = {"max_active": which % 8}
            case "pause" | "resume":
                changes = {"paused": kind == "pause"}
            case "prepare":
                self._expect("prepare again", model.prepare(), store.prepare(tag, **self.plan))
        if changes:
            hold_ms = more * _GRID_MS
            sent: dict[str, str | int | float | bytes] = {
                k: float(v) if k == "rate" else int(v) for k, v in changes.items()
            }
            self._expect(
                f"adjust {sent}", model.adjust(now, hold_ms, **changes), store.adjust(tag, "op", hold_ms, sent), now
            )

    def _fix(self, which: int, more: int) -> None:
        """Bind the draw, and mostly fix it; some workers are too early, or come with another root."""
        model, store, tag, now = self.model, self.store, self.tag, self.now
        drawn, root = model.issued if model.drawn is None else model.drawn, f"{which % 2:064x}"
        self._expect("bind", model.bind_draw(now, drawn, root), store.bind_draw(tag, drawn, root), now)
        if more % 4:
            key = bytes([which]) * 32
            fixing = store.fix_draw(tag, root, signature="", no_beacon="", seed=_SEED, draw_key=key)
            self._expect("fix", model.fix_draw(root, key), fixing, now)

    def _leave(self, place: Place) -> str:
        return self.model.leave(self.now, place, self.model.number(place))

    async def _advance(self, left_seen: int) -> tuple[int, int, list[int]]:
        (report,) = await self.store.advance([(self.tag, left_seen)])
        return report.now_ms, report.passes_alive, report.left

    def _model_counts(self) -> dict[str, int]:
        m = self.model
        return {
            "issued": m.issued,
            "waiting": m.count("waiting"),
            "pending": m.count("called"),
            "claimed": m.count("claimed", "used"),
            "missed": m.count("missed"),
            "left": m.count("left"),
            "serving": m.serving,
            "drawn": -1 if m.drawn is None else m.drawn,
            "settled": int(m.settled),
            "hold_ms": m.hold_ms,
            "passes": m.alive(self.now),
            "claims": m.count("claimed", "used"),
            "places": len(m.holds),
        }

    async def _store_counts(self, now: int) -> dict[str, int]:
        names = (
            "issued",
            "called",
            "claimed",
            "missed",
            "left",
            "left_called",
            "serving",
            "drawn",
            "settled",
            "hold_ms",
        )
        ask = self.pipelined.execute_command
        values, passes, claims, places = await asyncio.gather(
            ask("HMGET", f"opening:{{{self.tag}}}", *names),
            ask("ZCOUNT", f"passes:{{{self.tag}}}", f"({now}", "+inf"),
            ask("HLEN", f"claims:{{{self.tag}}}"),
            ask("HLEN", f"places:{{{self.tag}}}"),
        )
        n = {name: -1 if value is None else int(value) for name, value in zip(names, values, strict=True)}
        called, left_called = n.pop("called"), n.pop("left_called")
        n["waiting"] = n["issued"] - called - (n["left"] - left_called)
        n["pending"] = called - n["claimed"] - n["missed"] - left_called
        return n | {"passes": passes, "claims": claims, "places": places}

    async def compare(self) -> None:
        # One turn lets each call put its command into the pipeline, in order; a second one those of `gather`.
        await asyncio.sleep(0)
        await self.pipelined.flush()
        for what, expected, task in self.done:
            assert await task == expected, what
        if not self.went_back:  # else an interval's length is not what it says
            self.model.check_rate()


@contextmanager
def _player(url: str) -> Iterator[Callable[[Shape, int, list[Act]], None]]:
    """Plays histories on this store, each on an opening of its own."""
    numbers = count()
    with asyncio.Runner() as runner:
        client = runner.run(connect(url))

        async def prepare() -> None:
            for script in load_scripts().values():  # else the first call of each would come twice, and late
                await client.script_load(script.text)

        async def history(shape: Shape, version: int, acts: list[Act]) -> None:
            pipelined = _Pipelined(client)
            story = _History(
                Store(cast(Client, pipelined), replicas=0), pipelined, f"T:{next(numbers)}", shape, version
            )
            for act in acts:
                story.play(act)
            await story.compare()

        runner.run(prepare())
        try:
            yield lambda shape, version, acts: runner.run(history(shape, version, acts))
        finally:
            runner.run(client.aclose())


@pytest.mark.parametrize("shape", _SHAPES.values(), ids=_SHAPES)
def test_any_history_ends_as_the_model_says(store_url: str, shape: Shape) -> None:
    with _player(store_url) as play:

        @settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow])
        @given(_VERSIONS, _HISTORIES)
        def any_history(version: int, acts: list[Act]) -> None:
            play(shape, version, acts)

        any_history()


def test_any_history_ends_as_the_model_says_on_a_cluster(cluster_url: str) -> None:
    with _player(cluster_url) as play:

        @settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow])
        @given(st.sampled_from(list(_SHAPES.values())), _VERSIONS, _HISTORIES)
        def any_history(shape: Shape, version: int, acts: list[Act]) -> None:
            play(shape, version, acts)

        any_history()
