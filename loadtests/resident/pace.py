"""How long people take."""

from __future__ import annotations

from dataclasses import dataclass

from loadtests.crowd.profile import CrowdProfile, Range


@dataclass(frozen=True)
class Pace:
    """How long people take, in seconds (uniform between two bounds); short runs are lived faster, by `haste`."""

    think: Range
    fill_form: Range
    forget: Range
    give_up: Range
    refresh: Range
    reconsider: Range
    haste: float = 1.0

    @classmethod
    def of(cls, run_seconds: float, profile: CrowdProfile) -> Pace:
        """Return a pace that lets a run of `run_seconds` see whole journeys: in ten minutes that of the crowd's
        file."""
        haste = min(1.0, run_seconds / 600)

        def hurried(stated: Range, shortest: Range = (0.0, 0.0)) -> Range:
            low, high = (
                max(min(least, seconds), seconds * haste) for seconds, least in zip(stated, shortest, strict=True)
            )
            return low, high

        pace, impatience = profile.pace, profile.impatience
        return cls(
            think=hurried(pace.think, (1.0, 2.0)),
            fill_form=hurried(pace.fill_form, (1.0, 3.0)),
            forget=hurried(pace.forget),
            give_up=hurried(impatience.gives_up_after),
            refresh=hurried(impatience.refreshes_every),
            reconsider=hurried(pace.reconsider, (1.0, 3.0)),
            haste=haste,
        )

    def describe(self) -> str:
        """Return the pace in a sentence, for the report."""
        words = (
            "from call to claim", "for the form", "forgetting the page", "before giving up",
            "before refreshing", "from registering to second thoughts",
        )  # fmt: skip
        bounds = (self.think, self.fill_form, self.forget, self.give_up, self.refresh, self.reconsider)
        return ", ".join(f"{low:g}-{high:g} s {word}" for word, (low, high) in zip(words, bounds, strict=True))
