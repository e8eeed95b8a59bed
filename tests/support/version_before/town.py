"""A small city led through its public doors alone, HTTP and commands, by whichever version's code stands in a folder.

`make.py` leads it with an earlier version and keeps the store and what was answered; a test goes on with today's.
"""

import asyncio
import csv
import json
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from redis import Redis
from redis.exceptions import RedisError

from tests.support import SUPPORT
from tests.support.fake_smsc import FakeSmsc, fake_smsc
from tests.support.serving import environment, until
from tests.support.valkey import valkey

KEPT = SUPPORT / "version_before" / "kept"
OPERATOR = "operator-token-of-yunxi"
SECRETS = {"JIAOHAO_SECRET": "5e" * 32, "JIAOHAO_PEPPER": "9e" * 32, "JIAOHAO_OPERATOR_TOKEN": OPERATOR}
API = "/api/v1"
CLOCK = "clock:{clock}"
# The command `jiaohao` of the version in the folder in which it is run.
_JIAOHAO = (sys.executable, "-c", "from server.cli import main; main()")
_WINDOWS = {"east": (8, 13), "west": (12, 16)}  # kept/city.toml
_JSON = ("application/json", "application/problem+json")
EXPIRES = b"PEXPIREAT"
_AOF, _MANIFEST = "appendonly.aof.1.base.aof", "file appendonly.aof.1.base.aof seq 1 type b\n"
_KEEPING = ("--port", "0", "--appendonly", "yes", "--aof-use-rdb-preamble", "no")


def people() -> dict[str, dict[str, str]]:
    """Who lives there: a short name for each -> their line of the registry."""
    with (KEPT / "people.csv").open(encoding="utf-8") as file:
        return {line.pop("who"): line for line in csv.DictReader(file)}


def papers(who: str, **changes: str) -> dict[str, str]:
    """What somebody types into the page."""
    line = people()[who]
    return {name: line[name] for name in ("id_type", "id_number", "name", "phone")} | changes


