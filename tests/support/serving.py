"""What the HTTP tests serve with: residents with valid papers, an application in this process, a real `jiaohao up`."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import httpx
import msgspec
import psutil
from redis import Redis
from stdnum.iso7064 import mod_11_2

from server.access.helpers import HelperTokens
from server.appointments.giving import SlotGrant
from server.appointments.sites import Site
from server.appointments.staff import Role
from server.core.city import SHIPPED_CITY, City, load_city
from server.core.clock import Clock, to_ms
from server.core.encryption import Cipher, Contact
from server.core.keys import Pepper
from server.core.papers import normalise_name
from server.core.settings import Settings, from_environment, local_secrets
from server.core.tokens import Signer
from server.records.first_dose import FirstDoseRecord
from server.records.slot import RosterEntry, Slot
from server.services import Services, wire
from server.store.connecting import connect
from server.web.app import application
from server.web.hot import HotCalls
from tests.support.stores import Store

REPO = Path(__file__).resolve().parents[2]
API = "/api/v1"
Jiaohao: TypeAlias = Callable[..., tuple[int, str, str]]
"""What the fixture of this name gives: runs the command; (exit code, standard output, standard error)."""
DAY = date(2021, 6, 19)
TIANHE, BAIYUN, HAIZHU, HUANGPU = "440106", "440111", "440105", "440112"
OPERATOR = "operator-token-of-the-tests"
SITES = ("T1", "T2")
_PATIENCE_SECONDS = 30.0


class Person(msgspec.Struct, frozen=True):
    """Somebody's papers, as typed into the page."""

    id_number: str
    name: str
    phone: str
    id_type: str = "resident_id"

    def papers(self, **changes: Any) -> dict[str, Any]:
        """The body of a join, with some fields changed."""
        return msgspec.to_builtins(self) | changes  # type: ignore[no-any-return]


def person(index: int) -> Person:
    """The made-up resident of this index; the check character is stdnum's."""
    body = f"4401061970{1 + index // 28 % 12:02d}{1 + index % 28:02d}{index % 1000:03d}"
    return Person(body + mod_11_2.calc_check_digit(body), f"测{chr(0x4E00 + index)}", f"137{index:08d}")


def test_settings(**changes: Any) -> Settings:
    """Settings of a worker whose store is handed to it."""
    values: dict[str, Any] = {
        "redis_url": "",
        "secrets": (b"s" * 32,),
        "pepper": b"p" * 32,
        "operator_token": OPERATOR,
    }
    return Settings(**(values | changes))


test_settings.__test__ = False  # type: ignore[attr-defined]


async def enrol(
    store: Store, people: Iterable[Person], *, dose: date = date(2021, 5, 1), product: str = "inactivated",
    district: str = TIANHE, pepper: bytes = b"p" * 32,
) -> None:  # fmt: skip
    """Write first doses, as an import of the registry would."""
    hashes, cipher = Pepper(pepper), Cipher([b"s" * 32])
    records = []
    for who in people:
        resident = hashes.resident(who.id_type, who.id_number)
        match = hashes.match(resident, normalise_name(who.name), who.phone)
        contact = cipher.encrypt(resident, Contact(normalise_name(who.name), who.phone))
        records.append((resident, FirstDoseRecord(dose.toordinal(), product, district, match, contact)))
    await store.keep_first_doses(records)


async def keep_sites(store: Store, sites_of: Mapping[str, Sequence[str]] = {TIANHE: SITES, BAIYUN: ("B1",)}) -> None:
    """Made-up sites of districts; two in Tianhe and one in Baiyun, where nothing is said."""
    for district, codes in sites_of.items():
        sites = [Site(code, f"接种点{code}", f"Site {code}", district, "路1号") for code in codes]
        await store.keep_sites(district, {site.site: msgspec.json.encode(site) for site in sites})


