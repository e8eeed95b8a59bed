"""Opens the store: the one place in which a client is made, and says in one line why it cannot be."""

import asyncio
import contextlib
import ssl
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec
from hiredis import pack_command
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    InvalidResponse,
    RedisClusterException,
    RedisError,
)

from server.core.errors import SetupError
from server.records.fields import Arg
from server.store.address import Address, name_of, read_address
from server.store.primaries import CONNECT_SECONDS, NO_PRIMARY, QUIET, Greeting, Primaries, Seeking, Watchers, greeting

Client: TypeAlias = Redis | RedisCluster


class Opened(NamedTuple):
    """A client, and the Sentinels that watch over what it speaks to, where there are any."""

    client: Client
    watchers: Watchers | None


CALL_SECONDS = 5.0
"""How long a call may take."""
CALLS_AT_ONCE = 128
"""Calls of one process at the same time; more wait for their turn, instead of being refused by the client."""
CLIENT_ERRORS = (RedisError, RedisClusterException, OSError, TimeoutError)
"""All that a client raises where a store is away or refuses: a cluster without a node for a slot is no `RedisError`."""
_OLDEST = {"redis": (7, 0), "valkey": (7, 2)}


async def connect(url: str) -> Client:
    """The client of `open_client`."""
    return (await open_client(url)).client


async def open_client(url: str) -> Opened:
    """A client for the store at `redis://`, `rediss://`, `redis+sentinel://` or `unix://` (see `server.store.address`).

    A cluster is recognised by itself; then any of several hosts will do that answers. Else the hosts are candidates,
    or Sentinels that name one, and the first that is a primary is taken, now and whenever a connection is made anew.

    Raises:
        SetupError: why there is no store to work with.
    """
    address = read_address(url)
    watchers = Watchers(address) if address.watched_as else None
    greeted = await (_greeted(address) if watchers is None else _greeted_by(watchers, address))
    if greeted.mode == "cluster":
        return Opened(await _cluster(address), None)
    primaries = None if address.path else Primaries(address, watchers)
    return Opened(Redis.from_pool(ConnectionPool(**_of_server(address, primaries))), watchers)


async def _greeted_by(watchers: Watchers, address: Address) -> Greeting:
    """The greeting of the server that the Sentinels name.

    Raises:
        SetupError: none of them names one, or nobody can work with it.
    """
    try:
        host = await watchers.primary()
    except CLIENT_ERRORS as error:  # of all Sentinels in one: its text names the kind of error of each
        if AuthenticationError.__name__ in str(error):
            raise SetupError(
                f"the Sentinels at {address.shown} do not let us in: their own password is ?sentinel_password="
            ) from None
        raise SetupError(
            f"no Sentinel at {address.shown} knows of a primary of that name: is one of them there, and is it what "
            "`sentinel monitor` says?"
        ) from None
    greeted = await _greeted(msgspec.structs.replace(address, hosts=(host,), watched_as=""))
    if greeted.mode == "cluster":
        raise SetupError(
            f"{address.shown} is a cluster, which needs no Sentinel: name its nodes, redis://HOST:PORT,..."
        )
    return greeted


async def _greeted(address: Address) -> Greeting:
    """The greeting of the first host with which one can work.

    Raises:
        SetupError: none; what is wrong with the last one asked.
    """
    refusal = SetupError("")
    for host in address.hosts or (None,):
        try:
            greeted = await _ask(address, host)
            _check(greeted, address.shown if host is None else name_of(*host), len(address.hosts))
        except SetupError as error:
            refusal = error
            continue
        return greeted
    raise refusal


async def _ask(address: Address, host: tuple[str, int] | None) -> Greeting:
    one = address if host is None else msgspec.structs.replace(address, hosts=(host,))
    client = Redis.from_pool(ConnectionPool(**_of_server(one, None) | {"max_connections": 1}))
    try:
        with _explained(one):
            async with asyncio.timeout(CALL_SECONDS):
                answer = await client.execute_command("HELLO")  # type: ignore[no-untyped-call]
    finally:
        with contextlib.suppress(*CLIENT_ERRORS):
            await client.aclose()
    return greeting(answer)


def _check(greeted: Greeting, place: str, hosts: int) -> None:
    if greeted.mode == "sentinel":
        raise SetupError(f"{place} is a Sentinel: redis+sentinel://{place}/NAME, with its name for the primary")
    version = tuple(int(part) for part in greeted.version.split(".")[:2] if part.isdigit())
    if version < _OLDEST.get(greeted.server, (0, 0)):
        raise SetupError(f"the store at {place} is too old: Redis 7 or Valkey 7.2 at least")
    if greeted.mode != "cluster" and not greeted.is_primary:
        none_is = NO_PRIMARY if hosts > 1 else f"the store at {place} is a read-only replica"
        raise SetupError(f"{none_is}: give its primary's address, or both with a comma")


