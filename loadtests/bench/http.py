"""A resident's calls over HTTP, against bare RSGI and against the same service with a store call for each request."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import psutil
from stdnum.iso7064 import mod_11_2

from loadtests.bench.drive import request
from loadtests.run.ports import free_ports
from server.core.city import load_city
from server.core.encryption import Cipher, Contact
from server.core.keys import Pepper, opening_tag, registration_no
from server.core.settings import Settings, from_environment, local_secrets
from server.core.tokens import Signer, Token, TokenKind
from server.operations.demo import add_demo
from server.records.first_dose import FirstDoseRecord
from server.records.opening import Place
from server.records.statuses import known
from server.registry.store import RegistryStore
from server.store.connecting import connect
from server.store.connection import Connection
from server.store.embedded import EmbeddedStore
from server.waiting_room.store import OpeningStore

DISTRICT = "440106"
DAY = date(2021, 6, 19)
OPENS_AT = 1624060800  # 2021-06-19T08:00:00+08:00
_TAG = opening_tag(DISTRICT, DAY)
_DISTRICT_NO = 1  # of DISTRICT, in a registration number
_RATE = 100.0
_WAITING = 40_000  # so many that the second half of them is not called while a bench runs


@contextlib.contextmanager
def server(name: str, env: dict[str, str], core: int | None) -> Iterator[tuple[int, list[psutil.Process]]]:
    """Return a server of one worker in a process of its own: (port, its processes)."""
    (port,) = free_ports(1)
    arguments = [sys.executable, "-m", "loadtests.bench.variants", name, str(port)]
    process = subprocess.Popen(arguments + ([str(core)] if core is not None else []), env={**os.environ, **env})
    try:
        deadline = time.monotonic() + 30
        while True:
            if _answers(port):
                break
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError(f"{name} did not start")
            time.sleep(0.05)
        main = psutil.Process(process.pid)
        yield port, [main, *main.children(recursive=True)]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _answers(port: int) -> bool:
    """Say whether there is a worker behind the socket; some server listens before it has one."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as line:
        line.settimeout(1)
        line.sendall(b"GET /healthz HTTP/1.1\r\nhost: bench\r\n\r\n")
        return line.recv(1) != b""
    return False


@contextlib.contextmanager
def stage(seconds_after_opening: int) -> Iterator[tuple[Settings, dict[str, str], psutil.Process]]:
    """Return a durable store, settings with the city's clock this long after 08:00, and their environment."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedStore(Path(folder)) as store:
        secrets = local_secrets(Path(folder), {})
        offset_ms = round((OPENS_AT + seconds_after_opening - time.time()) * 1000)
        settings = from_environment(secrets | {"JIAOHAO_REDIS_URL": store.url, "JIAOHAO_OFFSET_MS": str(offset_ms)})
        yield settings, settings.environment(), psutil.Process(int((Path(folder) / "store.pid").read_text()))


def keep_off_the_first_core(store: psutil.Process) -> None:
    """Keep this process and the store on the other cores, where there are any: the first one is the server's."""
    others = set(range(1, os.cpu_count() or 1))
    if others:
        os.sched_setaffinity(0, others)
        os.sched_setaffinity(store.pid, others)


def papers(index: int) -> tuple[str, str, str]:
    """Return (ID number, name, phone) of a made-up resident; a name as most are, three Han characters."""
    year, month, day = 50 + index // 280_000, 1 + index // 28_000 % 10, 1 + index // 1000 % 28
    body = f"44010619{year:02d}{month:02d}{day:02d}{index % 1000:03d}"
    name = f"张{chr(0x4E00 + index // 4000)}{chr(0x4E00 + index % 4000)}"
    return body + mod_11_2.calc_check_digit(body), name, f"13{index:09d}"


def resident_of(settings: Settings, index: int) -> bytes:
    """Return the key of a made-up resident."""
    return Pepper(settings.pepper).resident("resident_id", papers(index)[0])


async def fill_registry(settings: Settings, count: int, district: str = DISTRICT) -> None:
    """Write first-dose records of so many residents of a district, with their names and phones, as `jiaohao import
    registry` does."""
    pepper, cipher = Pepper(settings.pepper), Cipher(settings.secrets)
    connection = Connection(await connect(settings.redis_url))
    dose = date(2021, 4, 20).toordinal()
    try:
        for start in range(0, count, 2000):
            batch = []
            for i in range(start, min(start + 2000, count)):
                number, name, phone = papers(i)
                resident = pepper.resident("resident_id", number)
                match, contact = pepper.match(resident, name, phone), cipher.encrypt(resident, Contact(name, phone))
                batch.append((resident, FirstDoseRecord(dose, "inactivated", district, match, contact)))
            await RegistryStore(connection).keep_first_doses(batch)
    finally:
        await connection.close()


def join_request(index: int) -> bytes:
    """Return a join of a made-up resident."""
    number, name, phone = papers(index)
    body = json.dumps({"id_type": "resident_id", "id_number": number, "name": name, "phone": phone}, ensure_ascii=False)
    return request("POST", f"/api/v1/openings/{DISTRICT}/tickets", body=body.encode())


