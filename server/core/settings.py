"""Settings and secrets of a process, from the environment; a worker gets them from the command that starts it."""

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from server.core.errors import SetupError
from server.core.files import write_whole
from server.core.keys import fingerprint
from server.core.variables import default_of

_LETS_GO = {True: "residents", False: "nobody"}
OF_CONNECTIONS = (
    "JIAOHAO_HEAD_SECONDS", "JIAOHAO_BODY_SECONDS", "JIAOHAO_CONNECTIONS", "JIAOHAO_KEEP_SECONDS", "JIAOHAO_LET_GO",
)  # fmt: skip
"""How long connections are held, and how many."""
PUBLIC_LISTENER = "JIAOHAO_PUBLIC_LISTENER"
"""Where the worker of the operations' listener finds the others, HOST:PORT: the command that serves says it."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker needs to know.

    `secrets`: 32-byte keys, the current one first. `pepper`: 32 bytes from which
    resident keys are derived. `offset_ms`: city time minus wall-clock time.
    `sms_file`: write messages there instead of leaving them to `jiaohao notify`.
    `results_dir`: where the nights' result files are; None where this machine has none.
    `replicas`: how many replicas of the store must have what an answer tells of; all that could become its primary.
    `head_seconds`: how long a request's head may take, and how long a connection may stay without a request.
    `body_seconds`: how long a request's body may take; one second more for each 16 KiB of it that has come.
    `connections`: how many open ones a worker holds; beyond that it says `overloaded`.
    `keep_seconds`: who is told to come back later than that is let go with the answer.
    `lets_go`: False where all who connect are proxies, and each connection serves many residents.
    """

    redis_url: str
    secrets: tuple[bytes, ...]
    pepper: bytes
    operator_token: str
    city_file: Path | None = None
    offset_ms: int = 0
    sms_file: Path | None = None
    results_dir: Path | None = None
    replicas: int | Literal["all"] = "all"
    head_seconds: float = 10.0
    body_seconds: float = 10.0
    connections: int = 8192
    keep_seconds: float = 5.0
    lets_go: bool = True

    def environment(self) -> dict[str, str]:
        """The variables from which `from_environment` makes these settings again."""
        env = {
            "JIAOHAO_REDIS_URL": self.redis_url,
            "JIAOHAO_SECRET": self.secrets[0].hex(),
            "JIAOHAO_PREVIOUS_SECRETS": ",".join(s.hex() for s in self.secrets[1:]),
            "JIAOHAO_PEPPER": self.pepper.hex(),
            "JIAOHAO_OPERATOR_TOKEN": self.operator_token,
            "JIAOHAO_OFFSET_MS": str(self.offset_ms),
            "JIAOHAO_REPLICAS": str(self.replicas),
            "JIAOHAO_HEAD_SECONDS": str(self.head_seconds),
            "JIAOHAO_BODY_SECONDS": str(self.body_seconds),
            "JIAOHAO_CONNECTIONS": str(self.connections),
            "JIAOHAO_KEEP_SECONDS": str(self.keep_seconds),
            "JIAOHAO_LET_GO": _LETS_GO[self.lets_go],
        }
        if self.city_file is not None:
            env["JIAOHAO_CITY"] = str(self.city_file)
        if self.sms_file is not None:
            env["JIAOHAO_SMS_FILE"] = str(self.sms_file)
        if self.results_dir is not None:
            env["JIAOHAO_RESULTS"] = str(self.results_dir)
        return env


def _secret(env: Mapping[str, str], name: str) -> bytes:
    value = env[name]
    if not re.fullmatch(r"[0-9a-fA-F]{64}", value):
        raise SetupError(f"{name}: expected 32 bytes as 64 hex digits (make one: openssl rand -hex 32)")
    return bytes.fromhex(value)