class StandingClock(Clock):
    """City time that moves when a test moves it."""

    at_ms = 0

    def now_ms(self) -> int:
        """City time in milliseconds since the epoch."""
        return self.at_ms

    def follow(self, store_now_ms: int) -> None:
        """The store is told the time by the test as well."""


class House:
    """An application of this process: one worker, on a real store, at a time that stands still.

    Args:
        services: of the worker.
        client: speaks HTTP with it.
        clock: its clock.
        day: the day that `at` means.
    """

    def __init__(self, services: Services, client: httpx.AsyncClient, clock: StandingClock, day: date) -> None:
        self.services = services
        self.client = client
        self.clock = clock
        self.day = day

    @property
    def store(self) -> Store:
        """The worker's store."""
        store = self.services.connection
        assert isinstance(store, Store)
        return store

    def instant(self, clock_time: str, day: date | None = None) -> datetime:
        """The city's time of day as an instant."""
        return datetime.fromisoformat(f"{day or self.day}T{clock_time}").replace(tzinfo=self.services.city.tz)

    async def at(self, clock_time: str, day: date | None = None) -> None:
        """Let it be this time of day, e.g. "08:00:00", and let the worker look at the store."""
        self.set_time(clock_time, day)
        await self.look()

    def set_time(self, clock_time: str, day: date | None = None) -> None:
        """Let it be this time of day; the worker has not looked yet."""
        self.day = day or self.day
        self.clock.at_ms = self.store.now_ms = to_ms(self.instant(clock_time))

    async def look(self) -> None:
        """One tick of the worker that looks at every opening."""
        await self.services.room.tick()

    async def call(
        self, method: str, path: str, *, bearer: str | None = None, lang: str | None = None, **how: Any
    ) -> httpx.Response:
        """A call below the base path."""
        headers = dict(how.pop("headers", {}))
        if bearer is not None:
            headers["authorization"] = f"Bearer {bearer}"
        if lang is not None:
            headers["accept-language"] = lang
        return await self.client.request(method, API + path, headers=headers, **how)

    async def get(self, path: str, **how: Any) -> Any:
        """A call that must be answered with 200; its JSON."""
        answer = await self.call("GET", path, **how)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def join(self, who: Person, district: str = TIANHE) -> Any:
        """Join, which must succeed; its JSON."""
        answer = await self.call("POST", f"/openings/{district}/tickets", json=who.papers())
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    async def try_join(self, who: Person, district: str = TIANHE, **how: Any) -> httpx.Response:
        """Join, whatever comes of it."""
        return await self.call("POST", f"/openings/{district}/tickets", json=who.papers(), **how)

    async def claim(self, ticket: str) -> str:
        """Claim, which must succeed; the pass."""
        answer = await self.call("POST", "/passes", bearer=ticket)
        assert answer.status_code in (200, 201), answer.text
        return str(answer.json()["pass"])

    async def register(self, pass_: str, **wishes: Any) -> httpx.Response:
        """Ask for any site, or for what is given."""
        body = {"preferences": [], "accept_any_site": True} | wishes
        return await self.call("POST", "/registrations", bearer=pass_, json=body)

    async def registered(self, who: Person, **wishes: Any) -> Any:
        """Join, be called, claim and register, in an opening that is past its draw; the registration's JSON."""
        ticket = (await self.join(who))["ticket"]
        await self.forward(1)
        answer = await self.register(await self.claim(ticket), **wishes)
        assert answer.status_code == 201, answer.text
        await self.passes_freed()
        return answer.json()

    async def forward(self, seconds: float) -> None:
        """Let time pass, and let the worker look at the store."""
        self.clock.at_ms += round(seconds * 1000)
        self.store.now_ms = self.clock.at_ms
        await self.look()

    async def booked(
        self, who: Person, day: date, site: str = "T1", period: str = "am", product: str = "inactivated"
    ) -> Any:
        """Registered, and given an appointment as a night would."""
        done = await self.registered(who)
        await self.give(who, done["registration_no"], day, site, period, product)
        return done

    async def give(
        self, who: Person, no: str, day: date, site: str = "T1", period: str = "am", product: str = "inactivated"
    ) -> None:
        """Give a registration an appointment as a night would."""
        await self.store.keep_capacity(f"{TIANHE}:{day}", {Slot(site, period, product): 99})
        slot = RosterEntry(no, self.resident(who), site, period, product)
        assert await self.services.appointments.give(TIANHE, [SlotGrant(slot, day)], "night") == ["booked"]

    def resident(self, who: Person) -> bytes:
        """Somebody's resident key."""
        return Pepper(b"p" * 32).resident(who.id_type, who.id_number)

    def staff(self, site: str = "T1", role: Role = Role.MANAGER, days: int = 30) -> str:
        """A staff token."""
        now_s = self.clock.at_ms // 1000
        return self.services.staff_tokens.token(site, role, self.day, now_s + days * 86_400)[0]

    async def passes_freed(self) -> None:
        """Wait for what a registration does beside its answer."""
        await self.services.registrations.settled()

    async def everything(self, but: str = "") -> dict[bytes, bytes]:
        """All that the store holds, but for keys of one kind."""
        client: Any = self.store._client
        left_out = f"{but}:".encode()
        return {key: await client.dump(key) async for key in client.scan_iter() if not key.startswith(left_out)}


