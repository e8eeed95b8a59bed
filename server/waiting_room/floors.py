"""What a worker was told of an opening, and what no roll-back may make untold (`lua/README.md`)."""

from collections.abc import Sequence

import structlog

from server.core.errors import UnknownStatus
from server.records.opening import Joined, OpeningRecord, Told

log = structlog.get_logger()


class Floors:
    """How far the store has told that an opening had come, at its furthest; and whose places it may have forgotten.

    Attributes:
        told: what is said to the store with each call.
        gaps: entries that a roll-back has made nobody's, until their holders show their tickets.

    Args:
        tag: of the opening, for the log.
    """

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self.told = Told()
        self.gaps: tuple[range, ...] = ()
        self._gaps_kept = ""
        self._shown: set[int] = set()

    def follow(self, kept: OpeningRecord) -> None:
        """What `advance` has told."""
        issued, drawn, serving, claimed = self.told
        self.told = Told(
            max(issued, kept.issued),
            drawn if kept.drawn is None else kept.drawn,
            max(serving, kept.serving),
            max(claimed, kept.claimed),
        )
        if kept.gaps != self._gaps_kept:
            self.gaps, self._gaps_kept = kept.gap_entries, kept.gaps
            log.error("places forgotten", opening=self._tag, gaps=kept.gaps.strip(), rollbacks=kept.rollbacks)

    def follow_joins(self, joined: Sequence[Joined | UnknownStatus]) -> None:
        """What `join` has told: of those who are new the last has the highest entry."""
        for each in reversed(joined):
            if isinstance(each, Joined) and each.entry is not None and each.fresh:
                self.reach(issued=each.entry + 1, serving=each.serving)
                return

    def reach(self, *, issued: int = 0, serving: int = 0, claimed: int = 0) -> None:
        """So many places have been given, called, claimed."""
        it = self.told
        self.told = Told(max(it.issued, issued), it.drawn, max(it.serving, serving), max(it.claimed, claimed))

    def shown(self, entry: int) -> None:
        """The store knows who has this entry."""
        self._shown.add(entry)

    @property
    def forgotten(self) -> int:
        """How many places roll-backs have made the store forget, whether or not their tickets have been shown since."""
        return sum(map(len, self.gaps))

    def is_unsure(self, entry: int) -> bool:
        """Whether the store may not know who has this entry: it is in a gap, or beyond all that was given."""
        if entry in self._shown:
            return False
        return entry >= self.told.issued or any(entry in gap for gap in self.gaps)
