"""A store one of whose scripts answers with what nobody knows, and the calls and work that come upon it."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from server.records.fields import Arg
from tests.support.stores import Store

WORD = b"surprise"
_LATER_MS = 1 << 52

Answer: TypeAlias = Callable[[Sequence[Any]], Any]


def _just(*answer: Any) -> Answer:
    return lambda _: list(answer)


def _joined(args: Sequence[Any]) -> list[Any]:
    return [WORD, -1, 0, *(2 * entry + 1 for entry in range(len(args[2]) // 16))]


def _papers(args: Sequence[Any]) -> list[Any]:
    """Nothing is known of anybody, and a number says of each whether their papers match that has no meaning."""
    return [None, None, 0] * len(args[8:])


# As the script would answer a success, but for its status; for all others a word, or for a batch of places one each.
ANSWERS: dict[str, Answer] = {
    "join": _joined,
    "check_papers": _papers,
    "rejoin": _just(WORD, 0),
    "close_draw": _just(WORD, 1, 0),
    "bind_draw": _just(WORD, b""),
    "claim": lambda args: [b"ok", 0, *(WORD, _LATER_MS) * (len(args[2:]) // 3)],
    "standing": lambda args: [b"ok", *(WORD, _LATER_MS) * (len(args[2:]) // 3)],
    "release": lambda args: [WORD] * (len(args) // 3),
    "register": lambda args: [WORD, args[0], str(args[3]).encode(), 0],
    "attend": _just(WORD, 1, 0),
    "assist": _just(WORD, 0),
    "miss": _just(WORD, 1),
    "take": _just(WORD, 1),
    "reconcile_attendance": lambda args: [WORD, args[0], str(args[2]).encode(), 0],
    "close_site": _just(WORD),
    "lease": _just(WORD, 1, b"process 1 on nowhere", 1, _LATER_MS),
    "enter_night": _just(WORD),
    "admit": _just(WORD, 0),
    "receipt": _just(WORD, b"undelivered", b"accepted"),
    "next_message": _just(WORD, 1, b"", 1),
}


class Stub:
    """Answers in the place of one script, which is not run; the others are.

    Args:
        store: whose script.
        script: its name.
        answer: to a call with these arguments; None = as `ANSWERS` says.
    """

    def __init__(self, store: Store, script: str, answer: Answer | None = None) -> None:
        self._store = store
        self._real = store.run_each
        self._script = script
        self._answer = answer or ANSWERS.get(script, lambda _: WORD)
        self.batches: list[int] = []
        setattr(store, "run_each", self.run_each)  # noqa: B010

    async def run_each(self, name: str, calls: Sequence[tuple[Any, Sequence[Arg]]], **how: Any) -> list[Any]:
        if name != self._script:
            return await self._real(name, calls, **how)
        self.batches.append(len(calls))
        answers = []
        for tag, args in calls:
            answer = self._answer(args)
            answers += [answer] if answer is not None else await self._real(name, [(tag, args)], **how)
        return answers

    def off(self) -> None:
        """From now on the script is run."""
        setattr(self._store, "run_each", self._real)  # noqa: B010