class Town:
    """The city on a store of its own.

    Args:
        code: folder of the version whose code is run.
        url: of the store.
        folder: for results, messages and files.
    """

    def __init__(self, code: Path, url: str, folder: Path) -> None:
        self.code, self.url, self.folder = code, url, folder
        self.http: httpx.Client | None = None

    @property
    def results(self) -> Path:
        """The nights' result files."""
        return self.folder / "results"

    def _environment(self, **more: str) -> dict[str, str]:
        ours = SECRETS | {"JIAOHAO_REDIS_URL": self.url, "JIAOHAO_CITY": str(KEPT / "city.toml")}
        return environment(**ours | {"JIAOHAO_RESULTS": str(self.results)} | more)

    def command(self, *arguments: str, code: int = 0, **env: str) -> list[str]:
        """Run a command to its end, which must be this exit code; the lines that it printed."""
        done = subprocess.run(
            [*_JIAOHAO, *arguments],
            cwd=self.code, env=self._environment(**env), capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        return done.stdout.splitlines()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """One worker, until the end of the block."""
        command = [*_JIAOHAO, "serve", "--port", "0", "--workers", "1"]
        with (
            (self.folder / "said").open("w+b") as said,
            (self.folder / "logged").open("ab") as logged,
            subprocess.Popen(command, cwd=self.code, env=self._environment(), stdout=said, stderr=logged) as server,
        ):
            try:

                def ready() -> str | None:
                    assert server.poll() is None, (self.folder / "logged").read_text(encoding="utf-8")
                    lines = (self.folder / "said").read_text(encoding="utf-8").splitlines()
                    return next((it.removeprefix("ready: ") for it in lines if it.startswith("ready: ")), None)

                with httpx.Client(base_url=until(ready, "ready"), trust_env=False, timeout=30) as self.http:
                    yield
            finally:
                self.http = None
                server.terminate()
                server.wait(30)

    def ask(self, method: str, path: str, bearer: str = "", body: Any = None) -> dict[str, Any]:
        """A call below the base path: its status, and what was answered, text line by line.

        Who is told that the store is away comes again: a worker says so for a moment where the clock was moved.
        """
        assert self.http is not None
        http, headers = self.http, {"authorization": f"Bearer {bearer}"} if bearer else {}

        def answered() -> httpx.Response | None:
            found = http.request(method, API + path, headers=headers, json=body)
            return None if found.status_code == 503 and found.json()["code"] == "store-unavailable" else found

        answer = until(answered, f"{method} {path} is answered")
        is_json = answer.headers.get("content-type", "").partition(";")[0] in _JSON
        return {"status": answer.status_code, "body": answer.json() if is_json else answer.text.splitlines()}

    def must(self, method: str, path: str, bearer: str = "", body: Any = None) -> Any:
        """A call that must be answered with 2xx; what was answered."""
        answer = self.ask(method, path, bearer, body)
        assert answer["status"] in (200, 201, 202, 204), (method, path, answer)
        return answer["body"]

    def set_clock(self, at: str) -> None:
        """Let it be this time in the city, such as `2021-06-21T08:31:00+08:00`, for the store and for who serves."""
        wanted = datetime.fromisoformat(at)
        with Redis.from_url(self.url) as client:
            seconds, microseconds = client.time()
            now_ms = int(seconds) * 1000 + int(microseconds) // 1000
            client.set(CLOCK, round(wanted.timestamp() * 1000) - now_ms)
        if self.http is not None:
            until(lambda: all(self._sees(wanted, it) for it in _WINDOWS), f"it is {at}")

    def _sees(self, wanted: datetime, district: str) -> bool:
        """Whether the worker has looked at a district's opening since."""
        answer = self.ask("GET", f"/openings/{district}")
        if answer["status"] != 200 or answer["body"]["date"] != str(wanted.date()):
            return False
        opens, closes = _WINDOWS[district]
        is_on = answer["body"]["state"] in ("draw", "open", "paused")
        passed_s = (datetime.fromisoformat(answer["body"]["now"]) - wanted).total_seconds()
        return 0 <= passed_s < 30 and is_on == (opens <= wanted.hour < closes)

    # What residents do

    def join(self, who: str, district: str = "east") -> str:
        """A place; the ticket."""
        return str(self.must("POST", f"/openings/{district}/tickets", body=papers(who))["ticket"])

    def called(self, ticket: str) -> None:
        """Wait until this number is called."""
        until(lambda: self.ask("GET", "/ticket", ticket)["body"].get("state") == "ready", "it is called")

    def claim(self, ticket: str) -> str:
        """The pass, once the number is called."""
        self.called(ticket)
        return str(self.must("POST", "/passes", ticket)["pass"])

    def register(self, who: str, site: str = "E1", period: str = "am", not_before: str | None = None) -> dict[str, str]:
        """Join, be called, claim, register; number and receipt."""
        wishes = {"preferences": [{"site": site, "period": period}], "accept_any_site": False, "not_before": not_before}
        done = self.must("POST", "/registrations", self.claim(self.join(who)), wishes)
        return {"who": who, "no": done["registration_no"], "receipt": done["receipt"]}

    def sent_to_a_file(self) -> list[dict[str, str]]:
        """Send what is owed into a file; the messages, by phone."""
        file = self.folder / "sms.jsonl"
        file.unlink(missing_ok=True)
        self.command("notify", "--once", "--file", str(file))
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return sorted((json.loads(line) for line in lines), key=lambda it: (it["phone"], it["text"]))

    @asynccontextmanager
    async def sender(self, port: int) -> AsyncIterator[None]:
        """A sender to an SMSC on this port, until the end of the block."""
        env = self._environment(JIAOHAO_SMPP_URL=f"smpp://yunxi@127.0.0.1:{port}", JIAOHAO_SMPP_PASSWORD="s3cret")
        command = [*_JIAOHAO, "notify", "--gateway", "smpp"]
        with (self.folder / "logged").open("ab") as logged:
            sender = await asyncio.create_subprocess_exec(
                *command, cwd=self.code, env=env, stdout=logged, stderr=logged
            )
            try:
                yield
            finally:
                sender.terminate()
                async with asyncio.timeout(30):
                    await sender.wait()

    def receipts(self, phone: str, states: dict[str, str]) -> None:
        """The SMSC says what became of messages to a phone that were handed over earlier: id -> state."""

        async def tell() -> None:
            async with fake_smsc() as smsc, self.sender(smsc.port):
                await connected(smsc)
                for id_, state in states.items():
                    assert (await smsc.say(receipt_of(id_, state), phone=f"86{phone}"))[1] == 0

        asyncio.run(tell())


async def connected(smsc: FakeSmsc) -> None:
    """Wait until a sender is bound."""
    deadline = time.monotonic() + 30
    while not smsc.peers:
        assert time.monotonic() < deadline, "no sender"
        await asyncio.sleep(0.05)


def receipt_of(id_: str, state: str) -> bytes:
    """A receipt as SMPP 3.4, appendix B, spells it."""
    dates = "submit date:2106211200 done date:2106211201"
    return f"id:{id_} sub:001 dlvrd:001 {dates} stat:{state} err:000 text:".encode()


# The store as it was left


@contextmanager
def store_in(folder: Path) -> Iterator[str]:
    """A durable store in this folder; its URL."""
    with valkey(folder, *_KEEPING, "--unixsocket", f"{folder}/s"), Redis(unix_socket_path=f"{folder}/s") as client:

        def is_up() -> object:
            with suppress(RedisError, OSError):
                return client.ping()
            return None

        until(is_up, "the store answers")
        yield f"unix://{folder}/s"


def put_back(folder: Path, kept: Path, known: dict[str, Any]) -> None:
    """Put the store that was kept into a folder, as if no time had passed since: what lives for a time lives on for
    what it had left, and in the city it is the moment at which it was kept."""
    passed_ms = round(time.time() * 1000) - int(known["made_ms"])
    commands = []
    for command in read_commands((kept / "store.aof").read_bytes()):
        if command[0] == EXPIRES:
            command[2] = b"%d" % (int(command[2]) + passed_ms)
        elif command[:2] == [b"SET", CLOCK.encode()]:
            command[2] = b"%d" % (int(command[2]) - passed_ms)
        commands.append(command)
    (folder / "appendonlydir").mkdir()
    (folder / "appendonlydir" / _AOF).write_bytes(write_commands(commands))
    (folder / "appendonlydir" / "appendonly.aof.manifest").write_text(_MANIFEST, encoding="ascii")
    shutil.copytree(kept / "results", folder / "results")


def read_commands(octets: bytes) -> list[list[bytes]]:
    """The commands of an append-only file: RESP arrays of bulk strings."""
    commands, at = [], 0

    def number(sign: bytes) -> int:
        nonlocal at
        end = octets.index(b"\r\n", at)
        assert octets[at : at + 1] == sign, octets[at : at + 20]
        found, at = int(octets[at + 1 : end]), end + 2
        return found

    while at < len(octets):
        words = []
        for _ in range(number(b"*")):
            length = number(b"$")
            words.append(octets[at : at + length])
            at += length + 2
        commands.append(words)
    return commands


def write_commands(commands: list[list[bytes]]) -> bytes:
    """The same as octets."""
    return b"".join(
        b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words) for words in commands
    )
