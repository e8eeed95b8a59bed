"""Which server is the primary: asked when a connection is made, and again once a server is none any more."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.maint_notifications import MaintNotificationsConfig

from server.store.address import Address

NO_PRIMARY = "none of the servers is a primary"
CONNECT_SECONDS = 2.0
# What a Sentinel that is asked may take; the next one is asked then.
_SENTINEL_SECONDS = 1.0
QUIET: dict[str, Any] = {
    "driver_info": None,
    "maint_notifications_config": MaintNotificationsConfig(enabled=False),
}
"""What the client would ask of a server by itself: nothing of it is for us, and all of it is refused to a user that may
do no more than it needs."""


class Greeting(NamedTuple):
    """What a server says of itself to anybody (`HELLO`): no permission is needed for it."""

    server: str
    version: str
    mode: str
    role: str

    @property
    def is_primary(self) -> bool:
        """Whether it takes writes."""
        return self.role == "master"


def greeting(answer: Any) -> Greeting:
    """The answer to `HELLO`, by either protocol."""
    known = answer if isinstance(answer, dict) else dict(zip(answer[::2], answer[1::2], strict=True))
    words = (known.get(name, b"").decode() for name in (b"server", b"version", b"mode", b"role"))
    return Greeting(*words)


class Watchers:
    """The Sentinels that watch over the servers.

    Args:
        address: of them.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._enough = len(address.hosts) // 2 + 1

    async def primary(self) -> tuple[str, int]:
        """(host, port) of the primary, as the first of them says that answers.

        Raises:
            ConnectionError: none answers, or none knows of a primary just now.
        """
        async with self._asked() as watching:
            host, port = await watching.discover_master(self._address.watched_as)
            return host, int(port)

    async def agree_may_take_over(self) -> tuple[set[str], set[str]] | None:
        """The replicas (HOST:PORT) that any of the Sentinels knows, and of those the ones that most cannot reach.

        One that nobody knows, as the primary itself, or that most see down, is not made the primary. None where not
        most of them answer.
        """
        async with self._asked() as watching:
            told = await asyncio.gather(*(self._replicas(each) for each in watching.sentinels))
        views = [view for view in told if view is not None]
        if len(views) < self._enough:
            return None
        down = Counter(name for view in views for name, is_down in view.items() if is_down)
        return {name for view in views for name in view}, {name for name, n in down.items() if n >= self._enough}

    async def _replicas(self, sentinel: Any) -> dict[str, bool] | None:
        """Whether it sees each replica down."""
        try:
            replicas = await sentinel.sentinel_slaves(self._address.watched_as)
        except (RedisError, OSError):
            return None
        return {f"{it['ip']}:{it['port']}": it["is_sdown"] or it["is_odown"] for it in replicas}

    @asynccontextmanager
    async def _asked(self) -> AsyncIterator[Sentinel]:
        """Made anew each time: they are asked rarely, and a connection to them need not be kept."""
        address = self._address
        theirs = {name: value for name, value in address.options.items() if name.startswith("ssl_")}
        theirs |= QUIET | {
            "username": address.sentinel_username,
            "password": address.sentinel_password,
            "ssl": address.tls,
            "socket_timeout": _SENTINEL_SECONDS,
            "socket_connect_timeout": _SENTINEL_SECONDS,
            # without it one that is away would cost four seconds before the next is asked
            "retry": Retry(NoBackoff(), 0),
        }
        watching = Sentinel(list(address.hosts), sentinel_kwargs=theirs)  # type: ignore[no-untyped-call]
        try:
            yield watching
        finally:
            for sentinel in watching.sentinels:
                await sentinel.aclose()


class Primaries:
    """Where the primary may be; one for all connections of a pool.

    Attributes:
        changes: how often a server has turned out to be no primary any more. A connection that was made before the last
            of them may be to that server, and is not used again.

    Args:
        address: of the servers.
        watchers: the Sentinels that know, where there are any.
    """

    def __init__(self, address: Address, watchers: Watchers | None) -> None:
        self._hosts = address.hosts
        self._watchers = watchers
        self.changes = 0

    async def candidates(self) -> tuple[tuple[str, int], ...]:
        """(host, port) of those that may be it, in the order in which to try them.

        Raises:
            ConnectionError: no Sentinel answers, or none knows of a primary just now.
        """
        return self._hosts if self._watchers is None else (await self._watchers.primary(),)


class Seeking(Connection):
    """A connection to whichever server is the primary, found again each time that it is made.

    A name is looked up anew then too, so it may move.

    Args:
        primaries: where to look.
    """

    def __init__(self, *, primaries: Primaries, **options: Any) -> None:
        super().__init__(**options)
        self._primaries = primaries
        self._made_at = 0

    async def connect_check_health(self, check_health: bool = True, retry_socket_connect: bool = True) -> None:
        """Connect to the first of them that is a primary."""
        if self.is_connected:
            return
        self._made_at = self._primaries.changes
        last: RedisError = ConnectionError("no server")
        for host, port in await self._primaries.candidates():
            self.host, self.port = host, port
            try:
                await super().connect_check_health(check_health=False, retry_socket_connect=False)
                await self.send_command("HELLO", check_health=False)
                if greeting(await self.read_response()).is_primary:
                    return
                last = ConnectionError(NO_PRIMARY)
            except (ConnectionError, RedisTimeoutError) as error:
                last = error
            await self.disconnect(nowait=True)
        raise last

    async def can_read(self) -> bool:
        """Whether something waits to be read, which makes the pool connect anew; so does a change of the primary."""
        if self._made_at != self._primaries.changes:
            raise ConnectionError("the primary has changed since")
        return await super().can_read()

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        """An answer; that of a primary which has become a replica makes all of us look for its successor."""
        try:
            return await super().read_response(*args, **kwargs)
        except ReadOnlyError:
            if self._made_at == self._primaries.changes:
                self._primaries.changes += 1
            await self.disconnect(nowait=True)
            raise ConnectionError("this server is no primary any more") from None
