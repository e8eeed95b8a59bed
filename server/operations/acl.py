"""What the store's users need: their commands and keys, so that each may do its work and nothing else.

What the scripts do is read off the scripts; what is asked beside them stands in the tables below, which the tests hold
to the code and to a real store.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from server.operations.retention import OPENING_KINDS
from server.store.scripts import LUA_DIR, Script, load_scripts

PASSWORD = "PASSWORD"  # noqa: S105  (to be put in by who reads it)
_CALL = re.compile(r"\bcall\('([A-Z]+)'")


class Grant(NamedTuple):
    """Commands in the ACL's spelling, the kinds of keys that they are for, and what they are needed for."""

    commands: tuple[str, ...]
    kinds: tuple[str, ...]
    why: str


class User(NamedTuple):
    """A user of the store; `reads_only`: kinds of keys that it may read and not write."""

    name: str
    what: str
    grants: tuple[Grant, ...]
    reads_only: tuple[str, ...] = ()

    @property
    def commands(self) -> list[str]:
        """All that it may do."""
        return sorted({command for grant in self.grants for command in grant.commands})

    @property
    def patterns(self) -> list[str]:
        """The keys on which it may."""
        kinds = {kind for grant in self.grants for kind in grant.kinds}
        return [f"{'%R' if kind in self.reads_only else ''}~{kind}:*" for kind in sorted(kinds)]

    def line(self, password: str = PASSWORD) -> str:
        """The command that makes it."""
        return f"ACL SETUSER {self.name} reset on >{password} {self._rights}"

    def rule(self, password_hash: str) -> str:
        """The same as a line of an ACL file, with the hex SHA-256 of its password."""
        return f"user {self.name} on #{password_hash} {self._rights}"

    @property
    def _rights(self) -> str:
        rights = [*self.patterns, "-@all", *(f"+{command}" for command in self.commands)]
        return f"resetkeys resetchannels {' '.join(rights)}"


OPENS = (
    Grant(("get", "set"), ("pepper",), "the pepper that the store was filled under"),
    Grant(("get", "set"), ("format",), "the format in which it is written"),
    Grant(("get",), ("clock",), "the city's clock"),
    Grant(
        ("command", "cluster|slots", "asking"), (), "on a cluster: which node has what, and what is on its way to it"
    ),
)
_WAITS = (
    Grant(("set", "wait"), ("mark",), "with replicas: they have what an answer tells of"),
    Grant(("info", "cluster|nodes"), (), "which replicas there are (not with JIAOHAO_REPLICAS=0, or a number)"),
)
_SERVES = (
    Grant(("set", "time"), ("clock",), "the city's clock: who comes first sets it"),
    Grant(("info",), (), "at the start: versions, memory, replicas of each node"),
    Grant(("set",), ("ping",), "/readyz"),
    Grant(("mget",), ("registry", "stop"), "who may join"),
    Grant(("get", "lrange"), ("history", "no_shows", "stop"), "a resident's history"),
    Grant(("hgetall", "hmget"), ("registration",), "registrations"),
    Grant(("hget", "hgetall", "hexists"), ("roster", "taken", "slots", "closures", "unsettled"), "slots and rosters"),
    Grant(("hget", "hscan"), ("claims",), "who has claimed a place"),
    Grant(("get", "mget"), ("registered",), "who has registered in a day's openings (a cluster is asked one by one)"),
    Grant(("hmget",), ("opening",), "until when somebody may"),
    Grant(("get",), ("promises",), "what was told of the wait, and how it turned out"),
    Grant(("hget", "hset", "hdel", "hgetall"), ("bars", "to_call", "dead"), "whom an operator has to see to"),
    Grant(("hget", "hgetall", "hmget", "hset", "hsetnx"), ("night", "frozen", "through"), "the night"),
    Grant(("hget", "hset", "hdel", "hlen", "hscan"), ("pending",), "who waits from night to night"),
    Grant(("hgetall",), ("lease",), "who runs the night"),
    Grant(("xadd", "exists"), ("codes", "outbox", "owed"), "messages that are owed"),
    Grant(
        ("xgroup|create", "xautoclaim", "xreadgroup", "xack", "xdel", "xlen", "xrange", "zcard", "hlen"),
        ("codes", "outbox", "later", "dead"),
        "the sender, and what waits for it",
    ),
    Grant(("lpush", "ltrim", "pexpire", "lrange", "lpop", "get"), ("answered", "early", "sent"), "delivery receipts"),
    Grant(("hincrby", "pexpire", "hgetall"), ("receipts",), "how many of them match, by the hour"),
    Grant(("hsetnx", "hdel", "hmget", "hlen"), ("opted_out",), "phones that want no messages"),
    Grant(("hgetall", "zcount", "exists"), ("wrong", "locked", "guesses"), "who tries papers that are not theirs"),
    Grant(("hget", "sismember"), ("registration", "past"), "whose number it is"),
    Grant(("hset", "hsetnx", "hgetall", "hlen", "hdel"), ("attendances",), "doses that a desk has told of"),
    Grant(("xadd", "xrange"), ("audit",), "what an operator has decided"),
    Grant(("xadd", "xrevrange"), ("acts",), "what desks and helpers did with residents"),
    Grant(("hget",), ("helped",), "whom a helper helps"),
    Grant(("lrange",), ("log",), "the public log"),
    Grant(("getrange", "exists", "hmget"), ("leaves", "opening"), "the entries of a draw"),
    Grant(("zrem",), ("telling",), "what residents are told of their calls"),
    Grant(("hset", "hgetall"), ("sites", "slots"), "sites, and POST /capacity"),
)
_IMPORTS = (
    Grant(("hset", "hdel", "hgetall"), ("sites", "slots"), "import sites, import capacity"),
    Grant(("get", "mget", "set"), ("registry",), "import registry"),
    Grant(("get", "set"), ("imports",), "what the last import of a kind has brought"),
    Grant(("scan", "dbsize"), (), "--replace: who is not in the file; repair: all keys are looked at"),
    Grant(("hget",), ("pending",), "repair: who waits"),
    Grant(("get",), ("demo", "looking"), "no real registry beside made-up residents"),
)
_KEEPS = (
    Grant(("time",), (), "what time it is in the city"),
    Grant(("scan", "dbsize"), (), "all keys are looked at"),
    Grant(("unlink",), tuple(sorted(OPENING_KINDS)), "openings that are over"),
    Grant(("hmget", "exists"), ("registration",), "registrations that are over"),
    Grant(("lindex", "unlink"), ("history",), "help that came to no registration"),
    Grant(("hget", "hset"), ("opening", "night"), "seeds to be sealed anew"),
    Grant(("get",), ("registry", "stop"), "names and phones to be forgotten or encrypted anew"),
    Grant(("xlen",), ("outbox",), "messages that may need an earlier secret"),
)
_EXAMINES = (
    Grant(("info", "config|get"), (), "versions, durability, memory, replicas"),
    Grant(("cluster|nodes", "cluster|info"), (), "on a cluster: failed nodes, slots without one"),
    Grant(("time",), (), "clocks"),
    Grant(("hget",), ("opening", "night"), "whether the seeds of draws and nights can be opened"),
    Grant(("scan",), (), "whether a registry is there"),
    Grant(("get",), ("demo", "looking"), "whether it is made up"),
    Grant(("hgetall",), ("sites", "to_call", "registration"), "sites, and whom no message could tell"),
    Grant(("hgetall", "hlen"), ("receipts", "opted_out"), "delivery receipts, and phones that want no messages"),
    Grant(("xlen", "xrange", "zcard", "hlen"), ("codes", "outbox", "later", "dead"), "messages that nobody sends"),
)
_COPIES = (Grant(("psync", "replconf", "time"), (), "what a replica is sent when it begins"),)
_KEEPERS_SCRIPTS = ("forget", "drop_record", "replace_record")


