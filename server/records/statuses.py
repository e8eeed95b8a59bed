"""What the scripts answer with, each a closed set: a status that is not in it is no success.

The words of each script stand beside its record, and are those of the `RETURNS` line of its header, which
`tests/store/test_script_headers.py` sees to. `Connection.read` and `Connection.read_each` are the one way from a
script's answer to one of these.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar, get_args

from server.core.errors import NotUnderstood

S = TypeVar("S")
T = TypeVar("T")

_WORD = re.compile(rb"[a-z_-]{1,40}")


class Statuses(Generic[S]):
    """The closed set of answers of a script.

    Args:
        script: its name.
        known: each answer as the store gives it, and what it is.
        name: of the answer in the script's header, where the script gives more than one.
    """

    def __init__(self, script: str, known: Mapping[bytes | int, S], name: str = "status") -> None:
        self.script = script
        self.known = known
        self.name = name


def known(answers: Sequence[T | NotUnderstood]) -> list[T]:
    """The answers of a batch, all of which were understood.

    Raises:
        NotUnderstood: one was not.
    """
    understood = []
    for answer in answers:
        if isinstance(answer, NotUnderstood):
            raise answer
        understood.append(answer)
    return understood


def shown(answer: object) -> str:
    """An answer as a log may have it: a word or a small number, never data."""
    if isinstance(answer, bytes) and _WORD.fullmatch(answer):
        return answer.decode()
    if isinstance(answer, int) and abs(answer) < 1000:
        return str(answer)
    return f"a value of type {type(answer).__name__}"


def words(script: str, literal: Any, name: str = "status") -> Statuses[Any]:
    return Statuses(script, {word.encode(): word for word in get_args(literal)}, name)


def flag(script: str) -> Statuses[bool]:
    return Statuses(script, {1: True, 0: False})
