"""Where the SMSC is and how to behave towards it: from the environment."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from server.core.errors import SetupError
from server.messages.message_ids import Rule

T = TypeVar("T")

Bind = Literal["auto", "transceiver", "pair"]

_URL = "JIAOHAO_SMPP_URL"
_PASSWORD = "JIAOHAO_SMPP_PASSWORD"  # noqa: S105  (the variable's name)
_PORTS = {"smpp": 2775, "smpps": 3550}
_BINDS: Final[dict[str, Bind]] = {"auto": "auto", "transceiver": "transceiver", "pair": "pair"}
_RULES: Final[dict[str, Rule]] = {"auto": "auto", "same": "same", "decimal": "decimal", "hex": "hex"}
_OPTIONS = {"source", "system_type", "country_code", "ca", "window", "rate", "bind", "receipt_ids"}
# SMPP 3.4, 4.1.5: 16 and 9 octets with the zero at the end.
_LONGEST_SYSTEM_ID = 15
_LONGEST_PASSWORD = 8


class SmppSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach the SMSC.

    `ca_file`: trust only what it has signed, instead of the system's authorities. `source`: the number or name the
    messages come from; empty: the SMSC knows. `country_code`: put before a phone, and the phone is then sent as an
    international number; empty: as a national one. `bind`: as `transceiver`, as a `pair` of transmitter and receiver,
    or `auto`: as a pair where the SMSC takes no transceiver. `receipt_ids`: how its receipts spell a message's id: the
    `same` as its answer, in `decimal` what that had in hexadecimal, in `hex` what it had in decimal, or `auto`.
    `window`: most messages sent and not answered. `rate_per_second`: the cap. `patience_s`: a message not sent by then
    (no connection, throttled) is given back; `answer_timeout_s`: so is one sent and not answered in that time, so no
    `submit` lasts longer than the two together.
    """

    host: str
    port: int
    tls: bool
    system_id: str
    password: str
    ca_file: Path | None = None
    source: str = ""
    system_type: str = ""
    country_code: str = "86"
    bind: Bind = "auto"
    receipt_ids: Rule = "auto"
    window: int = 50
    rate_per_second: float = 200.0
    patience_s: float = 5.0
    answer_timeout_s: float = 10.0
    connect_timeout_s: float = 10.0
    enquire_link_s: float = 30.0
    throttle_hold_s: float = 0.5
    backoff_s: float = 0.5
    longest_backoff_s: float = 60.0

    def __repr__(self) -> str:
        """Without the password."""
        return f"SmppSettings({'smpps' if self.tls else 'smpp'}://{self.system_id}@{self.host}:{self.port})"


def smpp_from_environment(env: Mapping[str, str] = os.environ) -> SmppSettings:
    """Read `JIAOHAO_SMPP_URL` and `JIAOHAO_SMPP_PASSWORD`; neither has a default.

    The URL is `smpps://SYSTEM_ID@HOST:PORT` (`smpp://` without TLS), and may go on with
    `?source=10690000&window=50&rate=200&country_code=86&system_type=...&ca=FILE&bind=pair&receipt_ids=decimal`.

    Raises:
        SetupError: what is missing or wrong, in a sentence.
    """
    for name in (_URL, _PASSWORD):
        if not env.get(name):
            raise SetupError(f"{name} is not set; the SMPP gateway has no default for it (see README, SMS)")
    try:
        url = urlsplit(env[_URL])
        port = url.port
    except ValueError as error:
        raise SetupError(f"{_URL}: {error}") from None
    if url.scheme not in _PORTS or not url.hostname or not url.username:
        raise SetupError(f"{_URL}: expected smpps://SYSTEM_ID@HOST:PORT (or smpp:// without TLS)")
    if url.password is not None:
        raise SetupError(f"{_URL}: the password does not belong in it, but in {_PASSWORD}")
    system_id, password = unquote(url.username), env[_PASSWORD]
    if len(system_id) > _LONGEST_SYSTEM_ID or not system_id.isascii():
        raise SetupError(f"{_URL}: SMPP has room for {_LONGEST_SYSTEM_ID} ASCII characters of system id")
    if len(password) > _LONGEST_PASSWORD or not password.isascii():
        raise SetupError(f"{_PASSWORD}: SMPP has room for {_LONGEST_PASSWORD} ASCII characters")
    options = dict(parse_qsl(url.query, keep_blank_values=True))
    if unknown := options.keys() - _OPTIONS:
        raise SetupError(f"{_URL}: unknown option {sorted(unknown)[0]}")
    source, system_type = options.get("source", ""), options.get("system_type", "")
    if len(source) > 20 or len(system_type) > 12 or not (source + system_type).isascii():
        raise SetupError(f"{_URL}: SMPP has room for 20 ASCII characters of source and 12 of system_type")
    country_code = options.get("country_code", "86")
    if country_code and not (country_code.isascii() and country_code.isdecimal() and len(country_code) <= 3):
        raise SetupError(f"{_URL}: country_code: expected digits, or nothing")
    return SmppSettings(
        host=url.hostname,
        port=port or _PORTS[url.scheme],
        tls=url.scheme == "smpps",
        system_id=system_id,
        password=password,
        ca_file=Path(options["ca"]) if options.get("ca") else None,
        source=source,
        system_type=system_type,
        country_code=country_code,
        bind=_one_of(options, "bind", _BINDS),
        receipt_ids=_one_of(options, "receipt_ids", _RULES),
        window=int(_number(options, "window", "50", 1, 10_000)),
        rate_per_second=_number(options, "rate", "200", 0.1, 100_000),
    )


def _one_of(options: Mapping[str, str], name: str, words: Mapping[str, T]) -> T:
    """One of these words; the first where none is given."""
    given = options.get(name, next(iter(words)))
    if given not in words:
        raise SetupError(f"{_URL}: {name}: expected one of {', '.join(words)}")
    return words[given]


def _number(options: Mapping[str, str], name: str, default: str, least: float, most: float) -> float:
    try:
        value = float(options.get(name, default))
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise SetupError(f"{_URL}: {name}: expected a number from {least:g} to {most:g}")
    return value
