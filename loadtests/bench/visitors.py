"""New visitors: each opens a connection of their own, asks once, and leaves it open for as long as the server does."""

import gc
import heapq
import multiprocessing
import select
import socket
import ssl
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count

import msgspec
import psutil

from loadtests.bench.drive import cpu_seconds

_LOOPBACKS = 8  # addresses to come from: each has some 28,000 ports
_PATIENCE_SECONDS = 5.0


class Visit(msgspec.Struct):
    """One visitor: the socket, when they were due, what is still to be sent, and what has come."""

    socket: socket.socket
    due: float
    request: bytes
    got: bytes = b""
    connected: bool = False


class VisitorsResult(msgspec.Struct):
    """What visitors felt: answers by status (0: none), seconds from due time, most connections open at once, and the
    cores that worker and generator used."""

    statuses: dict[int, int]
    seconds: list[float]
    most_open: int
    worker_cpu: float
    generator_cpu: float
    rate: float
    proxy_cpu: float = 0.0

    def with_(self, other: "VisitorsResult") -> "VisitorsResult":
        """Return both as one: of two generators that ran at the same time."""
        return VisitorsResult(
            dict(Counter(self.statuses) + Counter(other.statuses)), self.seconds + other.seconds,
            self.most_open + other.most_open, 0.0, self.generator_cpu + other.generator_cpu, self.rate + other.rate,
        )  # fmt: skip

    def percentile(self, share: float) -> float:
        """Return the milliseconds in which this share of all visitors had an answer; infinite for who had none."""
        everyone = sorted(self.seconds) + [float("inf")] * self.statuses.get(0, 0)
        return everyone[min(len(everyone) - 1, int(share * len(everyone)))] * 1000


class Visitors:
    """The generator: one epoll, one socket a visitor.

    Args:
        port: on 127.0.0.1.
        tls: where they come by TLS.
    """

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._port = port
        self._tls = tls
        self._epoll = select.epoll()
        self._open: dict[int, Visit] = {}
        self._turn = count()
        self._unanswered: list[tuple[float, int, int]] = []
        self.statuses: Counter[int] = Counter()
        self.seconds: list[float] = []
        self.most_open = 0

    def run(self, requests: Iterator[bytes], per_second: float, seconds: float) -> None:
        """Let visitors come at an even pace for so long, and wait until each has an answer or no more patience."""
        begins = time.perf_counter() + 0.05
        due = begins
        ends = begins + seconds
        while True:
            now = time.perf_counter()
            while due <= now and due < ends:
                self._arrive(due, next(requests))
                due += 1 / per_second
            self._give_up(now)
            if due >= ends and not self._unanswered:
                break
            wait = max(0.0, due - time.perf_counter()) if due < ends else 0.05
            for fd, events in self._epoll.poll(min(wait, 0.05), 512):
                self._go_on(fd, events)
        self.most_open = max(self.most_open, len(self._open))

    def close(self) -> None:
        """Close what is still open."""
        for visit in self._open.values():
            visit.socket.close()
        self._open.clear()
        self._epoll.close()

    def _arrive(self, due: float, request: bytes) -> None:
        turn = next(self._turn)
        try:
            s = socket.socket()
        except OSError:  # so many wait already that this process has no file left
            self.statuses[0] += 1
            return
        s.setblocking(False)
        s.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: the port is chosen with the address asked
        s.bind((f"127.0.1.{1 + turn % _LOOPBACKS}", 0))
        s.connect_ex(("127.0.0.1", self._port))
        self._open[s.fileno()] = Visit(s, due, request)
        self._epoll.register(s.fileno(), select.EPOLLOUT)
        heapq.heappush(self._unanswered, (due + _PATIENCE_SECONDS, turn, s.fileno()))
        self.most_open = max(self.most_open, len(self._open))

    def _go_on(self, fd: int, events: int) -> None:
        visit = self._open.get(fd)
        if visit is None:
            return
        try:
            if not visit.connected:
                if self._tls is not None:
                    self._shake_hands(self._tls, visit)
                visit.connected = True
                visit.socket.send(visit.request)
                self._epoll.modify(fd, select.EPOLLIN)
                return
            data = visit.socket.recv(16_384)
        except ssl.SSLWantReadError:
            self._epoll.modify(fd, select.EPOLLIN)
            return
        except OSError:
            data = b""
        if not data:
            self._end(fd, visit)
        elif not visit.got:
            visit.got = data
            self.statuses[int(data[9:12])] += 1
            self.seconds.append(time.perf_counter() - visit.due)

    def _shake_hands(self, tls: ssl.SSLContext, visit: Visit) -> None:
        """Raises SSLWantReadError: the other side has not said its part yet."""
        if not isinstance(visit.socket, ssl.SSLSocket):
            visit.socket = tls.wrap_socket(visit.socket, server_hostname="localhost", do_handshake_on_connect=False)
        visit.socket.do_handshake()

    def _end(self, fd: int, visit: Visit) -> None:
        """The server has closed it."""
        if not visit.got:
            self.statuses[0] += 1
        del self._open[fd]
        visit.socket.close()

    def _give_up(self, now: float) -> None:
        """Whoever has no answer for so long leaves; who has one is looked at no more."""
        while self._unanswered:
            until, _, fd = self._unanswered[0]
            visit = self._open.get(fd)
            waits = visit is not None and not visit.got and visit.due + _PATIENCE_SECONDS == until
            if waits and until > now:
                return
            heapq.heappop(self._unanswered)
            if waits and visit is not None:
                self._end(fd, visit)


def visit(
    port: int, requests: Sequence[bytes], per_second: float, seconds: float, worker: psutil.Process,
    tls: ssl.SSLContext | None = None, generators: int = 1,
) -> VisitorsResult:  # fmt: skip
    """Let so many visitors a second come, for so many seconds, from so many processes."""
    context = multiprocessing.get_context("fork")
    told: multiprocessing.Queue[VisitorsResult] = context.Queue()
    before, began = cpu_seconds(worker), time.perf_counter()
    shares = [requests[n::generators] for n in range(generators)]
    processes = [
        context.Process(target=_generate, args=(port, share, per_second / generators, seconds, tls, told))
        for share in shares
    ]
    for process in processes:
        process.start()
    parts = [told.get(timeout=seconds + 60) for _ in processes]
    for process in processes:
        process.join()
    found = parts[0]
    for part in parts[1:]:
        found = found.with_(part)
    found.worker_cpu = (cpu_seconds(worker) - before) / (time.perf_counter() - began)
    return found


def _generate(
    port: int, requests: Sequence[bytes], per_second: float, seconds: float, tls: ssl.SSLContext | None,
    told: "multiprocessing.Queue[VisitorsResult]",
) -> None:  # fmt: skip
    """One generator, in a process of its own."""
    own, began = time.process_time(), time.perf_counter()
    visitors = Visitors(port, tls)
    gc.disable()  # nothing here is in a circle, and it looks at everyone who is there already, again and again
    try:
        visitors.run(iter(requests), per_second, seconds)
        cpu = (time.process_time() - own) / (time.perf_counter() - began)
    finally:
        visitors.close()
    told.put(VisitorsResult(dict(visitors.statuses), visitors.seconds, visitors.most_open, 0.0, cpu, per_second))
