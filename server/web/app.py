"""The application: services, routes, problems and pages in one callable."""

import contextlib
import gc
import os
import re
import signal
from collections.abc import Callable
from typing import Any

import structlog
from litestar import Litestar, Request, Response, Router
from litestar.datastructures import State
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException, ValidationException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, Reference, SecurityScheme

from server import __version__
from server.core import logs
from server.core.errors import Invalid, Refusal
from server.core.settings import PUBLIC_LISTENER, Settings, from_environment
from server.services import Services, running
from server.web import assets, plain, routes
from server.web.bodies import LARGEST_BODY
from server.web.connections import CLOSE, Connections
from server.web.hot import HotCalls
from server.web.incoming import Patience
from server.web.measured import WORD
from server.web.problems import render
from server.web.public_workers import PublicWorkers
from server.web.routes.common import language_of

log = structlog.get_logger()

_BEARERS = {
    "ticket": "a ticket from `POST /openings/{district}/tickets`",
    "pass": "a pass from `POST /passes`",
    "receipt": "a receipt from `POST /registrations`",
    "staff": "a site's token from `jiaohao token staff SITE`",
    "helper": "an organisation's token from `jiaohao token assist ORGANISATION`",
    "operator": "the operator's token",
}


def application(run: Callable[[], contextlib.AbstractAsyncContextManager[Services]], settings: Settings) -> HotCalls:
    """The application: the hot calls in front, Litestar behind.

    Args:
        run: gives the services, running, for as long as the application lives.
        settings: how patient it is, and how many connections it holds.
    """
    # later than half the time that an idle connection has, a resident would find it closed, or be as late as its end
    keep_seconds = min(settings.keep_seconds, settings.head_seconds / 2)
    connections = Connections(settings.connections, keep_seconds, lets_go=settings.lets_go)
    return HotCalls(behind_hot_calls(), run, Patience(settings.body_seconds), connections)


def create_app() -> HotCalls:
    """The application of a worker; granian calls this in each of them."""
    return _create(is_aside=False)


def create_operations_app() -> HotCalls:
    """The application of the worker on the operations' listener: the same one, which also looks at the others."""
    return _create(is_aside=True)


def _create(*, is_aside: bool) -> HotCalls:
    logs.configure()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal's end reaches us all; what to do is for who started us
    settings = from_environment()
    if is_aside:
        # a few connections, all of operators: none is let go, and what it holds is not counted with the crowd's
        connections = Connections(settings.connections, float("inf"), counts=False)
        litestar = behind_hot_calls(PublicWorkers(os.environ[PUBLIC_LISTENER]))
        app = HotCalls(litestar, lambda: running(settings), Patience(settings.body_seconds), connections)
    else:
        app = application(lambda: running(settings), settings)
    # The modules live as long as the worker, and thousands of requests are alive at once: without this the collector
    # walks them again and again, and takes about a tenth of a join.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    return app


def behind_hot_calls(others: PublicWorkers | None = None) -> Litestar:
    """All that is not hot: the other calls, the pages, the descriptions.

    Args:
        others: workers that readiness is asked of too.
    """
    schemes: dict[str, SecurityScheme | Reference] = {
        name: SecurityScheme(type="http", scheme="bearer", description=words) for name, words in _BEARERS.items()
    }
    return Litestar(
        route_handlers=[
            Router("/api/v1", route_handlers=routes.API),
            *routes.PLAIN,
            *assets.handlers(),
            *plain.handlers(),
        ],
        exception_handlers={Refusal: _refused, HTTPException: _http, Exception: _unexpected},
        openapi_config=OpenAPIConfig(
            title="jiaohao 叫号",
            version=__version__,
            path="/schema",
            render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"])],
            components=Components(security_schemes=schemes),
        ),
        request_max_body_size=LARGEST_BODY,
        logging_config=None,
        state=State({"others": others}),
    )


def _problem(request: Request[Any, Any, State], refusal: Refusal, status: int | None = None) -> Response[bytes]:
    request.scope["state"][WORD] = refusal.code
    code, headers, body = render(refusal, language_of(request), status=status)
    plain = {name: value for name, value in headers if name != "content-type"}
    connections: Connections = request.app.state.connections
    if connections.lets_go(refusal.retry_after_seconds, request.headers):
        plain.update([CLOSE])
    return Response(body, status_code=code, headers=plain, media_type="application/problem+json")


def _refused(request: Request[Any, Any, State], refusal: Refusal) -> Response[bytes]:
    return _problem(request, refusal)


def _http(request: Request[Any, Any, State], error: HTTPException) -> Response[bytes]:
    """Litestar's own refusals in the contract's codes."""
    if isinstance(error, ValidationException):
        return _problem(request, Invalid(*_faults(error)))
    if isinstance(error, NotFoundException):
        return _problem(request, Refusal("not-found"))
    response = _problem(request, Refusal("malformed"), 405 if isinstance(error, MethodNotAllowedException) else None)
    for name, value in (error.headers or {}).items():
        response.headers[name.lower()] = value
    if error.status_code >= 500:
        return _unexpected(request, error)
    return response


def _faults(error: ValidationException) -> list[tuple[str, str]]:
    """(field, fault) of the query's and the path's parameters."""
    faults = []
    for each in error.extra if isinstance(error.extra, list) else []:
        out_of_range = re.search("(>=|<=|length)", str(each.get("message", "")))
        faults.append((str(each.get("key") or "body"), "range" if out_of_range else "type"))
    if missing := re.search("Missing required query parameter '(.+?)'", error.detail):
        faults.append((missing[1], "required"))
    return faults or [("body", "type")]


def _unexpected(request: Request[Any, Any, State], error: Exception) -> Response[bytes]:
    log.exception("unexpected", method=request.method, error=type(error).__name__)
    answer = _problem(request, Refusal("overloaded", retry_after_seconds=5))
    request.scope["state"][WORD] = "unexpected"
    return answer
