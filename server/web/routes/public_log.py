"""The public log: its signed head, its entries, and the proofs of what is in it."""

from typing import Annotated, Final

import msgspec
from litestar import MediaType, Response, get
from litestar.params import Parameter

from server.fairness.merkle import Proof
from server.operations.public_log import MOST_ENTRIES
from server.web.routes.common import PROBLEMS, AnyRequest, services_of

_FOR_SECONDS: Final = {"cache-control": "public, max-age=5"}
Size = Annotated[int, Parameter(ge=0, le=1_000_000_000, description="Entries of the log")]


class Growth(msgspec.Struct):
    """`GET /log/growth`: RFC 6962's consistency proof (2.1.2), hashes in hex."""

    first: int
    second: int
    hashes: list[str]


@get("/log/head", responses=PROBLEMS, media_type="text/plain; charset=utf-8", summary="Signed head of the public log")
async def head(request: AnyRequest) -> Response[str]:
    return Response(services_of(request).public_log.head().note, headers=_FOR_SECONDS, media_type=MediaType.TEXT)


@get("/log/key", responses=PROBLEMS, media_type="text/plain; charset=utf-8", summary="What the heads are checked by")
async def key(request: AnyRequest) -> Response[str]:
    return Response(
        services_of(request).public_log.verifier_key + "\n", headers=_FOR_SECONDS, media_type=MediaType.TEXT
    )


@get("/log/entries", responses=PROBLEMS, media_type="application/x-ndjson", summary="Entries, a line each, in order")
async def entries(
    request: AnyRequest, start: Size = 0, count: Annotated[int, Parameter(ge=1, le=MOST_ENTRIES)] = MOST_ENTRIES
) -> Response[bytes]:
    found = await services_of(request).public_log.entries(start, count)
    lines = b"".join(entry + b"\n" for entry in found)
    return Response(lines, headers=_FOR_SECONDS, media_type="application/x-ndjson")


@get("/log/growth", responses=PROBLEMS, summary="That the log with `second` entries begins with that of `first`")
async def growth(request: AnyRequest, first: Size, second: Size) -> Response[Growth]:
    hashes = await services_of(request).public_log.growth(first, second)
    return Response(Growth(first, second, hashes), headers=_FOR_SECONDS)


@get("/log/inclusion", responses=PROBLEMS, summary="That the entry with this index is in the log with so many entries")
async def inclusion(request: AnyRequest, index: Size, size: Size) -> Response[Proof]:
    proof = await services_of(request).public_log.inclusion(index, size)
    return Response(proof, headers=_FOR_SECONDS)
