"""The address of a store, read once and strictly: what is not understood is refused, and no password is ever shown."""

import os
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from server.core.errors import SetupError

_PORT = 6379
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.%]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?")
_FORM = "redis://[USER:PASSWORD@]HOST[:PORT][,HOST:PORT...][/DB], rediss:// for TLS, or unix:///PATH"


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a store is, and how to get in.

    `hosts`: nodes of one cluster, or a primary and who may take over from it; empty for a socket at `path`.
    `options`: for the client (TLS, protocol).
    """

    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    tls: bool = False
    username: str | None = None
    password: str | None = None
    db: int = 0
    options: dict[str, Any] = {}

    @property
    def shown(self) -> str:
        """For messages: without user and password."""
        if self.path:
            return f"unix://{self.path}"
        return f"{'rediss' if self.tls else 'redis'}://{','.join(name_of(*each) for each in self.hosts)}"


def name_of(host: str, port: int) -> str:
    """A node in words."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def read_address(url: str) -> Address:
    """Read the address of a store.

    Raises:
        SetupError: it is none; it is not repeated, as a password may be in it.
    """
    scheme, separator, rest = url.strip().partition("://")
    if scheme.startswith("redis+sentinel") or scheme.startswith("rediss+sentinel"):
        raise SetupError(
            "the store's address: Sentinel is not spoken yet; name the servers themselves, "
            "redis://HOST1:PORT,HOST2:PORT, and the one that is the primary is taken"
        )
    if not separator or scheme not in ("redis", "rediss", "unix"):
        raise SetupError(f"this is no address of a store: expected {_FORM}")
    rest, _, query = rest.partition("?")
    if "#" in url or "@" in query:
        raise _malformed("special characters of a user or password stand as %XX (python: urllib.parse.quote)")
    user, at, place = rest.rpartition("@")
    name, colon, password = user.partition(":")
    username, secret = (unquote(name) or None, unquote(password) if colon else None) if at else (None, None)
    if scheme == "unix":
        options = _options(query, tls=False)
        if not place.startswith("/"):
            raise _malformed("a socket is named by its full path, unix:///run/valkey.sock")
        db = options.pop("db", 0)
        return Address(path=unquote(place), username=username, password=secret, db=db, options=options)
    hosts, _, database = place.partition("/")
    found = tuple(_host(each) for each in hosts.split(","))
    if not re.fullmatch("[0-9]{0,4}", database):
        raise _malformed("behind the slash is the number of a database")
    tls = scheme == "rediss"
    options = _options(query, tls=tls)
    db = options.pop("db", int(database or 0))
    return Address(hosts=found, tls=tls, username=username, password=secret, db=db, options=options)


def _malformed(why: str) -> SetupError:
    return SetupError(f"the store's address is malformed: expected {_FORM}; {why}")


def _host(text: str) -> tuple[str, int]:
    found = _HOST.fullmatch(text)
    port = int(found[3] or _PORT) if found else 0
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


_PARAMETERS: dict[str, Callable[[str], Any]] = {
    "db": _number,
    "protocol": _protocol,
    "ssl_ca_certs": _file,
    "ssl_certfile": _file,
    "ssl_keyfile": _file,
    "ssl_check_hostname": _yes_or_no,
}
"""What may stand behind the question mark, by the client library's own names."""


def _options(query: str, *, tls: bool) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        read = _PARAMETERS.get(name)
        if read is None:
            raise SetupError(f"the store's address: ?{name}= is not known; there are {', '.join(_PARAMETERS)}")
        if name in options:
            raise SetupError(f"the store's address: ?{name}= stands there twice")
        if name.startswith("ssl_") and not tls:
            raise SetupError(f"the store's address: ?{name}= is for TLS: rediss://")
        try:
            options[name] = read(value)
        except ValueError as expected:
            raise SetupError(f"the store's address: ?{name}=: expected {expected}") from None
    return options