@asynccontextmanager
async def open_house(
    url: str, settings: Settings | None = None, *, city: City | None = None, day: date = DAY
) -> AsyncIterator[House]:
    """An application on the store at `url`; it is 07:00, and nobody is there."""
    with tempfile.TemporaryDirectory(prefix="jh-results-") as results:
        chosen = settings or test_settings(results_dir=Path(results))
        async with _house(url, chosen, city, day) as house:
            yield house


@asynccontextmanager
async def at_half_past_eight(url: str, people: int) -> AsyncIterator[House]:
    """A house with sites and an outbox at half past eight on 19 June 2021; so many residents of Tianhe are eligible."""
    async with open_house(url) as house:
        await enrol(house.store, [person(i) for i in range(people)])
        await keep_sites(house.store)
        await house.store.open_outbox([district.code for district in house.services.city.districts])
        await house.at("08:30:00")
        yield house


@asynccontextmanager
async def _house(url: str, settings: Settings, city: City | None, day: date) -> AsyncIterator[House]:
    it_is = StandingClock()
    running: list[Services] = []

    @asynccontextmanager
    async def run() -> AsyncIterator[Services]:
        store = Store(await connect(url))
        running.append(wire(settings, city or load_city(), store, it_is))
        try:
            yield running[0]
        finally:
            await store.close()

    app = application(run, settings)
    async with app.running(), httpx.AsyncClient(transport=Granian(app), base_url="http://jiaohao.test") as client:
        house = House(running[0], client, it_is, day)
        await house.at("07:00:00")
        yield house
        await house.passes_freed()


