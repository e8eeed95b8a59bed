"""Messages that reached nobody: which of them matter, and how a dead letter is sent after all."""

from collections.abc import Mapping
from typing import Final

from server.store import Store
from server.store.store import DeadLetter

CALLED: Final = frozenset({"allotted", "closed", "reminder", "barred"})
"""Whoever does not get a message of these kinds is called by an operator."""

_FAILED: Final = frozenset({"undelivered", "refused", "unsent"})


def failed(fields: Mapping[str, str]) -> list[tuple[str, str, int]]:
    """(kind, what became of it, when in ms) of a registration's messages that matter and have not arrived."""
    told = [(kind, fields.get(f"sms:{kind}", "").split(" ")) for kind in sorted(CALLED)]
    return [(kind, words[0], int(words[1])) for kind, words in told if words[0] in _FAILED]


async def put_back(store: Store, district: str, pointer: str, letter: DeadLetter) -> None:
    """Let a dead letter's message be sent after all.

    In this order what a crash leaves is still a dead letter, and doing it again finishes the work: a pointer too many
    does no harm.
    """
    await store.unshelve_message(letter.resident, letter.seq)
    await store.point([(district, letter.resident)])
    kept = await store.registration(letter.resident)
    if kept.get("no") == letter.no and all(kind == letter.kind for kind, _, _ in failed(kept)):
        await store.forget_call(district, letter.no)  # it is noted again if it fails again
    await store.bury_no_more(district, pointer)
