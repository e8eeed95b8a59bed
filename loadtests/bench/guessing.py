"""What a guesser gets, and what honest people feel of it: joins at an even pace, by turns with an attack and without.

The attacker has a few connections, the ID numbers and names of some residents, and their phones but for the four digits
that a mask hides. They go through all calls that tell whether papers match, as fast as these answer.
"""

import asyncio
import itertools
import json
import multiprocessing
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPException
from multiprocessing.sharedctypes import Synchronized
from threading import Lock, Thread
from typing import Any, NamedTuple
from urllib.parse import urlencode

import psutil
from rich.console import Console
from rich.table import Table

from loadtests.bench.drive import cpu_seconds
from loadtests.bench.http import DISTRICT, join_request, papers, prepare, server, stage

_LENGTH = b"content-length: "
_HONEST_CONNECTIONS = 64
_CALLS = ("join", "eligibility", "plain join", "plain check", "access-codes", "access-tokens")


class Slice(NamedTuple):
    """A while of honest joins: answers by status, seconds from due time, cores used."""

    statuses: Counter[int]
    seconds: list[float]
    workers_cpu: float
    generator_cpu: float

    def percentile(self, share: float) -> float:
        """Return the milliseconds that this share of the joins took at most."""
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(share * len(self.seconds)))] * 1000


# The attacker, in a process of its own


def _attempt(turn: int, who: int, phone: str) -> tuple[str, str, dict[str, str]]:
    """Return (call, path, fields) of a guess."""
    number, name, _ = papers(who)
    call = _CALLS[turn % len(_CALLS)]
    fields = {"id_type": "resident_id", "id_number": number, "phone": phone}
    if call.startswith("access"):
        return call, f"/api/v1/{call}", fields | ({"code": "123456"} if call == "access-tokens" else {})
    fields["name"] = name
    if call.startswith("plain"):
        return call, f"/plain/{DISTRICT}", fields | ({"what": "check"} if call == "plain check" else {})
    return call, f"/api/v1/openings/{DISTRICT}/{'tickets' if call == 'join' else 'eligibility'}", fields


def _is_found(call: str, status: int, body: bytes) -> bool:
    """Return whether an answer gives away that the papers are right, or more."""
    if call == "access-codes":  # 202 whoever it is
        return False
    if call == "plain check":
        return b'id="eligible"' in body
    return status in ((303,) if call == "plain join" else (200, 201))


def _guess(
    ports: list[int], victims: int, connections: int, go: Any, over: Any, told: Any, found: "Synchronized[int]"
) -> None:
    """Guess whenever `go` is set, until `over` is."""
    everything, turns = _guesses(victims), Lock()
    counts: Counter[tuple[str, int]] = Counter()

    def work(port: int) -> None:
        line = HTTPConnection("127.0.0.1", port, timeout=60)
        while not over.is_set():
            if not go.wait(0.2):
                continue
            with turns:
                call, path, fields = next(everything)
            is_form = call.startswith("plain")
            kind = "application/x-www-form-urlencoded" if is_form else "application/json"
            text = urlencode(fields) if is_form else json.dumps(fields)
            while True:
                try:
                    line.request("POST", path, text, {"content-type": kind})
                    answer = line.getresponse()
                    break
                except (ConnectionError, HTTPException):  # it was idle for a slice, and the server has hung up
                    line.close()
            body = answer.read()
            counts[call, answer.status] += 1
            if _is_found(call, answer.status, body):
                with found.get_lock():
                    found.value += 1

    at_each(ports, connections, work)
    told.put(counts)