class Granian(httpx.AsyncBaseTransport):
    """Hands requests to an application as granian does (RSGI), in this process."""

    def __init__(self, app: HotCalls) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request and its answer."""
        headers = [(name.lower(), value) for name, value in request.headers.multi_items() if value.isascii()]
        scope = SimpleNamespace(
            proto="http",
            http_version="1.1",
            method=request.method,
            scheme=request.url.scheme,
            path=request.url.path,
            query_string=request.url.query.decode(),
            client="127.0.0.1:50000",
            server="127.0.0.1:80",
            headers=SimpleNamespace(get=dict(reversed(headers)).get, items=lambda: headers),
        )
        assert isinstance(request.stream, httpx.AsyncByteStream)
        exchange = _Exchange(request.stream)
        if self._app.at_once(scope, exchange):
            await exchange.answered.wait()
        else:
            await self._app.__rsgi__(scope, exchange)
        return httpx.Response(
            exchange.status, headers=exchange.headers, stream=httpx.ByteStream(b"".join(exchange.body))
        )


class _Exchange:
    """The other half of an RSGI request: its body, and what is answered."""

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream
        self.status, self.headers, self.body = 0, list[tuple[str, str]](), list[bytes]()
        self.answered = asyncio.Event()

    def __call__(self) -> asyncio.Future[bytes]:
        return asyncio.ensure_future(self._read())

    async def _read(self) -> bytes:
        return b"".join([piece async for piece in self._stream])

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._stream)

    async def client_disconnect(self) -> None:
        await asyncio.Event().wait()  # it waits for its answer

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, [body]
        self.answered.set()

    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> "_Exchange":
        self.status, self.headers = status, headers
        return self

    async def send_bytes(self, data: bytes) -> None:
        self.body.append(data)


def refused(answer: httpx.Response, code: str, status: int) -> Any:
    """Check a refusal's form; its problem details."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    problem = answer.json()
    assert problem["code"] == code, problem
    assert problem["type"] == f"/problems/{code}"
    assert problem["status"] == status
    assert problem["title"] and problem["detail"]
    assert "{" not in problem["detail"] and "None" not in problem["detail"]
    if status in (425, 429, 503):
        assert int(answer.headers["retry-after"]) >= 1
    if status == 401:
        assert answer.headers["www-authenticate"] == "Bearer"
    return problem


# A real `jiaohao up`


def until(done: Callable[[], Any], what: str, seconds: float = _PATIENCE_SECONDS) -> Any:
    """Poll until `done` gives something true, and give it; the deadline is far beyond what a loaded machine needs."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := done():
            return result
        time.sleep(0.02)
    raise AssertionError(f"not in {seconds:.0f} s: {what}")


def quick_city(folder: Path, **policy: Any) -> Path:
    """Guangzhou with a draw of one second (and other policy): the shipped file, copied and changed."""
    text = SHIPPED_CITY.read_text(encoding="utf-8")
    for name, value in ({"draw_seconds": 1} | policy).items():
        before = next(line for line in text.splitlines() if line.startswith(f"{name} = "))
        text = text.replace(before, f"{name} = {value}")
    file = folder / "quick.toml"
    file.write_text(text, encoding="utf-8")
    return file


def environment(**more: str) -> dict[str, str]:
    """This environment without anything of jiaohao's, and with more."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("JIAOHAO_", "PROMETHEUS_"))} | more


class Up:
    """A running `jiaohao up`.

    Args:
        process: the command.
        folder: where its two outputs are.
        data_dir: its data.
    """

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, data_dir: Path) -> None:
        self.process = process
        self.folder = folder
        self.data_dir = data_dir
        self.url = ""

    def said(self) -> str:
        """Its standard output so far."""
        return (self.folder / "out").read_text(encoding="utf-8")

    def logged(self) -> str:
        """Its standard error so far."""
        return (self.folder / "err").read_text(encoding="utf-8")

    def await_ready(self) -> None:
        """Wait for the contract's line."""

        def ready() -> str | None:
            assert self.process.poll() is None, f"exit {self.process.returncode}: {self.said()}{self.logged()}"
            lines = [line for line in self.said().splitlines() if line.startswith("ready: ")]
            return lines[0].removeprefix("ready: ") if lines else None

        self.url = until(ready, "ready")

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        self.process.terminate()
        return self.process.wait(_PATIENCE_SECONDS)

    def store_pid(self) -> int:
        """The embedded store's process."""
        return int((self.data_dir / "store.pid").read_text())

    def workers(self) -> list[psutil.Process]:
        """Its worker processes."""
        found = []
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):  # it has just died
                if "valkey" not in child.name() and not any("resource_tracker" in word for word in child.cmdline()):
                    found.append(child)
        return found

    def call(self, method: str, path: str, *, bearer: str | None = None, **how: Any) -> httpx.Response:
        """A call on a connection of its own, so that every worker gets some."""
        headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
        return httpx.request(method, self.url + path, headers=headers, timeout=10, trust_env=False, **how)

    def answered(self, method: str, path: str, **how: Any) -> httpx.Response:
        """A call that is tried again, as a resident would, until it is answered with 2xx."""

        def attempt() -> httpx.Response | None:
            with suppress(httpx.TransportError):
                answer = self.call(method, path, **how)
                assert answer.status_code < 500 or "retry-after" in answer.headers, answer.text
                if answer.status_code < 300:
                    return answer
                assert answer.status_code in (425, 503), answer.text
            return None

        found: httpx.Response = until(attempt, f"{method} {path} succeeds")
        return found

    def join(self, who: Person, district: str = TIANHE) -> Any:
        """A place for somebody."""
        return self.answered("POST", f"{API}/openings/{district}/tickets", json=who.papers()).json()

    def claim(self, ticket: str) -> str:
        """The pass, once the number has been called."""
        return str(self.answered("POST", f"{API}/passes", bearer=ticket).json()["pass"])

    def register(self, pass_: str) -> Any:
        """The registration."""
        wishes = {"preferences": [], "accept_any_site": True}
        return self.answered("POST", f"{API}/registrations", bearer=pass_, json=wishes).json()


