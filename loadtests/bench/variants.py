"""What the server is compared with: bare RSGI, and the same service written with store calls for each request."""

import asyncio
import contextlib
import hmac
import os
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import msgspec
from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops
from granian.log import LogLevels
from litestar import Litestar, Request, Response, get, post
from litestar.datastructures import State

from server.cli.serving import bound
from server.cli.workers import Workers
from server.core.city import load_city
from server.core.keys import Pepper, key, resident_tag
from server.core.papers import check_id, check_name, check_phone, normalise_id, normalise_name, normalise_phone
from server.core.settings import from_environment
from server.core.tokens import Signer, Token, TokenKind
from server.records.first_dose import FirstDose, FirstDoseRecord
from server.registry.eligibility import judge
from server.registry.registry import Applicant
from server.store.connecting import connect

_JSON = [("content-type", "application/json"), ("cache-control", "no-store")]


def bare_answer() -> Any:
    """Return a constant answer of the size of a poll's."""
    body = (
        b'{"state":"waiting","number":123456,"serving":23456,"ahead":99999,"eta_seconds":1000,'
        b'"poll_after_seconds":555.5,"claim_before":null}'
    )

    async def app(scope: Any, exchange: Any) -> None:
        exchange.response_bytes(200, _JSON, body)

    return app


def bare_echo() -> Any:
    """Reads a body of the size of a join's and sends it back."""

    async def app(scope: Any, exchange: Any) -> None:
        exchange.response_bytes(200, _JSON, await exchange())

    return app


def store_call_per_request() -> Any:
    """Return the same service in the ordinary way: routes, and the store asked at each request (INCR, ZADD, ZRANK).

    It checks the same papers, registry and eligibility and hands out the same
    signed ticket, on the same durable store; it has no draw, caps or calls.
    """
    settings = from_environment()
    city = load_city(settings.city_file)
    pepper, signer = Pepper(settings.pepper), Signer(settings.secrets)

    @contextlib.asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        app.state.redis = await connect(settings.redis_url)
        app.state.turn = asyncio.Semaphore(64)  # the client's pool has a limit
        yield
        await app.state.redis.aclose()

    @post("/api/v1/openings/{district:str}/tickets")
    async def join(request: Request[Any, Any, State], district: str, data: Applicant) -> Response[dict[str, Any]]:
        async with request.app.state.turn:
            return await place(request.app.state.redis, district, data)

    async def place(redis: Any, district: str, data: Applicant) -> Response[dict[str, Any]]:
        number = normalise_id(data.id_type, data.id_number)
        name, phone = normalise_name(data.name), normalise_phone(data.phone)
        if check_id(data.id_type, number) or check_name(name) or check_phone(phone):
            return Response({}, status_code=422)
        resident = pepper.resident(data.id_type, number)
        raw = await redis.get(key("registry", resident_tag(resident)))
        record = msgspec.msgpack.decode(raw, type=FirstDoseRecord)
        if not hmac.compare_digest(record.match, pepper.match(resident, name, phone)):
            return Response({}, status_code=403)
        if await redis.hget(key("registration", resident_tag(resident)), "state"):
            return Response({}, status_code=409)
        day = city.phases[0].starts
        dose = FirstDose(date.fromordinal(record.day), record.product, record.district)
        if not judge(city, day, dose, district).eligible:
            return Response({}, status_code=403)
        member = resident_tag(resident)
        line = f"naive:{{{district}}}"
        entry = await redis.incr(line + ":issued")
        fresh = await redis.zadd(line, {member: entry}, nx=True)
        rank = await redis.zrank(line, member)
        ticket = signer.sign(TokenKind.TICKET, Token(district, day, rank, resident, 2**31))
        answer = {"ticket": ticket, "entry": rank, "number": rank + 1, "serving": 0, "ahead": rank, "state": "waiting"}
        return Response(answer, status_code=201 if fresh else 200)

    @get("/api/v1/ticket")
    async def poll(request: Request[Any, Any, State]) -> dict[str, Any]:
        redis = request.app.state.redis
        await request.app.state.turn.acquire()
        token = signer.read(TokenKind.TICKET, request.headers["authorization"][7:])
        line = f"naive:{{{token.district}}}"
        rank = await redis.zrank(line, resident_tag(token.resident))
        serving = int(await redis.get(line + ":serving") or 0)
        request.app.state.turn.release()
        ahead = (rank or 0) - serving
        return {"state": "waiting", "number": (rank or 0) + 1, "serving": serving, "ahead": ahead,
                "eta_seconds": ahead // 100, "poll_after_seconds": 30, "claim_before": None}  # fmt: skip

    return Litestar([join, poll], lifespan=[lifespan], openapi_config=None, logging_config=None)


def serve(name: str, port: int) -> None:
    """Serve a variant with one worker; `jiaohao` itself as `jiaohao serve` does."""
    if name == "jiaohao":
        settings = from_environment()
        Workers(bound("127.0.0.1", port), 1, settings).serve()
        return
    Granian(
        f"loadtests.bench.variants:{name}", factory=True, address="127.0.0.1", port=port,
        interface=Interfaces.RSGI if name.startswith("bare") else Interfaces.ASGI, loop=Loops.uvloop,
        http=HTTPModes.http1, websockets=False, workers=1, backlog=4096, backpressure=4096,
        log_level=LogLevels.warning,
    ).serve()  # fmt: skip


if __name__ == "__main__":
    import sys

    os.sched_setaffinity(0, {int(sys.argv[3])}) if len(sys.argv) > 3 else None
    serve(sys.argv[1], int(sys.argv[2]))
