"""A pass for services that are not ours, and the keys by which they check it."""

from datetime import datetime
from typing import Final

import msgspec
from litestar import Response, get, post

from server.core.clock import from_ms
from server.core.errors import Refusal
from server.web.routes.common import NO_STORE, PROBLEMS, AnyRequest, bearer_of, services_of

_FOR_AN_HOUR: Final = {"cache-control": "public, max-age=3600"}


class PassToken(msgspec.Struct):
    """`POST /passes/token`: a JWT, and until when it is good."""

    token: str
    expires_at: datetime


class PublicKey(msgspec.Struct):
    """A key of RFC 8037."""

    kty: str
    crv: str
    use: str
    kid: str
    x: str


class KeySet(msgspec.Struct):
    """`GET /.well-known/jwks.json` (RFC 7517), the key that signs first."""

    keys: list[PublicKey]


@post(
    "/passes/token",
    status_code=200,
    responses=PROBLEMS,
    security=[{"pass": []}],
    summary="The pass as a JWT that other services check by themselves",
)
async def token(request: AnyRequest) -> Response[PassToken]:
    services = services_of(request)
    now_ms = services.clock.now_ms()
    pass_, _ = services.room.read_pass(bearer_of(request))
    if pass_.expires_s * 1000 <= now_ms:
        raise Refusal("expired")
    made = services.pass_tokens.token(pass_, now_ms // 1000)
    view = PassToken(made, from_ms(pass_.expires_s * 1000, services.city.tz))
    return Response(view, headers=NO_STORE)


@get("/.well-known/jwks.json", responses=PROBLEMS, summary="The keys by which a pass's JWT is checked")
async def keys(request: AnyRequest) -> Response[KeySet]:
    found = [PublicKey(**key) for key in services_of(request).pass_tokens.key_set()]
    return Response(KeySet(found), headers=_FOR_AN_HOUR)
