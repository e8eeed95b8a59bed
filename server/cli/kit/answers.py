"""What differs between one deployment and another, and the secrets that were made for this one."""

import hashlib
import secrets
from datetime import date, time, timedelta
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

import msgspec

from server.core.city import City
from server.core.errors import SetupError

SECRETS: Final = "secrets.json"
_PLACEHOLDER: Final = "MADE-WHEN-WRITTEN"
_NIGHT_DUE: Final = time(6)


class Host(NamedTuple):
    """An address and its port."""

    address: str
    port: int

    @classmethod
    def of(cls, text: str, usual_port: int) -> "Host":
        """Read HOST or HOST:PORT.

        Raises:
            SetupError: it is neither.
        """
        address, colon, port = text.partition(":")
        if not address or (colon and not port.isdigit()) or not address.replace("-", "").replace(".", "").isalnum():
            raise SetupError(f"expected HOST or HOST:PORT, a name or an IPv4 address, and not {text!r}")
        return cls(address, int(port) if colon else usual_port)

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment.

    Attributes:
        city: whose.
        city_text: its file.
        domain: the name that residents know.
        hosts: machines that serve, send and allot.
        stores: machines of the store: one, or three and more with Sentinels; the first is the primary at first.
        workers: on each of the hosts.
        memory: of each store, as Valkey spells it.
        program: where `jiaohao` is installed on the hosts.
        certificate: a PEM file with the chain and the key, where the proxy is.
        image: of the containers.
    """

    city: City
    city_text: str
    domain: str
    hosts: tuple[Host, ...]
    stores: tuple[Host, ...]
    workers: int
    memory: str
    program: str
    certificate: Path
    image: str

    @property
    def replicas(self) -> int:
        """That follow the primary."""
        return len(self.stores) - 1

    @property
    def quorum(self) -> int:
        """So many Sentinels must agree that the primary is gone."""
        return len(self.stores) // 2 + 1

    @property
    def night_due(self) -> timedelta:
        """How long after its beginning a night is late: at six in the morning, city time."""
        day = date(2021, 6, 19)  # any will do
        begins = self.city.night_begins(day)
        days = (day, day + timedelta(days=1))
        return next(due for each in days if (due := self.city.at(each, _NIGHT_DUE)) > begins) - begins


class Passwords:
    """The secrets of a deployment, by what they are for: made once, kept in a file of mode 600.

    Args:
        kept: those of before.
        makes: False where nothing is to be written: then places are shown instead.
    """

    def __init__(self, kept: dict[str, str], *, makes: bool) -> None:
        self.kept = dict(kept)
        self._makes = makes

    def __call__(self, what: str) -> str:
        if not self._makes:
            return self.kept.get(what, _PLACEHOLDER)
        return self.kept.setdefault(what, secrets.token_hex(32))

    def hashed(self, what: str) -> str:
        """As an ACL file has it."""
        return hashlib.sha256(self(what).encode()).hexdigest()


def kept_secrets(folder: Path) -> dict[str, str]:
    """What an earlier run has made there.

    Raises:
        SetupError: the file is damaged.
    """
    try:
        return msgspec.json.decode((folder / SECRETS).read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        return {}
    except msgspec.DecodeError:
        raise SetupError(
            f"{folder / SECRETS} is damaged: restore it; a new one would lock the servers out of their store"
        ) from None


def store_url(answers: Answers, password: Passwords, user: str) -> str:
    """How a user of the store reaches it."""
    who = f"{user}:{quote(password(user), safe='')}"
    if not answers.replicas:
        return f"redis://{who}@{answers.stores[0]}"
    watchers = ",".join(f"{store.address}:{sentinel_port(store)}" for store in answers.stores)
    return f"redis+sentinel://{who}@{watchers}/jiaohao?sentinel_password={quote(password('watchers'), safe='')}"


def sentinel_port(store: Host) -> int:
    """Beside the store's."""
    return store.port + 20_000
