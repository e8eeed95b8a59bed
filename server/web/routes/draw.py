"""What shows that a draw was fair: the leaves of all its entries, and the proof of one's own."""

import datetime as dt
from collections.abc import AsyncIterator
from typing import Annotated, Final

import msgspec
from litestar import get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Parameter
from litestar.response import Response, Stream

from server.core.errors import Refusal
from server.core.keys import MOST_WINDOWS, opening_tag
from server.fairness.draw import BLIND_BYTES
from server.services import Services
from server.web.routes.common import NO_STORE, PROBLEMS, AnyRequest, DistrictCode, bearer_of, services_of

_TYPE: Final = "application/octet-stream"
_FOR_EVER: Final = {"cache-control": "public, max-age=31536000, immutable"}
# Without its date the address is another draw's tomorrow.
_FOR_SECONDS: Final = {"cache-control": "public, max-age=5"}
_ENTRIES_AT_ONCE: Final = 16_384


class ProofView(msgspec.Struct):
    """`GET /ticket/proof`: that an entry was in the draw with this root (RFC 6962, 2.1.1).

    The leaf is the entry in 8 bytes and the blind in 16; `path` are the hashes from it up to the root. All in hex.
    """

    entry: int
    blind: str
    path: list[str]
    root: str
    entries: int


@get(
    "/openings/{district:str}/draw/leaves",
    responses={
        **PROBLEMS,
        200: ResponseSpec(
            bytes, generate_examples=False, media_type=_TYPE, description="16 bytes for each entry, in their order"
        ),
    },
    media_type=_TYPE,
    summary="The blinds of all entries of a draw, once its root is public; for ever the same under its date",
)
async def leaves(
    request: AnyRequest,
    district: DistrictCode,
    date: Annotated[dt.date | None, Parameter(description="Date of the opening; without it, today's")] = None,
    window: Annotated[
        int | None, Parameter(ge=1, le=MOST_WINDOWS, description="Which one of the day's, from 1")
    ] = None,
) -> Stream:
    services = services_of(request)
    if services.city.district(district) is None:
        raise Refusal("not-found")
    opening = services.room.opening(district)
    tag = opening.tag if date is None and window is None else opening_tag(district, date or opening.day, window or 1)
    entries = await services.room.bound_draw(tag)
    headers = _FOR_SECONDS if date is None else _FOR_EVER
    headers = headers | {"content-length": str(entries * BLIND_BYTES)}
    return Stream(_chunks(services, tag, entries), media_type=_TYPE, headers=headers)


async def _chunks(services: Services, tag: str, entries: int) -> AsyncIterator[bytes]:
    for start in range(0, entries, _ENTRIES_AT_ONCE):
        yield await services.room.blinds_from(tag, start, min(_ENTRIES_AT_ONCE, entries - start))


@get("/ticket/proof", security=[{"ticket": []}], responses=PROBLEMS, summary="That a ticket's entry was in the draw")
async def proof(request: AnyRequest) -> Response[ProofView]:
    token, opening = services_of(request).room.read_ticket(bearer_of(request))
    blind, root, found = await services_of(request).room.prove(opening, token.entry, token.resident)
    view = ProofView(found.index, blind.hex(), found.hashes, root, found.leaves)
    return Response(view, headers=NO_STORE)
