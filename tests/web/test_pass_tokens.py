"""A pass as a JWT: others check it by the public keys alone, in Python, Node and the shell, and it names nobody."""

import asyncio
import base64
import http.server
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from server.access.pass_tokens import PassTokens
from server.core.keys import Pepper
from server.core.tokens import Token
from tests.support.front import command_of, free_port
from tests.support.serving import DAY, TIANHE, House, enrol, keep_sites, open_house, person, refused, run_cli, until

# Others' claims about ours: RFC 8037's public key is 32 octets; `iss` is the shipped city file's `log_name`.
ISSUER = "jiaohao-log/guangzhou"
NODE = """(async () => {
const {createLocalJWKSet, jwtVerify} = await import(require.resolve('jose'));
const {keys, token, at, issuer} = JSON.parse(process.argv[1]);
const {payload} = await jwtVerify(token, createLocalJWKSet({keys}), {issuer, currentDate: new Date(at * 1000)});
console.log(payload.district);
})()"""


@pytest.fixture
async def house(store_url: str) -> AsyncIterator[House]:
    """Half past eight on 19 June 2021; residents 0 to 2 of Tianhe are eligible."""
    async with open_house(store_url) as it:
        await enrol(it.store, [person(i) for i in range(3)])
        await keep_sites(it.store)
        await it.at("08:30:00")
        yield it


async def passed(house: House, index: int = 0) -> tuple[str, dict[str, Any]]:
    """Somebody's pass, and what it was turned into."""
    ticket = (await house.join(person(index)))["ticket"]
    await house.forward(2)  # somebody was called just now, and the next one is when there is a token again
    await house.look()
    pass_ = await house.claim(ticket)
    answer = await house.call("POST", "/passes/token", bearer=pass_)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return pass_, answer.json()


async def keys_of(house: House) -> list[dict[str, str]]:
    answer = await house.client.get("/.well-known/jwks.json")
    assert answer.status_code == 200 and "public" in answer.headers["cache-control"]
    found: list[dict[str, str]] = answer.json()["keys"]
    return found