def at_each(ports: Sequence[int], connections: int, work: Callable[[int], None]) -> None:
    """Let so many threads work at the ports in turn, each given one of them, and wait until all are done."""
    threads = [Thread(target=work, args=(port,)) for port in itertools.islice(itertools.cycle(ports), connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _guesses(victims: int) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Return every victim in turn, each time by another call, with the next of ten thousand phones in an order of
    theirs."""
    orders = [random.Random(v).sample(range(10_000), 10_000) for v in range(victims)]
    for n in itertools.count():
        for who in range(victims):
            phone = papers(who)[2]
            yield _attempt(n + who, who, f"{phone[:3]}{orders[who][n % 10_000]:04d}{phone[7:]}")


# Honest residents


async def _joins(ports: list[int], people: Iterator[int], per_second: float, seconds: float) -> Slice:
    lines: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for port in itertools.islice(itertools.cycle(ports), _HONEST_CONNECTIONS):
        lines.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    loop = asyncio.get_running_loop()
    statuses: Counter[int] = Counter()
    took: list[float] = []

    async def one(due: float, person: int) -> None:
        line = await lines.get()
        line[1].write(join_request(person))
        head = (await line[0].readuntil(b"\r\n\r\n")).lower()
        at = head.index(_LENGTH) + len(_LENGTH)
        await line[0].readexactly(int(head[at : head.index(b"\r", at)]))
        took.append(loop.time() - due)
        statuses[int(head[9:12])] += 1
        lines.put_nowait(line)

    begins, tasks = loop.time() + 0.05, set[asyncio.Task[None]]()
    for n in range(int(seconds * per_second)):
        due = begins + n / per_second
        await asyncio.sleep(max(0.0, due - loop.time()))
        task = asyncio.create_task(one(due, next(people)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    while not lines.empty():
        lines.get_nowait()[1].close()
    return Slice(statuses, took, 0.0, 0.0)


def measured(
    ports: list[int], processes: list[psutil.Process], people: Iterator[int], per_second: float, seconds: float
) -> Slice:
    """Return a while of honest joins at an even pace, with the CPU of the workers and of the generator."""
    before, own, at = sum(map(cpu_seconds, processes)), time.process_time(), time.monotonic()
    it = asyncio.run(_joins(ports, people, per_second, seconds))
    elapsed = time.monotonic() - at
    return it._replace(
        workers_cpu=(sum(map(cpu_seconds, processes)) - before) / elapsed,
        generator_cpu=(time.process_time() - own) / elapsed,
    )


def run(minutes: float, slice_seconds: float, per_second: float, victims: int, connections: int) -> None:
    """Slices of honest joins by turns with the attack and without, until it has gone on for so long; prints both."""
    pairs = max(1, round(minutes * 60 / slice_seconds))
    residents = victims + int(per_second * slice_seconds) * (2 * pairs + 1)
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        settings, env, _ = stack.enter_context(stage(130))
        asyncio.run(prepare(settings, residents))
        servers = [stack.enter_context(server("jiaohao", env, None)) for _ in range(2)]
        ports = [port for port, _ in servers]
        processes = [process for _, each in servers for process in each]
        go, over, told, found = context.Event(), context.Event(), context.Queue(), context.Value("i", 0)
        attacker = context.Process(target=_guess, args=(ports, victims, connections, go, over, told, found))
        attacker.start()
        people = iter(range(victims, residents))
        measured(ports, processes, people, per_second, slice_seconds)  # warms up
        slices: dict[bool, list[Slice]] = {True: [], False: []}
        cpu = cpu_seconds(psutil.Process(attacker.pid))
        for turn in range(pairs):
            for is_on in (True, False) if turn % 2 else (False, True):
                if is_on:
                    go.set()
                slices[is_on].append(measured(ports, processes, people, per_second, slice_seconds))
                go.clear()
        cpu = (cpu_seconds(psutil.Process(attacker.pid)) - cpu) / (pairs * slice_seconds)
        over.set()
        counts: Counter[tuple[str, int]] = told.get(timeout=60)
        attacker.join(60)
    _report(slices, counts, found.value, cpu, victims)


def _report(
    slices: dict[bool, list[Slice]], counts: Counter[tuple[str, int]], found: int, attacker_cpu: float, victims: int
) -> None:
    table = Table(title="Honest joins beside a guesser of phones", title_justify="left")
    for column in ("", "joins", "p50 ms", "p99 ms", "workers' cores", "generator's core", "statuses"):
        table.add_column(column, justify="left" if column in ("", "statuses") else "right")
    for is_on, name in ((False, "without"), (True, "with the attack")):
        runs = slices[is_on]
        middle = [statistics.median(it.percentile(share) for it in runs) for share in (0.5, 0.99)]
        statuses = sum((it.statuses for it in runs), Counter[int]())
        table.add_row(
            name, f"{statuses.total():,}", *(f"{ms:.1f}" for ms in middle),
            f"{statistics.median(it.workers_cpu for it in runs):.2f}",
            f"{statistics.median(it.generator_cpu for it in runs):.2f}", str(dict(statuses)),
        )  # fmt: skip
    console = Console(width=120)
    console.print(table)
    ratios = sorted(a.percentile(0.99) / b.percentile(0.99) for a, b in zip(slices[True], slices[False], strict=True))
    console.print(
        f"  p99 with / without: {statistics.median(ratios):.2f} × (pairs {ratios[0]:.2f}-{ratios[-1]:.2f}); "
        "goal ≤ 1.2 ×"
    )
    looked_at = sum(n for (call, status), n in counts.items() if status == 403 and not call.startswith("access"))
    console.print(
        f"  {counts.total():,} guesses at {victims} residents, {attacker_cpu:.2f} of a core: {looked_at} looked at, "
        f"{found} found (by chance {looked_at / 10_000:.2f}); goal 0"
    )
    for call in _CALLS:
        told = {status: n for (name, status), n in sorted(counts.items()) if name == call}
        console.print(f"    {call}: {told}")