@contextmanager
def up(data_dir: Path, *options: str, wait: bool = True, root: Path = REPO, **env: str) -> Iterator[Up]:
    """`python -m server.cli up` of `root`, on a free port; whatever is left of it in the end is ended, and removed."""
    folder = data_dir.parent / f"up-{time.monotonic_ns()}"
    folder.mkdir()
    arguments = [sys.executable, "-m", "server.cli", "up", "--port", "0", "--data-dir", str(data_dir), *options]
    temporary = tempfile.mkdtemp(prefix="jh-")  # a short path, as a socket is in it
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            arguments, cwd=root, env=environment(TMPDIR=temporary, **env), stdout=out, stderr=err
        )
    server = Up(process, folder, data_dir)
    try:
        if wait:
            server.await_ready()
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
        if process.poll() is None:
            process.kill()
            process.wait()
        end_store(data_dir)
        shutil.rmtree(temporary, ignore_errors=True)


def end_store(data_dir: Path) -> None:
    """End the embedded store of a server that was killed."""
    with suppress(OSError, ValueError, psutil.Error):
        left = psutil.Process(int((data_dir / "store.pid").read_text()))
        if "valkey" in left.name() and str(data_dir) in " ".join([*left.cmdline(), left.cwd()]):
            left.send_signal(signal.SIGKILL)
            left.wait(10)


def run_cli(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "server.cli", *arguments],
        cwd=REPO, env=environment(**env), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def registry_csv(file: Path, people: Iterable[Person], district: str = TIANHE) -> Path:
    """A registry file that makes them eligible in June 2021."""
    rows = [f"{p.id_type},{p.id_number},{p.name},{p.phone},2021-05-01,inactivated,{district}" for p in people]
    header = "id_type,id_number,name,phone,first_dose_date,product,district"
    file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return file


def helper_token(data_dir: Path, organisation: str = "shamian") -> str:
    """A helper's token of an `up`, good for as long as any test runs."""
    settings = from_environment(local_secrets(data_dir, {}) | {"JIAOHAO_REDIS_URL": "redis://nowhere"})
    return HelperTokens(Signer(settings.secrets), Clock()).token(organisation, DAY, 2**32 - 1)[0]


def operator_token(data_dir: Path) -> str:
    """The token that `up` made."""
    return str(json.loads((data_dir / "secrets.json").read_text())["JIAOHAO_OPERATOR_TOKEN"])


def store_client(data_dir: Path) -> Redis:
    """A client of the embedded store that runs on this data."""
    return Redis.from_url((data_dir / "store.url").read_text())