def _offset_ms(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise SetupError("JIAOHAO_OFFSET_MS: expected a whole number of milliseconds") from None


def _replicas(value: str) -> int | Literal["all"]:
    if value == "all":
        return "all"
    if not re.fullmatch("[0-9]", value):
        raise SetupError("JIAOHAO_REPLICAS: expected which replicas must have what an answer tells of: all, or 0 to 9")
    return int(value)


def _value(env: Mapping[str, str], name: str) -> str:
    return env.get(name) or default_of(name)


def _patience(env: Mapping[str, str], name: str) -> float:
    value = _value(env, name)
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?", value) or not 0.1 <= float(value) <= 600:
        raise SetupError(f"{name}: expected how many seconds a part of a request may take, 0.1 to 600")
    return float(value)


def _connections(value: str) -> int:
    if not re.fullmatch("[0-9]{2,7}", value) or int(value) < 16:
        raise SetupError("JIAOHAO_CONNECTIONS: expected how many open connections a worker holds, 16 to 9999999")
    return int(value)


def _lets_go(value: str) -> bool:
    if value not in _LETS_GO.values():
        raise SetupError(
            "JIAOHAO_LET_GO: expected `residents` (by default; who asks through a proxy is kept), "
            "or `nobody` where all who connect are proxies"
        )
    return value == _LETS_GO[True]


def from_environment(env: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Raises:
        SetupError: a secret is missing or malformed. There is no default for any of them.
    """
    for name in ("JIAOHAO_REDIS_URL", "JIAOHAO_SECRET", "JIAOHAO_OPERATOR_TOKEN"):
        if not env.get(name):
            raise SetupError(f"{name} is not set; outside `jiaohao up` it has no default (see README, Secrets)")
    if len(env["JIAOHAO_OPERATOR_TOKEN"]) < 16:
        raise SetupError("JIAOHAO_OPERATOR_TOKEN: expected at least 16 characters")
    earlier = env.get("JIAOHAO_PREVIOUS_SECRETS", "")
    signing = [_secret(env, "JIAOHAO_SECRET")]
    signing += [
        _secret({"JIAOHAO_PREVIOUS_SECRETS": s.strip()}, "JIAOHAO_PREVIOUS_SECRETS")
        for s in earlier.split(",")
        if s.strip()
    ]
    if len({fingerprint(secret) for secret in signing}) < len(set(signing)):
        # A token names its key with one byte: one in 256 pairs of secrets cannot be told apart.
        raise SetupError("JIAOHAO_SECRET has the key id of an earlier secret: make another one (openssl rand -hex 32)")
    return Settings(
        redis_url=env["JIAOHAO_REDIS_URL"],
        secrets=tuple(signing),
        pepper=_secret(env, "JIAOHAO_PEPPER") if env.get("JIAOHAO_PEPPER") else signing[-1],
        operator_token=env["JIAOHAO_OPERATOR_TOKEN"],
        city_file=Path(env["JIAOHAO_CITY"]) if env.get("JIAOHAO_CITY") else None,
        sms_file=Path(env["JIAOHAO_SMS_FILE"]) if env.get("JIAOHAO_SMS_FILE") else None,
        results_dir=Path(env["JIAOHAO_RESULTS"]) if env.get("JIAOHAO_RESULTS") else None,
        offset_ms=_offset_ms(_value(env, "JIAOHAO_OFFSET_MS")),
        replicas=_replicas(_value(env, "JIAOHAO_REPLICAS")),
        head_seconds=_patience(env, "JIAOHAO_HEAD_SECONDS"),
        body_seconds=_patience(env, "JIAOHAO_BODY_SECONDS"),
        connections=_connections(_value(env, "JIAOHAO_CONNECTIONS")),
        keep_seconds=_patience(env, "JIAOHAO_KEEP_SECONDS"),
        lets_go=_lets_go(_value(env, "JIAOHAO_LET_GO")),
    )


def local_secrets(data_dir: Path, env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Secrets for `jiaohao up`: the environment's, else made once and kept in the data dir with mode 600."""
    file = data_dir / "secrets.json"
    try:
        kept: dict[str, str] = msgspec.json.decode(file.read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        kept = {}
    except msgspec.DecodeError:
        raise SetupError(f"{file} is damaged: restore it, or delete it together with the data it belongs to") from None
    made = {
        "JIAOHAO_SECRET": kept.get("JIAOHAO_SECRET") or secrets.token_hex(32),
        "JIAOHAO_OPERATOR_TOKEN": kept.get("JIAOHAO_OPERATOR_TOKEN") or secrets.token_urlsafe(24),
    }
    if made != kept:
        data_dir.mkdir(parents=True, exist_ok=True)
        write_whole(file, msgspec.json.encode(made), 0o600)
    names = (*made, "JIAOHAO_PREVIOUS_SECRETS", "JIAOHAO_PEPPER")
    return made | {name: env[name] for name in names if env.get(name)}
