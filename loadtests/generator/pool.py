"""All generators of a run: one in this process, or Locust's workers, each with a share of the crowd."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gevent
import msgspec
from gevent.event import AsyncResult

from loadtests.client.measure import Meters, Progress
from loadtests.crowd.crowd import Crowd, Share
from loadtests.generator.generator import Cast
from loadtests.generator.own_cpu import Busy
from loadtests.resident.acts import Stretch
from loadtests.resident.observations import Told
from loadtests.run.clock import RunClock
from loadtests.run.generators import Company
from loadtests.run.options import CannotRehearse, Options, crowd_of
from loadtests.run.setting import Setting, find_setting

if TYPE_CHECKING:
    from locust.env import Environment
    from locust.runners import MasterRunner, WorkerRunner

_BEGIN, _ASK, _TELL, _ARRIVE, _LOOK, _SEEN, _END, _PIECE, _FAILED = (
    f"jiaohao {word}" for word in ("begin", "ask", "tell", "arrive", "look", "seen", "end", "piece", "failed")
)
_CLOCK_LOOKS = 20
_PIECE_BYTES = 4_000_000
_ANSWER_SECONDS = 180


class Measured(msgspec.Struct):
    """What one cast has measured so far, as it travels to the master.

    Attributes:
        index: of its share.
        meters: encoded.
        machine: host name.
        percent: CPU of the generator's process, of one core, by second.
    """

    index: int
    meters: bytes
    machine: str
    percent: dict[int, float]


class Part(msgspec.Struct):
    """What one cast has to say at the end of a run.

    Attributes:
        told: encoded.
        unserved: events that were due when the run ended, and had not been sent.
        clock_doubt_us: how far its clock may be from the master's.
    """

    measured: Measured
    told: bytes
    unserved: int
    clock_doubt_us: int


class Alone:
    """One generator: this process."""

    alone = True
    clock_doubt_ms = 0

    def __init__(self, options: Options, crowd: Crowd, setting: Setting, fire: Any) -> None:
        self.cast = Cast(options, crowd, setting, fire)
        self._ended = False

    def begin(self, *, everyone: bool) -> None:
        self.cast.begin(everyone=everyone)

    def arrive(self, stretch: Stretch) -> None:
        self.cast.arrive(stretch)

    def progress(self) -> Progress:
        return self.cast.meters.progress(self.cast.clock.now_us() // 1_000_000)

    def meters(self) -> Meters:
        return self.cast.meters

    def end(self) -> None:
        if not self._ended:
            self._ended = True
            self.cast.end()

    def told(self) -> tuple[Told, Meters, int]:
        return self.cast.journey.told, self.cast.meters, self.cast.unserved

    def cpu(self) -> dict[str, tuple[str, dict[int, float]]]:
        return {}


def company_of(options: Options, crowd: Crowd, setting: Setting, environment: Environment) -> Company:
    """The generators of a Locust process that has a runner: itself, or its workers.

    Raises:
        CannotRehearse: the crowd does not fit the openings, or no workers have come.
    """
    from locust.runners import MasterRunner  # patches the process: only Locust's entry points come here

    if isinstance(environment.runner, MasterRunner):
        return Troupe(options, crowd, setting, environment.runner)
    return Alone(options, crowd, setting, environment.events.request.fire)


class Order(msgspec.Struct):
    """What a worker is told to begin with."""

    options: Options
    host: str
    origin_s: float
    share: Share
    everyone: bool


class Troupe:
    """Locust's workers, from the master's side.

    Args:
        runner: of the master; its workers are there already.

    Raises:
        CannotRehearse: there are none.
    """

    alone = False
    clock_doubt_ms = 0

    def __init__(self, options: Options, crowd: Crowd, setting: Setting, runner: MasterRunner) -> None:
        self._options, self._crowd, self._setting, self._runner = options, crowd, setting, runner
        self._workers = sorted(worker.id for worker in runner.clients.all)
        if not self._workers:
            raise CannotRehearse("no workers: start some with `locust --worker`, or give --processes")
        self._pieces: dict[str, list[bytes]] = {}
        self._parts: dict[str, Part] = {}
        self._seen: dict[str, Measured] = {}
        self._failed = ""
        self._ended = False
        for name, listener in (
            (_ASK, self._asked), (_PIECE, self._piece), (_SEEN, self._looked), (_FAILED, self._failure),
        ):  # fmt: skip
            runner.custom_messages.pop(name, None)  # of an earlier run in the same web UI
            runner.register_message(name, listener)
        self._progress: dict[str, Progress] = {}
        runner.environment.events.worker_report.add_listener(self._reported)  # type: ignore[no-untyped-call]

    def begin(self, *, everyone: bool) -> None:
        options = msgspec.structs.replace(self._options, redis_url=None)  # its password is not for the wire
        host, origin_s, of = self._setting.host, self._setting.origin_s, len(self._workers)
        for index, worker in enumerate(self._workers):
            order = Order(options, host, origin_s, Share(index, of), everyone)
            self._runner.send_message(_BEGIN, _plain(order), worker)

    def arrive(self, stretch: Stretch) -> None:
        self._runner.send_message(_ARRIVE, _plain(stretch))

    def progress(self) -> Progress:
        if self._failed:
            raise CannotRehearse(self._failed)
        lost = set(self._workers) - {worker.id for worker in self._runner.clients.all if worker.state != "missing"}
        if lost and not self._ended:
            raise CannotRehearse(f"{len(lost)} of {len(self._workers)} workers went away, with their residents")
        told = self._progress.values()
        return Progress(*(sum(getattr(one, name) for one in told) for name in Progress.__struct_fields__))

    def meters(self) -> Meters:
        self._seen.clear()
        self._runner.send_message(_LOOK)
        self._wait_for(lambda: len(self._seen) == len(self._workers), "said what they had measured")
        return self._measured()

    def end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._runner.environment.events.worker_report.remove_listener(self._reported)  # type: ignore[no-untyped-call]
        self._runner.send_message(_END)
        self._wait_for(lambda: len(self._parts) == len(self._workers), "said what they had been told")

    def told(self) -> tuple[Told, Meters, int]:
        told = Told(self._crowd.residents)
        for part in self._parts.values():
            told.take_in(part.told)
            self.clock_doubt_ms = max(self.clock_doubt_ms, -(-part.clock_doubt_us // 1000))
        return told, self._measured(), sum(part.unserved for part in self._parts.values())

    def cpu(self) -> dict[str, tuple[str, dict[int, float]]]:
        seen = sorted(self._seen.values(), key=lambda seen: seen.index)
        return {f"generator {one.index + 1}": (one.machine, one.percent) for one in seen}

    def _measured(self) -> Meters:
        whole = Meters()
        for seen in self._seen.values():
            whole.take_in(seen.meters)
        return whole

    def _wait_for(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _ANSWER_SECONDS
        while not done():
            if self._failed or time.monotonic() > deadline:
                raise CannotRehearse(self._failed or f"not all workers {what} within {_ANSWER_SECONDS} s")
            gevent.sleep(0.05)

    def _reported(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        if "jiaohao" in data:
            self._progress[client_id] = msgspec.convert(data["jiaohao"], Progress)

    def _asked(self, msg: Any, **_: Any) -> None:
        self._runner.send_message(_TELL, {"now_us": self._setting.clock.now_us()}, msg.node_id)

    def _piece(self, msg: Any, **_: Any) -> None:
        pieces = self._pieces.setdefault(msg.node_id, [])
        pieces.append(msg.data["piece"])
        if msg.data["last"]:
            part = self._parts[msg.node_id] = msgspec.msgpack.decode(b"".join(pieces), type=Part)
            self._seen[msg.node_id] = part.measured

    def _looked(self, msg: Any, **_: Any) -> None:
        self._seen[msg.node_id] = msgspec.convert(msg.data, Measured)

    def _failure(self, msg: Any, **_: Any) -> None:
        self._failed = f"a worker: {msg.data['why']}"


class Member:
    """A Locust worker's side: does as the master's stage says.

    Args:
        runner: of the worker.
    """

    def __init__(self, runner: WorkerRunner) -> None:
        self._runner = runner
        self._cast: Cast | None = None
        self._busy: Busy | None = None
        self._clock_doubt_us = 0
        self._answer: AsyncResult[int] = AsyncResult()
        for name, listener in (
            (_BEGIN, self._begin), (_TELL, self._told), (_ARRIVE, self._arrive), (_LOOK, self._look), (_END, self._end),
        ):  # fmt: skip
            runner.register_message(name, listener, concurrent=True)
        runner.environment.events.report_to_master.add_listener(self._report)  # type: ignore[no-untyped-call]

    def _report(self, data: dict[str, Any], **_: Any) -> None:
        """Say how far it is whenever Locust reports its statistics, every few seconds."""
        if self._cast is not None:
            data["jiaohao"] = _plain(self._cast.meters.progress(self._cast.clock.now_us() // 1_000_000))

    def _begin(self, msg: Any, **_: Any) -> None:
        self._cast = None
        self._stop_watching()  # of an earlier run that did not come to its end
        try:
            order = msgspec.convert(msg.data, Order)
            crowd = crowd_of(order.options)
            setting = find_setting(order.host, crowd.districts, order.origin_s)
            self._set(setting.clock)
            fire = self._runner.environment.events.request.fire
            self._cast = Cast(order.options, crowd, setting, fire, order.share)
            self._busy = Busy(setting.clock)
            self._cast.begin(everyone=order.everyone)
        except (CannotRehearse, ValueError) as reason:
            self._runner.send_message(_FAILED, {"why": str(reason)})

    def _set(self, clock: RunClock) -> None:
        """Set a clock by the master's: by the quickest of some answers, which bounds the doubt by half its time."""
        quickest, forward = None, 0
        for _ in range(_CLOCK_LOOKS):
            asked_us = clock.now_us()
            self._answer = AsyncResult()
            self._runner.send_message(_ASK)
            try:
                told_us = self._answer.get(timeout=_ANSWER_SECONDS)
            except gevent.Timeout:
                raise CannotRehearse("the master does not say what time it is") from None
            took_us = clock.now_us() - asked_us
            if quickest is None or took_us < quickest:
                quickest, forward = took_us, told_us - asked_us - took_us // 2
        clock.put_forward(forward)
        self._clock_doubt_us = (quickest or 0) // 2

    def _told(self, msg: Any, **_: Any) -> None:
        self._answer.set(msg.data["now_us"])

    def _arrive(self, msg: Any, **_: Any) -> None:
        while self._cast is None:  # still making ready
            gevent.sleep(0.1)
        self._cast.arrive(msgspec.convert(msg.data, Stretch))

    def _look(self, **_: Any) -> None:
        if self._cast is not None:
            self._runner.send_message(_SEEN, _plain(self._seen(self._cast)))

    def _end(self, **_: Any) -> None:
        if self._cast is None:
            return
        cast = self._cast
        cast.end()
        told = cast.journey.told.encoded(cast.share.index, cast.share.of)
        part = msgspec.msgpack.encode(Part(self._seen(cast), told, cast.unserved, self._clock_doubt_us))
        self._stop_watching()
        for at in range(0, len(part), _PIECE_BYTES):
            piece = part[at : at + _PIECE_BYTES]
            self._runner.send_message(_PIECE, {"piece": piece, "last": at + _PIECE_BYTES >= len(part)})
            gevent.sleep(0)

    def _seen(self, cast: Cast) -> Measured:
        percent = self._busy.percent if self._busy is not None else {}
        return Measured(cast.share.index, cast.meters.encoded(), socket.gethostname(), percent)

    def _stop_watching(self) -> None:
        if self._busy is not None:
            self._busy.stop()
            self._busy = None


def _plain(order: msgspec.Struct) -> Any:
    return msgspec.to_builtins(order, builtin_types=(bytes,))
