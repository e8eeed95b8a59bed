"""A browser whose time a test moves; whatever the pages ask meanwhile is answered before it goes on."""

from datetime import datetime, timedelta

from tests.support.browser import Visit
from tests.support.serving import until

STEP_S = 0.5  # as often as the page looks at its clock


class MovedClock:
    """The clock of a visit's pages, which stands still until it is moved.

    Args:
        here: whose browser; before its first page.
        start: where the seconds count from.
        at_s: where it stands at first.
    """

    def __init__(self, here: Visit, start: datetime, at_s: float = 0.0) -> None:
        self.here, self.start, self.at_s = here, start, at_s
        here.context.clock.install(time=self.now() - timedelta(seconds=10))
        here.context.clock.pause_at(self.now())

    def now(self) -> datetime:
        """The time of day."""
        return self.start + timedelta(seconds=self.at_s)

    def go_by(self, seconds: float, step_s: float = STEP_S) -> None:
        """Let time pass; what is asked meanwhile is answered."""
        for _ in range(round(seconds / step_s)):
            self.at_s += step_s
            self.here.context.clock.run_for(round(step_s * 1000))
            until(self._is_idle, "the page is done asking")

    def _is_idle(self) -> bool:
        pages = self.here.context.pages
        idle = "navigator.locks.query().then(({ held, pending }) => held.length + pending.length === 0)"
        # What one tab stores, the others see some milliseconds later. Half a second goes by here in less than that, and
        # a tab that looked meanwhile would ask by what it still knew.
        kept = "JSON.stringify(Object.entries(localStorage).sort())"
        return bool(pages[0].evaluate(idle)) and len({page.evaluate(kept) for page in pages}) == 1