def _scripts(names: Iterable[str]) -> Iterator[Grant]:
    scripts = load_scripts()
    yield Grant(("evalsha", "eval"), (), "the scripts")
    yield from (_of_script(scripts[name]) for name in names)


def _of_script(script: Script) -> Grant:
    return Grant(
        tuple(sorted(_called_by((LUA_DIR / f"{script.name}.lua").read_text()))), script.keys, f"{script.name}.lua"
    )


def _called_by(source: str) -> set[str]:
    """The commands that a script calls, itself or by way of the prelude's functions."""
    commands = {found.lower() for found in _CALL.findall(source)}
    for name, body in _prelude().items():
        if re.search(rf"(?<!function )\b{name}\(", source):
            commands |= _called_by(body)
    return commands


@cache
def _prelude() -> dict[str, str]:
    """The prelude's functions: name -> text."""
    parts = re.split(r"^local function (\w+)", (LUA_DIR / "prelude.lua").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def users() -> Sequence[User]:
    """All that a city needs."""
    others = [name for name in load_scripts() if name not in _KEEPERS_SCRIPTS]
    serves = (*OPENS, *_SERVES, *_WAITS, *_scripts(others))
    imports = (*serves, *_IMPORTS, *_scripts(_KEEPERS_SCRIPTS))
    return (
        User("jiaohao", "serve, night, notify, outbox, token; up --no-demo", serves),
        User("jiaohao-import", "import, repair: whoever is not in the file any more is taken out of line", imports),
        User("jiaohao-keeper", "purge, reseal", (*OPENS, *_KEEPS, *_WAITS, *_scripts(_KEEPERS_SCRIPTS)), ("clock",)),
        User("jiaohao-backup", "backup", (*OPENS, *_COPIES), ("format", "pepper", "clock")),
        User("jiaohao-doctor", "doctor", (*OPENS, *_EXAMINES), tuple(
            kind for grant in (*OPENS, *_EXAMINES) for kind in grant.kinds if kind not in ("pepper", "format")
        )),
    )  # fmt: skip
