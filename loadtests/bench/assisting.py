"""What those who come by themselves feel of the helpers' lane: joins, by turns with helpers beside them and without.

Each of the helpers, with a token of their own, joins for forty residents over the draw's two minutes.
"""

import asyncio
import itertools
import json
import multiprocessing
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from threading import Lock
from typing import Any

import psutil
from rich.console import Console

from loadtests.bench.guessing import Slice, at_each, measured
from loadtests.bench.http import DAY, DISTRICT, OPENS_AT, papers, prepare, server, stage
from server.access.helpers import HelperTokens
from server.core.clock import Clock
from server.core.settings import Settings
from server.core.tokens import Signer

_EACH_IN_SECONDS = 40 / 120  # of a helper, a second
_CONNECTIONS = 8


def _help(ports: list[int], tokens: list[str], first: int, go: Any, over: Any, told: Any) -> None:
    """Join for one resident after the other at the helpers' pace whenever `go` is set, until `over` is."""
    people: Iterator[int] = itertools.count(first)
    turns, counts = Lock(), Counter[int]()
    pause = _CONNECTIONS / (len(tokens) * _EACH_IN_SECONDS)

    def work(port: int) -> None:
        while not over.is_set():
            if not go.wait(0.2):
                continue
            due = time.monotonic() + pause
            with turns:
                who = next(people)
            number, name, phone = papers(who)
            body = {"id_type": "resident_id", "id_number": number, "name": name, "phone": phone, "consent": "self"}
            line = HTTPConnection("127.0.0.1", port, timeout=60)
            head = {"content-type": "application/json", "authorization": f"Bearer {tokens[who % len(tokens)]}"}
            line.request("POST", f"/api/v1/assist/openings/{DISTRICT}/tickets", json.dumps(body), head)
            counts[line.getresponse().status] += 1
            line.close()
            time.sleep(max(0.0, due - time.monotonic()))

    at_each(ports, _CONNECTIONS, work)
    told.put(counts)


def _tokens(settings: Settings, helpers: int) -> list[str]:
    tokens = HelperTokens(Signer(settings.secrets), Clock())
    return [tokens.token(f"street-{n}", DAY, OPENS_AT + 86_400)[0] for n in range(helpers)]


def run(minutes: float, slice_seconds: float, per_second: float, helpers: int) -> None:
    """Slices of joins by turns with the helpers and without, until it has gone on for so long; prints both."""
    pairs = max(1, round(minutes * 60 / slice_seconds / 2))
    alone = int(per_second * slice_seconds) * (2 * pairs + 1)
    helped = int(helpers * _EACH_IN_SECONDS * slice_seconds * pairs) + 200
    context = multiprocessing.get_context("spawn")
    slices: dict[bool, list[Slice]] = {True: [], False: []}
    with ExitStack() as stack:
        settings, env, _ = stack.enter_context(stage(130))
        asyncio.run(prepare(settings, alone + helped))
        servers = [stack.enter_context(server("jiaohao", env, None)) for _ in range(2)]
        ports = [port for port, _ in servers]
        processes: list[psutil.Process] = [process for _, each in servers for process in each]
        go, over, told = context.Event(), context.Event(), context.Queue()
        work = context.Process(target=_help, args=(ports, _tokens(settings, helpers), alone, go, over, told))
        work.start()
        people = iter(range(alone))
        measured(ports, processes, people, per_second, slice_seconds)  # warms up
        for turn in range(pairs):
            for is_on in (True, False) if turn % 2 else (False, True):
                if is_on:
                    go.set()
                slices[is_on].append(measured(ports, processes, people, per_second, slice_seconds))
                go.clear()
        over.set()
        counts: Counter[int] = told.get(timeout=60)
        work.join(60)
    _report(slices, counts, helpers)


def _report(slices: dict[bool, list[Slice]], counts: Counter[int], helpers: int) -> None:
    console = Console(width=120)
    for is_on, name in ((False, "without"), (True, f"beside {helpers} helpers")):
        p50, p99 = (statistics.median(it.percentile(share) for it in slices[is_on]) for share in (0.5, 0.99))
        statuses = sum((it.statuses for it in slices[is_on]), Counter[int]())
        console.print(f"  {name}: {statuses.total():,} joins, p50 {p50:.1f} ms, p99 {p99:.1f} ms, {dict(statuses)}")
    ratios = sorted(a.percentile(0.99) / b.percentile(0.99) for a, b in zip(slices[True], slices[False], strict=True))
    median = statistics.median(ratios)
    console.print(f"  p99 with / without: {median:.2f} × (pairs {ratios[0]:.2f}-{ratios[-1]:.2f}); goal ≤ 1.1 ×")
    console.print(f"  {counts.total():,} residents were helped: {dict(counts)}")
