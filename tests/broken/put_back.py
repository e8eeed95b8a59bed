"""Faults that there were, put back one by one: each lost what had been acknowledged."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import date
from typing import Any
from unittest.mock import patch

from server.night.store import NightStore
from server.store import scripts
from server.store.cluster import ClusterCalls
from server.store.replicas import Rule


@dataclass(frozen=True)
class PutBack:
    """What is as it was.

    Attributes:
        rule: how many replicas are waited for.
        code: in force while a store is opened and asked.
    """

    rule: Rule = "all"
    code: Callable[[], AbstractContextManager[Any]] = nullcontext


@contextmanager
def _gathered_from_claims_alone() -> Iterator[None]:
    """The night knows nobody but who has claimed a place, as the opening's node tells it."""

    async def nobody(self: NightStore, day: date) -> AsyncIterator[list[tuple[str, bytes]]]:
        yield []

    with patch.object(NightStore, "registered", nobody):
        yield


_KNOWS = "if issued <= o.issued then return end"


@contextmanager
def _counted_by_the_store_alone() -> Iterator[None]:
    """A store that was rolled back is not told how many places had been given."""
    honest = scripts.parse

    def parse(name: str, source: str, prelude: str) -> scripts.Script:
        assert prelude.count(_KNOWS) == 1  # one that was reworded must not let its fault vanish
        return honest(name, source, prelude.replace(_KNOWS, "if true then return end"))

    with patch.object(scripts, "parse", parse):
        scripts.load_scripts.cache_clear()
        try:
            yield
        finally:
            scripts.load_scripts.cache_clear()


@contextmanager
def _redirected_alone() -> Iterator[None]:
    """What is sent on to another node goes there without its WAIT."""
    honest = ClusterCalls._ask

    async def ask(
        self: ClusterCalls, node: Any, mine: Any, commands: Any, answers: list[Any], asking: Any, waits_for: Any
    ) -> None:
        sent_on = any(answers[i] is not None for i in mine)
        await honest(self, node, mine, commands, answers, asking, () if sent_on else waits_for)

    with patch.object(ClusterCalls, "_ask", ask):
        yield


PUT_BACK: Mapping[str, PutBack] = {
    "none": PutBack(),
    "the night gathers from the claims alone": PutBack(code=_gathered_from_claims_alone),
    "an entry is given again after a roll-back": PutBack(code=_counted_by_the_store_alone),
    "one replica of two is enough": PutBack(rule=1),
    "what is sent on to another node waits for no replica": PutBack(code=_redirected_alone),
}
