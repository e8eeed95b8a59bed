"""All generators of a run: one in this process, or Locust's workers, each with a share of the crowd."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gevent
import msgspec

from loadtests.client.measure import Meters, Progress
from loadtests.crowd.crowd import Crowd
from loadtests.crowd.shares import CrowdShare
from loadtests.generator import messages
from loadtests.generator.load_generator import LoadGenerator
from loadtests.generator.messages import StartOrder, WorkerMeasurements, WorkerResult
from loadtests.resident.observations import Observations
from loadtests.run.generators import ArrivalBatch, GeneratorPool
from loadtests.run.options import CannotRehearse, Options
from loadtests.run.setting import Setting

if TYPE_CHECKING:
    from locust.env import Environment
    from locust.runners import MasterRunner


class LocalPool:
    """One generator: this process."""

    alone = True
    clock_doubt_ms = 0

    def __init__(self, options: Options, crowd: Crowd, setting: Setting, environment: Environment) -> None:
        self.generator = LoadGenerator(options, crowd, setting, environment)
        self._ended = False

    def begin(self, *, everyone: bool) -> None:
        self.generator.begin(everyone=everyone)

    def arrive(self, batch: ArrivalBatch) -> None:
        self.generator.arrive(batch)

    def progress(self) -> Progress:
        return self.generator.meters.progress(self.generator.clock.now_us() // 1_000_000)

    def meters(self) -> Meters:
        return self.generator.meters

    def end(self) -> None:
        if not self._ended:
            self._ended = True
            self.generator.end()

    def observed(self) -> tuple[Observations, Meters, int]:
        return self.generator.journey.observations, self.generator.meters, self.generator.unserved

    def cpu(self) -> dict[str, tuple[str, dict[int, float]]]:
        return {}


def pool_of(options: Options, crowd: Crowd, setting: Setting, environment: Environment) -> GeneratorPool:
    """Return the generators of a Locust process that has a runner: itself, or its workers.

    Raises:
        CannotRehearse: the crowd does not fit the openings, or no workers have come.
    """
    from locust.runners import MasterRunner  # patches the process: only Locust's entry points come here

    if isinstance(environment.runner, MasterRunner):
        return WorkerPool(options, crowd, setting, environment.runner)
    return LocalPool(options, crowd, setting, environment)


class WorkerPool:
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
        self._parts: dict[str, WorkerResult] = {}
        self._seen: dict[str, WorkerMeasurements] = {}
        self._failed = ""
        self._ended = False
        for name, listener in (
            (messages.ASK, self._asked),
            (messages.PIECE, self._piece),
            (messages.SEEN, self._looked),
            (messages.FAILED, self._failure),
        ):
            runner.custom_messages.pop(name, None)  # of an earlier run in the same web UI
            runner.register_message(name, listener)
        self._progress: dict[str, Progress] = {}
        runner.environment.events.worker_report.add_listener(self._reported)  # type: ignore[no-untyped-call]

    def begin(self, *, everyone: bool) -> None:
        options = msgspec.structs.replace(self._options, redis_url=None)  # its password is not for the wire
        host, origin_s, of = self._setting.host, self._setting.origin_s, len(self._workers)
        for index, worker in enumerate(self._workers):
            order = StartOrder(options, host, origin_s, CrowdShare(index, of), everyone)
            self._runner.send_message(messages.BEGIN, messages.plain(order), worker)

    def arrive(self, batch: ArrivalBatch) -> None:
        self._runner.send_message(messages.ARRIVE, messages.plain(batch))

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
        self._runner.send_message(messages.LOOK)
        self._wait_for(lambda: len(self._seen) == len(self._workers), "said what they had measured")
        return self._measured()

    def end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._runner.environment.events.worker_report.remove_listener(self._reported)  # type: ignore[no-untyped-call]
        self._runner.send_message(messages.END)
        self._wait_for(lambda: len(self._parts) == len(self._workers), "said what they had been told")

    def observed(self) -> tuple[Observations, Meters, int]:
        observations = Observations(self._crowd.residents)
        for part in self._parts.values():
            observations.take_in(part.observations)
            self.clock_doubt_ms = max(self.clock_doubt_ms, -(-part.clock_doubt_us // 1000))
        return observations, self._measured(), sum(part.unserved for part in self._parts.values())

    def cpu(self) -> dict[str, tuple[str, dict[int, float]]]:
        seen = sorted(self._seen.values(), key=lambda seen: seen.index)
        return {f"generator {one.index + 1}": (one.machine, one.percent) for one in seen}

    def _measured(self) -> Meters:
        whole = Meters()
        for seen in self._seen.values():
            whole.take_in(seen.meters)
        return whole

    def _wait_for(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + messages.ANSWER_SECONDS
        while not done():
            if self._failed or time.monotonic() > deadline:
                raise CannotRehearse(self._failed or f"not all workers {what} within {messages.ANSWER_SECONDS} s")
            gevent.sleep(0.05)

    def _reported(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        if "jiaohao" in data:
            self._progress[client_id] = msgspec.convert(data["jiaohao"], Progress)

    def _asked(self, msg: Any, **_: Any) -> None:
        self._runner.send_message(messages.TELL, {"now_us": self._setting.clock.now_us()}, msg.node_id)

    def _piece(self, msg: Any, **_: Any) -> None:
        pieces = self._pieces.setdefault(msg.node_id, [])
        pieces.append(msg.data["piece"])
        if msg.data["last"]:
            part = self._parts[msg.node_id] = msgspec.msgpack.decode(b"".join(pieces), type=WorkerResult)
            self._seen[msg.node_id] = part.measured

    def _looked(self, msg: Any, **_: Any) -> None:
        self._seen[msg.node_id] = msgspec.convert(msg.data, WorkerMeasurements)

    def _failure(self, msg: Any, **_: Any) -> None:
        self._failed = f"a worker: {msg.data['why']}"