def by_python(keys: list[dict[str, str]], token: str) -> dict[str, Any]:
    """As PyJWT reads it; time is not looked at, as it is 2021 in the test."""
    key = jwt.PyJWKSet.from_dict({"keys": keys})[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(
        token, key, algorithms=["EdDSA"], issuer=ISSUER, options={"verify_exp": False, "verify_iat": False}
    )
    return claims


def by_openssl(keys: list[dict[str, str]], token: str, folder: Path) -> bool:
    """As a shell script would: the key in DER is twelve octets, then its own 32 (RFC 8410)."""
    signed, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(keys[0]["x"] + "=")
    (folder / "key.der").write_bytes(bytes.fromhex("302a300506032b6570032100") + raw)
    (folder / "signed").write_bytes(signed.encode())
    (folder / "signature").write_bytes(base64.urlsafe_b64decode(signature + "=="))
    command = [command_of("openssl", "openssl"), "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-rawin"]
    files = ["-inkey", "key.der", "-in", "signed", "-sigfile", "signature"]
    return subprocess.run([*command, *files], cwd=folder, capture_output=True, timeout=30, check=False).returncode == 0


def by_node(keys: list[dict[str, str]], token: str, at: float) -> str | None:
    """As the library `jose` reads it."""
    node = command_of("node", "nodejs")
    if subprocess.run([node, "-e", "require('jose')"], capture_output=True, timeout=30, check=False).returncode:
        pytest.skip("no jose for Node here (npm install jose, and NODE_PATH)")
    asked = json.dumps({"keys": keys, "token": token, "at": at, "issuer": ISSUER})
    done = subprocess.run([node, "-e", NODE, asked], capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


async def test_anybody_can_check_it_by_the_public_keys(house: House, tmp_path: Path) -> None:
    _, told = await passed(house)
    keys, token = await keys_of(house), told["token"]
    claims = by_python(keys, token)
    expires = datetime.fromisoformat(told["expires_at"]).timestamp()
    assert (claims["district"], claims["date"], claims["exp"]) == (TIANHE, "2021-06-19", expires)
    assert claims["iat"] <= claims["exp"] and jwt.get_unverified_header(token)["alg"] == "EdDSA"
    assert by_openssl(keys, token, tmp_path)
    assert await asyncio.to_thread(by_node, keys, token, claims["iat"]) == TIANHE


async def test_one_letter_more_or_less_is_refused_by_all(house: House, tmp_path: Path) -> None:
    _, told = await passed(house)
    keys, token = await keys_of(house), told["token"]
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    longer = json.dumps(claims | {"exp": claims["exp"] + 600}, separators=(",", ":")).encode()
    forged = f"{head}.{base64.urlsafe_b64encode(longer).decode().rstrip('=')}.{signature}"
    with pytest.raises(jwt.InvalidSignatureError):
        by_python(keys, forged)
    assert not by_openssl(keys, forged, tmp_path)
    assert await asyncio.to_thread(by_node, keys, forged, claims["iat"]) is None
    assert await asyncio.to_thread(by_node, keys, token, claims["exp"] + 60) is None, "it has lapsed"


async def test_it_names_nobody_and_is_the_same_persons_whatever_the_place(house: House) -> None:
    _, told = await passed(house)
    claims = by_python(await keys_of(house), told["token"])
    assert set(claims) == {"iss", "sub", "jti", "district", "date", "iat", "exp"}
    resident = house.resident(person(0))
    assert base64.urlsafe_b64encode(resident).decode().rstrip("=") not in str(claims), (
        "our own key of theirs stays ours"
    )
    assert claims["sub"] != by_python(await keys_of(house), (await passed(house, 1))[1]["token"])["sub"]


async def test_a_ticket_a_receipt_and_a_lapsed_pass_get_none(house: House) -> None:
    ticket = (await house.join(person(0)))["ticket"]
    refused(await house.call("POST", "/passes/token", bearer=ticket), "forged", 401)
    refused(await house.call("POST", "/passes/token"), "unauthorized", 401)
    pass_, told = await passed(house)
    seconds = datetime.fromisoformat(told["expires_at"]) - house.instant("08:30:00")
    await house.forward(seconds.total_seconds() + 1)
    refused(await house.call("POST", "/passes/token", bearer=pass_), "expired", 410)


def test_after_a_rotation_of_secrets_the_passes_of_before_are_still_good() -> None:
    old, new, pepper = b"o" * 32, b"n" * 32, b"p" * 32
    of = Token(TIANHE, DAY, 7, Pepper(pepper).resident("resident_id", "x"), 2_000_000_000)
    before = PassTokens(ISSUER, [old], pepper).token(of, 1_900_000_000)
    rotated = PassTokens(ISSUER, [new, old], pepper)
    claims = by_python(rotated.key_set(), before)
    assert claims["sub"] == by_python(rotated.key_set(), rotated.token(of, 1_900_000_001))["sub"]
    with pytest.raises(KeyError):
        by_python(PassTokens(ISSUER, [new], pepper).key_set(), before)


# A plain web shop behind it


class Shop(http.server.BaseHTTPRequestHandler):
    """Sells to whoever comes, and knows of no waiting room; it also gives the keys, in the room's place."""

    keys = b""

    def do_GET(self) -> None:
        """Answer."""
        body = self.keys if self.path.endswith("jwks.json") else b"sold"
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def shop(keys: list[dict[str, str]], folder: Path) -> Iterator[str]:
    """The shop behind nginx and the verifier, both as the kit has written them, on ports of this test."""
    done = run_cli("kit", str(folder / "kit"), "--only", "shop", "--domain", "room.example")
    assert done.returncode == 0, done.stderr
    Shop.keys = json.dumps({"keys": keys}).encode()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shop) as server, ExitStack() as stack:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        checks, comes = free_port(), free_port()
        room = f"http://127.0.0.1:{server.server_port}"
        text = (folder / "kit/shop/shop.conf").read_text()
        for before, after in ((":8080", f":{server.server_port}"), (":9099", f":{checks}"), (":8081", f":{comes}")):
            text = text.replace(before, after)
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jh-shop-")))
        scratch.chmod(0o755)
        (scratch / "shop.conf").write_text(text)
        (scratch / "nginx.conf").write_text(
            f"pid {scratch}/pid; error_log {scratch}/log; events {{}} http {{ access_log off; "
            f"proxy_temp_path {scratch}/p; client_body_temp_path {scratch}/b; include {scratch}/shop.conf; }}\n"
        )
        verifier = [sys.executable, str(folder / "kit/shop/check_pass.py"), room, str(checks)]
        nginx = [
            command_of("nginx"),
            "-c",
            str(scratch / "nginx.conf"),
            "-e",
            str(scratch / "log"),
            "-g",
            "daemon off;",
        ]
        for command in (verifier, nginx):
            process = stack.enter_context(subprocess.Popen(command, stderr=subprocess.DEVNULL))
            stack.callback(process.terminate)
        url = f"http://127.0.0.1:{comes}"
        until(lambda: _status(url) == 302 and _status(f"http://127.0.0.1:{checks}") == 401, "the shop is open")
        yield url


def _status(url: str, **cookies: str) -> int:
    headers = {"cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())} if cookies else {}
    try:
        return httpx.get(url, headers=headers, trust_env=False, timeout=10).status_code
    except httpx.TransportError:
        return 0


def test_the_kits_shop_lets_in_who_was_called_and_sends_all_others_to_wait(tmp_path: Path) -> None:
    ours = PassTokens(ISSUER, [b"s" * 32], b"p" * 32)
    of = Token(TIANHE, DAY, 7, b"r" * 16, 4_000_000_000)
    stranger = PassTokens(ISSUER, [b"x" * 32], b"p" * 32)
    with shop(ours.key_set(), tmp_path) as url:
        assert _status(url, jiaohao_pass=ours.token(of, 1_600_000_000)) == 200
        late = Token(TIANHE, DAY, 7, b"r" * 16, 1_600_000_100)
        for other in ("", "nonsense", stranger.token(of, 1_600_000_000), ours.token(late, 1_600_000_000)):
            assert _status(url, jiaohao_pass=other) == 302
        answer = httpx.get(url, trust_env=False)
        assert answer.headers["location"] == "https://room.example/"
