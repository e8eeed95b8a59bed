"""A Locust worker's side of a run with several generators."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import gevent
import msgspec
from gevent.event import AsyncResult

from loadtests.generator import messages
from loadtests.generator.load_generator import LoadGenerator
from loadtests.generator.messages import StartOrder, WorkerMeasurements, WorkerResult
from loadtests.generator.own_cpu import OwnCpu
from loadtests.run.clock import RunClock
from loadtests.run.generators import ArrivalBatch
from loadtests.run.options import CannotRehearse, crowd_of
from loadtests.run.setting import find_setting

if TYPE_CHECKING:
    from locust.runners import WorkerRunner

_CLOCK_LOOKS = 20
_PIECE_BYTES = 4_000_000


class GeneratorWorker:
    """A Locust worker as one of several load generators: it does as the master's run says.

    Args:
        runner: of the worker.
    """

    def __init__(self, runner: WorkerRunner) -> None:
        self._runner = runner
        self._generator: LoadGenerator | None = None
        self._busy: OwnCpu | None = None
        self._clock_doubt_us = 0
        self._answer: AsyncResult[int] = AsyncResult()
        for name, listener in (
            (messages.BEGIN, self._begin),
            (messages.TELL, self._told),
            (messages.ARRIVE, self._arrive),
            (messages.LOOK, self._look),
            (messages.END, self._end),
        ):
            runner.register_message(name, listener, concurrent=True)
        runner.environment.events.report_to_master.add_listener(self._report)  # type: ignore[no-untyped-call]

    def _report(self, data: dict[str, Any], **_: Any) -> None:
        """Say how far it is whenever Locust reports its statistics, every few seconds."""
        if self._generator is not None:
            data["jiaohao"] = messages.plain(
                self._generator.meters.progress(self._generator.clock.now_us() // 1_000_000)
            )

    def _begin(self, msg: Any, **_: Any) -> None:
        self._generator = None
        self._stop_watching()  # of an earlier run that did not come to its end
        try:
            order = msgspec.convert(msg.data, StartOrder)
            crowd = crowd_of(order.options)
            setting = find_setting(order.host, crowd.districts, order.origin_s)
            self._set(setting.clock)
            self._generator = LoadGenerator(order.options, crowd, setting, self._runner.environment, order.share)
            self._busy = OwnCpu(setting.clock)
            self._generator.begin(everyone=order.everyone)
        except (CannotRehearse, ValueError) as reason:
            self._runner.send_message(messages.FAILED, {"why": str(reason)})

    def _set(self, clock: RunClock) -> None:
        """Set a clock by the master's: by the quickest of some answers, which bounds the doubt by half its time."""
        quickest, forward = None, 0
        for _ in range(_CLOCK_LOOKS):
            asked_us = clock.now_us()
            self._answer = AsyncResult()
            self._runner.send_message(messages.ASK)
            try:
                told_us = self._answer.get(timeout=messages.ANSWER_SECONDS)
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
        while self._generator is None:  # still making ready
            gevent.sleep(0.1)
        self._generator.arrive(msgspec.convert(msg.data, ArrivalBatch))

    def _look(self, **_: Any) -> None:
        if self._generator is not None:
            self._runner.send_message(messages.SEEN, messages.plain(self._seen(self._generator)))

    def _end(self, **_: Any) -> None:
        if self._generator is None:
            return
        generator = self._generator
        generator.end()
        observations = generator.journey.observations.encoded(generator.share.index, generator.share.of)
        part = msgspec.msgpack.encode(
            WorkerResult(self._seen(generator), observations, generator.unserved, self._clock_doubt_us)
        )
        self._stop_watching()
        for at in range(0, len(part), _PIECE_BYTES):
            piece = part[at : at + _PIECE_BYTES]
            self._runner.send_message(messages.PIECE, {"piece": piece, "last": at + _PIECE_BYTES >= len(part)})
            gevent.sleep(0)

    def _seen(self, generator: LoadGenerator) -> WorkerMeasurements:
        percent = self._busy.percent if self._busy is not None else {}
        return WorkerMeasurements(generator.share.index, generator.meters.encoded(), socket.gethostname(), percent)

    def _stop_watching(self) -> None:
        if self._busy is not None:
            self._busy.stop()
            self._busy = None
