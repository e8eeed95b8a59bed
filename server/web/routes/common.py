"""What the routes share: problems in the schema, the services, who may call."""

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, route
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Parameter

from server.core.errors import Refusal
from server.core.languages import language
from server.services import Services
from server.web.problems import bearer

AnyRequest = Request[Any, Any, State]
DistrictCode = Annotated[str, Parameter(description="Code of a district", max_length=12)]
No = Annotated[str, Parameter(description="Registration number", pattern="^[0-9]{15}$")]
NO_STORE = {"cache-control": "no-store"}
PUBLIC = {"cache-control": "public, max-age=1"}


class Problem(msgspec.Struct, omit_defaults=True):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[dict[str, str]] | None = None


PROBLEMS = {
    status: ResponseSpec(Problem, generate_examples=False, description=words, media_type="application/problem+json")
    for status, words in {
        400: "malformed",
        401: "unauthorized, forged",
        403: "not-eligible, barred, identity-mismatch",
        404: "not-found",
        409: "already-registered, too-late, used",
        410: "expired, ended",
        422: "invalid",
        425: "not-open, not-your-turn",
        429: "too-many-requests",
        503: "paused, maintenance, overloaded, store-unavailable",
    }.items()
}


def again(kind: type[Any]) -> dict[int, ResponseSpec]:
    """The answers of a call that gives 200 where it has been answered before."""
    return {**PROBLEMS, 200: ResponseSpec(kind, generate_examples=False, description="the same one, asked for again")}


def services_of(request: AnyRequest) -> Services:
    """The worker's services."""
    services: Services = request.app.state.services
    return services


def language_of(request: AnyRequest) -> str:
    """The tag of the language that a request asks for."""
    return language(request.headers.get("accept-language", ""), services_of(request).city.default_language)


def bearer_of(request: AnyRequest) -> str:
    """The token of the Authorization header.

    Raises:
        Refusal: `unauthorized`.
    """
    return bearer(request.headers.get("authorization", ""))


async def has_a_body(request: AnyRequest) -> None:
    """Raises Refusal `malformed`: there is none."""
    if not await request.body():
        raise Refusal("malformed")


async def is_operator(request: AnyRequest) -> None:
    """Raises Refusal `unauthorized`, `forged`: this is not the operator."""
    if not services_of(request).staff_tokens.is_operator(bearer_of(request)):
        raise Refusal("forged")


async def is_operator_with_body(request: AnyRequest) -> None:
    """As `is_operator`, before the body is looked at."""
    await is_operator(request)
    await has_a_body(request)


def options_of(handlers: Iterable[HTTPRouteHandler]) -> list[HTTPRouteHandler]:
    """OPTIONS of each path that has several methods: Litestar's own answer names the first of them only."""
    methods: dict[str, list[str]] = {}
    for handler in handlers:
        for path in handler.paths:
            methods.setdefault(path, []).extend(sorted(handler.http_methods))
    return [_options(path, ", ".join([*names, "OPTIONS"])) for path, names in methods.items() if len(names) > 1]


def _options(path: str, allow: str) -> HTTPRouteHandler:
    @route(path, http_method="OPTIONS", status_code=204, include_in_schema=False)
    async def options() -> Response[None]:
        return Response(None, status_code=204, headers={"allow": allow})

    return options
