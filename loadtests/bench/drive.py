"""A closed-loop HTTP driver on epoll: light enough that the server under test, not the driver, is the limit."""

import re
import select
import socket
import time
from collections.abc import Iterator

import msgspec
import psutil

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class DriveResult(msgspec.Struct):
    """What one run measured: answers a second, CPU microseconds an answer, and the driver's share of a core."""

    answers: int
    seconds: float
    server_cpu_us: float
    store_cpu_us: float
    driver_cpu: float
    statuses: dict[int, int]

    @property
    def per_second(self) -> float:
        """Return the answers a second."""
        return self.answers / self.seconds


def drive(
    port: int,
    requests: Iterator[bytes],
    *,
    connections: int,
    seconds: float,
    server: list[psutil.Process],
    store: psutil.Process | None = None,
) -> DriveResult:
    """Send prepared requests over keep-alive connections for a while, one at a time on each.

    Args:
        port: on 127.0.0.1.
        requests: whole HTTP/1.1 requests; the run ends when they run out.
        connections: how many at once.
        seconds: for how long.
        server: processes whose CPU time counts as the server's.
        store: the store's process.
    """
    poll = select.epoll()
    sockets: dict[int, socket.socket] = {}
    for _ in range(connections):
        s = socket.create_connection(("127.0.0.1", port))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[s.fileno()] = s
        poll.register(s.fileno(), select.EPOLLIN)
    statuses: dict[int, int] = {}
    parts: dict[int, bytes] = {}
    answers = 0
    before = [cpu_seconds(p) for p in server]
    store_cpu = cpu_seconds(store) if store else 0.0
    own = time.process_time()
    started = time.perf_counter()
    ends = started + seconds
    busy = 0
    for s in sockets.values():
        if (request := next(requests, None)) is not None:
            s.send(request)
            busy += 1
    while busy:
        more = time.perf_counter() < ends
        for fd, _ in poll.poll(1.0):
            s = sockets[fd]
            data = parts.pop(fd, b"") + s.recv(65536)
            if not data:
                raise ConnectionError("the server closed a connection")
            end = data.find(b"\r\n\r\n")
            length = _LENGTH.search(data, 0, end) if end >= 0 else None
            if end < 0 or (length and len(data) < end + 4 + int(length[1])):
                parts[fd] = data
                continue
            answers += 1
            status = int(data[9:12])
            statuses[status] = statuses.get(status, 0) + 1
            request = next(requests, None) if more else None
            if request is None:
                busy -= 1
            else:
                s.send(request)
    elapsed = time.perf_counter() - started
    for s in sockets.values():
        s.close()
    poll.close()
    server_cpu = sum(cpu_seconds(p) for p in server) - sum(before)
    return DriveResult(
        answers=answers,
        seconds=elapsed,
        server_cpu_us=server_cpu / max(answers, 1) * 1e6,
        store_cpu_us=((cpu_seconds(store) - store_cpu) if store else 0.0) / max(answers, 1) * 1e6,
        driver_cpu=(time.process_time() - own) / elapsed,
        statuses=statuses,
    )


def request(method: str, path: str, *, bearer: str = "", body: bytes = b"") -> bytes:
    """Return a whole HTTP/1.1 request, as from a proxy that keeps its connections whatever residents are told."""
    head = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", "via: 1.1 bench"]
    if bearer:
        head.append(f"authorization: Bearer {bearer}")
    if body:
        head += ["content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time that a process has used."""
    times = process.cpu_times()
    return float(times.user + times.system)
