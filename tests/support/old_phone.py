"""A browser without scripts, and what is checked of each page it sees."""

from contextlib import suppress

from playwright.sync_api import Error as PlaywrightError

from tests.support.browser import PHONE, Visits, look
from tests.support.serving import Up, until
from tests.support.steps import sideways

ALIKE = "/plain/as-seen"


class OldPhone:
    """A browser without scripts, and one with them beside it in which axe sees the same pages.

    Args:
        visit: the fixture.
        server: serves.
        options: of the browser: `locale`, `color_scheme`.
    """

    def __init__(self, visit: Visits, server: Up, **options: str) -> None:
        self.server = server
        self.page = visit(server, recorded=False, java_script_enabled=False, **options).open()
        self._beside = visit(server, recorded=False, **options).context.new_page()

    def look(self, name: str) -> None:
        """See `look`; and nothing on the page would run."""
        html = self._content()
        assert "<script" not in html and "onclick" not in html
        self._beside.route(f"**{ALIKE}", lambda route: route.fulfill(body=html, content_type="text/html"))
        self._beside.goto(self.server.url + ALIKE)
        self._beside.unroute(f"**{ALIKE}")
        look(self._beside, name, shown=self.page)
        self._beside.set_viewport_size({"width": 320, "height": 568})
        assert sideways(self._beside) == [], f"{name} at 320 px"
        self._beside.set_viewport_size(PHONE)  # type: ignore[arg-type]

    def _content(self) -> str:
        def content() -> str:
            with suppress(PlaywrightError):  # it is just being refreshed
                return self.page.content()
            return ""

        return str(until(content, "a page at rest"))
