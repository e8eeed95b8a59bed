"""Every setting that comes from the environment, once: its name, its default, and what it is for."""

from typing import Final, Literal, NamedTuple

Kind = Literal["public", "secret", "internal"]


class Variable(NamedTuple):
    """A setting.

    Attributes:
        name: in the environment.
        default: as text; None: there is none, and whoever needs it says so.
        what: what it is for, and what it may be.
        of: the commands that read it.
        kind: `secret`: its value is never shown; `internal`: one command sets it for another, and nobody else does.
    """

    name: str
    default: str | None
    what: str
    of: str
    kind: Kind = "public"


_SERVING = "serve, up"
_ALL = "all that ask the store"

VARIABLES: Final = (
    Variable(
        "JIAOHAO_REDIS_URL",
        None,
        "The store: redis://, rediss://, unix://, redis+sentinel:// (README, Store).",
        _ALL,
        "secret",
    ),
    Variable("JIAOHAO_SECRET", None, "Signs and encrypts: 64 hex digits, the same on every machine.", _ALL, "secret"),
    Variable(
        "JIAOHAO_PREVIOUS_SECRETS",
        "",
        "Earlier ones, with commas between: what they signed is still read.",
        _ALL,
        "secret",
    ),
    Variable(
        "JIAOHAO_PEPPER",
        "the first secret that there was",
        "Residents' keys are made of it: 64 hex digits; never changed.",
        _ALL,
        "secret",
    ),
    Variable(
        "JIAOHAO_OPERATOR_TOKEN", None, "Opens /ops and the operators' calls: 16 characters at least.", _ALL, "secret"
    ),
    Variable("JIAOHAO_CITY", "Guangzhou's", "The city file; `jiaohao city` prints one to begin with.", "all"),
    Variable(
        "JIAOHAO_REPLICAS",
        "all",
        "Replicas that must have what an answer tells of: all that could take over, or 0 to 9.",
        _ALL,
    ),
    Variable("JIAOHAO_RESULTS", "none", "Folder of the nights' result files, which the servers read.", "serve, night"),
    Variable(
        "JIAOHAO_OPERATIONS", "127.0.0.1:9088", "Listener for health, metrics and /ops: HOST:PORT, or off.", _SERVING
    ),
    Variable(
        "JIAOHAO_HEAD_SECONDS",
        "10",
        "Time for a request's head, and for a connection that asks nothing: 0.1 to 600.",
        _SERVING,
    ),
    Variable(
        "JIAOHAO_BODY_SECONDS",
        "10",
        "Time for a request's body, and a second more for each 16 KiB: 0.1 to 600.",
        _SERVING,
    ),
    Variable("JIAOHAO_CONNECTIONS", "8192", "Open connections that a worker holds: 16 to 9999999.", _SERVING),
    Variable(
        "JIAOHAO_KEEP_SECONDS",
        "5",
        "Who is told to come back later than that is let go with the answer: 0.1 to 600.",
        _SERVING,
    ),
    Variable(
        "JIAOHAO_LET_GO",
        "residents",
        "Who is let go: residents, or nobody where all who connect are proxies.",
        _SERVING,
    ),
    Variable(
        "JIAOHAO_SMPP_URL",
        None,
        "The SMSC: smpps://SYSTEM_ID@HOST:PORT?source=...&rate=... (`jiaohao notify --help`).",
        "notify",
    ),
    Variable("JIAOHAO_SMPP_PASSWORD", None, "Its password: at most eight characters, says SMPP.", "notify", "secret"),
    Variable("JIAOHAO_URL", None, "The address that a staff token is for.", "token"),
    Variable("JIAOHAO_SMS_FILE", "none", "Messages go into this file.", "set by up for its workers", "internal"),
    Variable(
        "JIAOHAO_OFFSET_MS", "0", "City time minus this machine's.", "set by serve and up for their workers", "internal"
    ),
    Variable(
        "JIAOHAO_PUBLIC_LISTENER",
        "none",
        "Where the public workers are.",
        "set by serve for the operations' worker",
        "internal",
    ),
)
_BY_NAME: Final = {variable.name: variable for variable in VARIABLES}


def default_of(name: str) -> str:
    """The default of one that has one, as text."""
    default = _BY_NAME[name].default
    if default is None:
        raise KeyError(name)
    return default
