"""Which of the residents, and bots, a generator plays."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CrowdShare:
    """Which residents and bots a generator plays: every `of`-th from `index` on; all shares together are all, once."""

    index: int = 0
    of: int = 1

    def of_all(self, count: int) -> range:
        """Return those of `count` that are in this share."""
        return range(self.index, count, self.of)

    def nearest(self, i: int, count: int) -> int:
        """Return one in this share, for any of `count`."""
        i += self.index - i % self.of
        return i if i < count else i - self.of


EVERYONE = CrowdShare()
