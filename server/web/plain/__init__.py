"""The whole journey in plain forms, for browsers without JavaScript: `/plain`.

What a resident holds (place, pass, receipts) is in cookies that only these pages get; papers are in the bodies of POSTs
only. The pages call the same services as the API, and know no rule of their own.
"""

from pathlib import Path

from litestar import Response, Router, get
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler

from server.core.errors import Refusal
from server.web.plain import alerts, finding, queue, registration, wishes
from server.web.plain.pages import http_error, refused, unexpected
from server.web.routes.common import options_of


def handlers() -> list[ControllerRouterHandler]:
    """The pages, and their style sheet."""
    style = (Path(__file__).parent / "plain.css").read_bytes()

    headers = {
        "content-type": "text/css; charset=utf-8",
        "cache-control": "public, max-age=60",
        "x-content-type-options": "nosniff",
    }

    @get("/plain.css", include_in_schema=False)
    async def plain_css() -> Response[bytes]:
        return Response(style, headers=headers)

    forms = [*queue.HANDLERS, *alerts.HANDLERS, *wishes.HANDLERS, *registration.HANDLERS, *finding.HANDLERS]
    pages = Router(
        "/plain",
        route_handlers=[*options_of(forms), *forms],
        exception_handlers={Refusal: refused, HTTPException: http_error, Exception: unexpected},
        include_in_schema=False,
    )
    return [plain_css, pages]