def poll_request(settings: Settings, entry: int, resident: bytes = b"") -> bytes:
    """Return a poll with a ticket signed here."""
    return request("GET", "/api/v1/ticket", bearer=_signed(settings, TokenKind.TICKET, entry, resident))


def claim_request(settings: Settings, entry: int, resident: bytes) -> bytes:
    """Return a claim with a ticket signed here."""
    return request("POST", "/api/v1/passes", bearer=_signed(settings, TokenKind.TICKET, entry, resident))


def register_request(settings: Settings, entry: int, resident: bytes) -> bytes:
    """Return a registration with a pass signed here."""
    wishes = [{"site": f"{DISTRICT}-1", "period": "am"}, {"site": f"{DISTRICT}-2", "period": "any"}]
    body = json.dumps({"preferences": wishes, "accept_any_site": True})
    bearer = _signed(settings, TokenKind.PASS, entry, resident)
    return request("POST", "/api/v1/registrations", bearer=bearer, body=body.encode())


def qr_request(entry: int) -> bytes:
    """Return the image of a registration's number."""
    return request("GET", f"/api/v1/registrations/{registration_no(_DISTRICT_NO, DAY, entry)}/qr.svg")


def _signed(settings: Settings, kind: TokenKind, entry: int, resident: bytes) -> str:
    token = Token(DISTRICT, DAY, entry, resident or entry.to_bytes(16, "big"), OPENS_AT + 86_400)
    return Signer(settings.secrets).sign(kind, token)


class JourneyCost(NamedTuple):
    """Requests for each of a resident's calls, of residents for whom it is time to make it; all 2xx once."""

    join: list[bytes]
    poll: list[bytes]
    called_poll: list[bytes]
    claim: list[bytes]
    register: list[bytes]
    qr: list[bytes]


async def journey(settings: Settings, joins: int, claims: int, registrations: int) -> JourneyCost:
    """Bring so many residents to where they can join, claim and register, once a server runs on what `prepare` wrote.

    The first `registrations` of them have claimed, the next `claims` have been called, the others have nothing yet.
    """
    residents = [resident_of(settings, i) for i in range(registrations + claims)]
    called = range(registrations, registrations + claims)
    if residents:
        await _call(settings, residents, registrations)
    far = await places_far_behind(settings)
    return JourneyCost(
        join=[join_request(i) for i in range(len(residents), len(residents) + joins)],
        poll=[poll_request(settings, entry) for entry in far],
        called_poll=[poll_request(settings, i, residents[i]) for i in called[:20_000]],
        claim=[claim_request(settings, i, residents[i]) for i in called],
        register=[register_request(settings, i, residents[i]) for i in range(registrations)],
        qr=[qr_request(i) for i in range(max(1000, registrations))],
    )


async def places_far_behind(settings: Settings) -> range:
    """Give places to strangers at the back of the line, once a server runs; return the entries of those far behind.

    Tickets of places that were never given would not do: a worker takes them for lost ones, and asks the store.
    """
    connection = Connection(await connect(settings.redis_url), settings.offset_ms)
    try:
        await _prepared(connection)
        for _ in range(_WAITING // 1000):
            strangers = [os.urandom(16) for _ in range(1000)]
            places = known(await OpeningStore(connection).join(_TAG, strangers))
        last = places[-1].entry
        if last is None:
            raise RuntimeError(f"nobody got a place: {places[-1].status}")
    finally:
        await connection.close()
    return range(last + 1 - _WAITING // 2, last + 1)


async def _prepared(connection: Connection) -> None:
    """Wait until a worker has prepared the opening."""
    while not (await OpeningStore(connection).advance([(_TAG, 0)]))[0].opening:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def _call(settings: Settings, residents: Sequence[bytes], claimed: int) -> None:
    """Places for all of them, and all called at once; passes for the first ones."""
    connection = Connection(await connect(settings.redis_url), settings.offset_ms)
    try:
        await _prepared(connection)
        for start in range(0, len(residents), 1000):
            await OpeningStore(connection).join(_TAG, residents[start : start + 1000])
        await OpeningStore(connection).adjust(_TAG, "bench", 0, {"rate": 1e7, "max_active": 10**7})
        await asyncio.sleep(0.05)  # the pace builds up from the time that has passed
        await OpeningStore(connection).advance([(_TAG, 0)])
        await OpeningStore(connection).adjust(_TAG, "bench", 0, {"rate": _RATE})  # who comes now waits
        for start in range(0, claimed, 1000):
            places = [Place(i, i + 1, residents[i]) for i in range(start, min(start + 1000, claimed))]
            claims, _ = await OpeningStore(connection).claim(_TAG, places)
            outcomes = {outcome for outcome, _ in known(claims)}
            if outcomes != {"fresh"}:
                raise RuntimeError(f"not everyone could claim: {outcomes}")
    finally:
        await connection.close()


async def prepare(settings: Settings, residents: int) -> None:
    """Sites, demo residents and a registry large enough for the run."""
    await add_demo(settings, load_city(None))
    await fill_registry(settings, residents)
