"""The address of a store, read once and strictly: what is not understood is refused, and no password is ever shown."""

import os
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from server.core.errors import SetupError

_PORT, _SENTINEL_PORT = 6379, 26379
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.%]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?")
_FORM = "redis://[USER:PASSWORD@]HOST[:PORT][,HOST:PORT...][/DB], rediss:// for TLS, or unix:///PATH"
_SENTINEL_FORM = "redis+sentinel://[USER:PASSWORD@]HOST[:PORT][,HOST:PORT...]/NAME[/DB], rediss+sentinel:// for TLS"


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a store is, and how to get in.

    `hosts`: nodes of one cluster, or a primary and who may take over from it; empty for a socket at `path`.
    `watched_as`: then the hosts are Sentinels, and this is their name for the primary; `sentinel_username` and
    `sentinel_password` are for them, all else for the servers. `options`: for the client (TLS, protocol).
    """

    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    tls: bool = False
    username: str | None = None
    password: str | None = None
    db: int = 0
    watched_as: str = ""
    sentinel_username: str | None = None
    sentinel_password: str | None = None
    options: dict[str, Any] = {}

    @property
    def shown(self) -> str:
        """For messages: without user and password."""
        if self.path:
            return f"unix://{self.path}"
        scheme = f"{'rediss' if self.tls else 'redis'}{'+sentinel' if self.watched_as else ''}"
        name = f"/{self.watched_as}" if self.watched_as else ""
        return f"{scheme}://{','.join(name_of(*each) for each in self.hosts)}{name}"


def name_of(host: str, port: int) -> str:
    """A node in words."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def read_address(url: str) -> Address:
    """Read the address of a store.

    Raises:
        SetupError: it is none; it is not repeated, as a password may be in it.
    """
    scheme, separator, rest = url.strip().partition("://")
    server, _, kind = scheme.partition("+")
    if not separator or scheme not in ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel"):
        raise SetupError(f"this is no address of a store: expected {_FORM}, or {_SENTINEL_FORM}")
    rest, _, query = rest.partition("?")
    if "#" in url or "@" in query:
        raise _malformed("special characters of a user or password stand as %XX (python: urllib.parse.quote)")
    user, at, place = rest.rpartition("@")
    name, colon, password = user.partition(":")
    username, secret = (unquote(name) or None, unquote(password) if colon else None) if at else (None, None)
    if scheme == "unix":
        options = _options(query, tls=False, sentinel=False)
        if not place.startswith("/"):
            raise _malformed("a socket is named by its full path, unix:///run/valkey.sock")
        db = options.pop("db", 0)
        return Address(path=unquote(place), username=username, password=secret, db=db, options=options)
    hosts, _, behind = place.partition("/")
    watched_as, database = "", behind
    if kind:
        watched_as, _, database = behind.partition("/")
        if not _NAME.fullmatch(watched_as):
            raise _malformed(
                "behind the slash is the Sentinels' name for the primary, such as mymaster", _SENTINEL_FORM
            )
    found = tuple(_host(each, _SENTINEL_PORT if kind else _PORT) for each in hosts.split(","))
    if not re.fullmatch("[0-9]{0,4}", database):
        raise _malformed("behind the slash is the number of a database")
    tls = server == "rediss"
    options = _options(query, tls=tls, sentinel=bool(kind))
    for_sentinels = {name: options.pop(name, None) for name in _FOR_SENTINELS}
    db = options.pop("db", int(database or 0))
    return Address(
        hosts=found, tls=tls, username=username, password=secret, db=db, watched_as=watched_as, options=options,
        **for_sentinels,
    )  # fmt: skip


def naming_also(url: str, names: Iterable[str]) -> str:
    """An address that names these nodes too (`HOST:PORT`), behind those that it names already."""
    scheme, separator, rest = url.partition("://")
    rest, question, query = rest.partition("?")
    user, at, place = rest.rpartition("@")
    hosts, slash, behind = place.partition("/")
    all_hosts = ",".join(dict.fromkeys([*hosts.split(","), *names]))
    return f"{scheme}{separator}{user}{at}{all_hosts}{slash}{behind}{question}{query}"


def _malformed(why: str, form: str = _FORM) -> SetupError:
    return SetupError(f"the store's address is malformed: expected {form}; {why}")


def _host(text: str, usual_port: int) -> tuple[str, int]:
    found = _HOST.fullmatch(text)
    port = int(found[3] or usual_port) if found else 0
    if found is None or not 0 < port < 65536:
        # nothing is quoted: this may be the end of a password
        raise _malformed("a host is a name or an address, and special characters of a password stand as %XX")
    return found[1] or found[2], port


def _protocol(value: str) -> int:
    if value not in ("2", "3"):
        raise ValueError("2 or 3")
    return int(value)


def _number(value: str) -> int:
    if not re.fullmatch("[0-9]{1,4}", value):
        raise ValueError("the number of a database")
    return int(value)


def _yes_or_no(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError("true or false")
    return value == "true"


def _file(value: str) -> str:
    if not os.access(value, os.R_OK) or os.path.isdir(value):
        raise ValueError("a file that can be read")
    return value


_FOR_SENTINELS: dict[str, Callable[[str], Any]] = {"sentinel_username": str, "sentinel_password": str}
_PARAMETERS: dict[str, Callable[[str], Any]] = {
    "db": _number,
    "protocol": _protocol,
    "ssl_ca_certs": _file,
    "ssl_certfile": _file,
    "ssl_keyfile": _file,
    "ssl_check_hostname": _yes_or_no,
}
"""What may stand behind the question mark, by the client library's own names."""


def _options(query: str, *, tls: bool, sentinel: bool) -> dict[str, Any]:
    options: dict[str, Any] = {}
    known = _PARAMETERS | (_FOR_SENTINELS if sentinel else {})
    for name, value in parse_qsl(query, keep_blank_values=True):
        read = known.get(name)
        if read is None:
            raise SetupError(f"the store's address: ?{name}= is not known; there are {', '.join(known)}")
        if name in options:
            raise SetupError(f"the store's address: ?{name}= stands there twice")
        if name.startswith("ssl_") and not tls:
            raise SetupError(f"the store's address: ?{name}= is for TLS: rediss://")
        try:
            options[name] = read(value)
        except ValueError as expected:
            raise SetupError(f"the store's address: ?{name}=: expected {expected}") from None
    return options