async def _cluster(address: Address) -> RedisCluster:
    if address.path:
        raise SetupError(f"the store at {address.shown} is a node of a cluster: give its redis:// address, no socket")
    if address.db:
        raise SetupError(f"the store at {address.shown} is a cluster, which has database 0 only")
    common = {"username": address.username, "password": address.password, "ssl": address.tls, **address.options}
    common |= {
        "socket_timeout": CALL_SECONDS,
        "socket_connect_timeout": CONNECT_SECONDS,
        "max_connections": 2 * CALLS_AT_ONCE,
        **QUIET,
    }
    nodes = [ClusterNode(*host) for host in address.hosts]
    cluster = RedisCluster(startup_nodes=nodes, retry=Retry(NoBackoff(), 3), **common)
    try:
        with _explained(address):
            return await cluster.initialize()
    except BaseException:
        await cluster.aclose()
        raise


def _of_server(address: Address, primaries: Primaries | None) -> dict[str, Any]:
    """What a pool of connections is made of: to the one server that is named, or to the primary, wherever it is."""
    if address.path:
        kind: type[AbstractConnection] = UnixDomainSocketConnection
        where: dict[str, Any] = {"path": address.path}
    else:
        kind = SSLConnection if address.tls else Connection
        host, port = address.hosts[0]
        where = {"host": host, "port": port}
    bases: tuple[type, ...] = (_Packing, kind)
    if primaries is not None:
        bases = (_Packing, Seeking, kind)
        where["primaries"] = primaries
    return where | address.options | QUIET | {
        "connection_class": type("StoreConnection", bases, {}),
        "username": address.username,
        "password": address.password,
        "db": address.db,
        # A call as a whole has its time (`Connection`). A timer of redis-py's for each reply, and a task for each thing
        # that is sent, which is how it keeps its own, are a quarter of a registration.
        "socket_timeout": None,
        "socket_connect_timeout": CONNECT_SECONDS,
        "max_connections": 2 * CALLS_AT_ONCE,  # some of them may just be on their way back
        # One more try covers a pooled connection that a restarted store has cut; more would keep residents hanging.
        "retry": Retry(NoBackoff(), 1),
    }  # fmt: skip


class _Packing:
    """A connection whose commands hiredis packs: redis-py's own way takes longer than the store takes to obey them."""

    def pack_commands(self, commands: Iterable[Sequence[Arg]]) -> list[bytes]:
        """All of them, as they go out."""
        return [b"".join([pack_command(tuple(command)) for command in commands])]  # type: ignore[arg-type]

    def pack_command(self, *command: Arg) -> list[bytes]:
        """One of them; its name may be two words."""
        return [pack_command((*str(command[0]).split(), *command[1:]))]  # type: ignore[arg-type]


@contextlib.contextmanager
def _explained(address: Address) -> Iterator[None]:
    """Turns what a client says at the start into one line for the operator."""
    try:
        yield
    except (*CLIENT_ERRORS, ValueError) as error:
        raise SetupError(_why(error, address)) from None


def _why(error: BaseException, address: Address) -> str:
    place, said = address.shown, str(error)
    if isinstance(error, AuthenticationError) or "username-password pair" in said:
        who = f"user {address.username!r} or its password" if address.username else "the password"
        given = who if address.password is not None else "anybody without a password"
        return f"the store at {place} does not let in {given}: see JIAOHAO_REDIS_URL"
    if "CERTIFICATE_VERIFY_FAILED" in said or _caused_by(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate of the store at {place} is not trusted ({_short(said)}): "
            "give its authority with ?ssl_ca_certs=FILE, and an address with the name that it is for"
        )
    if address.tls and (_caused_by(error, ssl.SSLError) or "SSL" in said or "Timeout connecting" in said):
        return f"no TLS with the store at {place} ({_short(said)}): redis:// if it has none; its certificate if it asks"
    if "DB index" in said:
        return f"the store at {place} has no database {address.db}; a cluster has database 0 only"
    if isinstance(error, InvalidResponse):
        return f"what answers at {place} is no Redis or Valkey; where it wants TLS, it is rediss://"
    if isinstance(error, RedisClusterException) and "covered" in said:
        covered = next((word for word in said.split() if word.isdigit()), "not all")
        return (
            f"the cluster at {place} is not whole: {covered} of 16384 slots have a node; "
            "start the missing ones, or see `valkey-cli --cluster check`"
        )
    if isinstance(error, RedisClusterException):
        return f"no cluster answers at {place}: {_short(said)}"
    closed = " (where it wants TLS, it is rediss://)" if "closed" in said or "reset" in said else ""
    return f"no store answers at {place}: {_short(said)}{closed}"


def _caused_by(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False


def _short(said: str) -> str:
    return said.splitlines()[0][:200].rstrip(".") if said else "it said nothing"
