"""Desk and set-up, at the edge: bodies that break off, caches and proxies in front, HEAD, a desk's token.

Rows D5, D6, D7, D9 and D10 of the table of cases.
"""

import os
import re
import select
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec
import psutil
import pytest
from redis import Redis

from server.appointments.staff import Role
from server.core.keys import registration_no
from server.core.tokens import Signer, TokenKind
from server.web.app import behind_hot_calls
from tests.support.front import answer_of, connect, nginx, status_of, varnish
from tests.support.serving import (
    API,
    TIANHE,
    Jiaohao,
    Up,
    helper_token,
    operator_token,
    person,
    store_client,
    until,
    up,
)
from tests.support.valkey import standalone_server

JSON, FORM, CSV = "application/json", "application/x-www-form-urlencoded", "text/csv"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A real `jiaohao up`, one worker, in open hours."""
    folder = tmp_path_factory.mktemp("served")
    with up(folder / "data", "--workers", "1", "--clock", "2021-06-19T08:30:00+08:00") as server:
        yield server


def routes() -> list[tuple[str, str]]:
    """(method, path) of every route of the application, each parameter filled in."""
    values = {
        "district": TIANHE, "site": "440106-1", "no": "106190100000017", "date": "2021-06-19", "code": "malformed",
        "pointer": "440106-1-0", "path": "openapi.json",
    }  # fmt: skip
    found: list[tuple[str, str]] = []
    for route in behind_hot_calls().routes:
        path = re.sub(r"\{(\w+):\w+\}", lambda it: values[it[1]], route.path)
        found += [(method, path) for method in sorted(route.methods)]
    return found


# D9: a body that breaks off, or comes in chunks

ROWS = [f"440106-1,2021-08-{day:02d},{period},inactivated,4321" for day in (1, 2, 3, 4) for period in ("am", "pm")]
CAPACITY = "\n".join(["site,date,period,product,capacity", *ROWS])  # cut two letters short it is a good file too


def with_bodies(server: Up) -> list[tuple[str, str, str, bytes, str]]:
    """Every call and form that has a body: (method, path, type, body, bearer)."""
    operator = operator_token(server.data_dir)
    papers = msgspec.json.encode(person(1).papers())
    why = b'{"reason": "because of it"}'
    wishes = b'{"preferences": [], "accept_any_site": true}'
    code = msgspec.json.encode({k: v for k, v in person(1).papers().items() if k != "name"})
    calls = [
        ("POST", f"{API}/openings/{TIANHE}/tickets", papers), ("POST", f"{API}/openings/{TIANHE}/eligibility", papers),
        ("PATCH", f"{API}/registrations/106190100000017", wishes), ("POST", f"{API}/access-codes", code),
        ("POST", f"{API}/access-tokens", code[:-1] + b', "code": "000000"}'),
        ("POST", f"{API}/attendances", b'{"registration_no": "106190100000017", "date": "2021-06-19"}'),
        ("POST", f"{API}/attendances/106190100000017/undo", b'{"date": "2021-06-19", "reason": "because of it"}'),
        ("POST", f"{API}/sites/440106-1/lookups", b'{"registration_no": "106190100000017", "date": "2021-06-19"}'),
        ("POST", f"{API}/sites/440106-1/searches", b'{"id_type": "passport", "id_number": "X1234567"}'),
        ("POST", f"{API}/sites/440106-1/closures", b'{"date": "2021-06-19", "reason": "because of it"}'),
        ("PATCH", f"{API}/openings/{TIANHE}", b'{"message": "hello, everybody"}'),
        ("DELETE", f"{API}/bars/106190100000017", why), ("DELETE", f"{API}/operations/calls/106190100000017", why),
    ]  # fmt: skip
    helper = helper_token(server.data_dir)
    helped = [
        ("openings/440106/tickets", msgspec.json.encode(person(1).papers(consent="self"))),
        ("passes", b'{"ticket": "because of it"}'), ("leavings", b'{"ticket": "because of it"}'),
        ("registrations", b'{"pass": "x", "preferences": [], "accept_any_site": true}'),
    ]  # fmt: skip
    forms = sorted({path for method, path in routes() if method == "POST" and path.startswith("/plain")})
    assert len(forms) >= 13
    return [
        ("POST", f"{API}/capacity", CSV, CAPACITY.encode(), operator),
        *((method, path, JSON, body, operator) for method, path, body in calls),
        *(("POST", f"{API}/assist/{what}", JSON, body, helper) for what, body in helped),
        *(("POST", path, FORM, urlencode({"lang": "en", "any_site": "1"}).encode(), "") for path in forms),
    ]


def head(method: str, path: str, kind: str, bearer: str, *more: str) -> bytes:
    """The head of a request."""
    auth = [f"Authorization: Bearer {bearer}"] if bearer else []
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", f"Content-Type: {kind}", *auth, *more, "", ""]).encode()


def chunked(body: bytes) -> bytes:
    """The body as one chunk, without the last one that ends it."""
    return b"%x\r\n%b\r\n" % (len(body), body)


def broken(body: bytes, cut: int) -> dict[str, tuple[str, bytes]]:
    """Ways to break a body off: a header of the request, and what is sent of it."""
    size = f"Content-Length: {len(body)}"
    chunks = "Transfer-Encoding: chunked"
    return {
        "shorter than announced": (size, body[:cut]),
        "no chunk that ends it": (chunks, chunked(body[:cut])),
        "all of it, and no chunk that ends it": (chunks, chunked(body)),
        "within a chunk": (chunks, chunked(body)[: cut + 3]),
        "no chunk at all": (chunks, chunked(body[:cut]) + b"zz\r\n"),
    }


def test_a_capacity_file_that_breaks_off_keeps_no_slot(served: Up) -> None:
    method, path, kind, body, bearer = with_bodies(served)[0]
    for header, sent in broken(body, len(body) - 2).values():
        with connect(served.url) as s:
            s.sendall(head(method, path, kind, bearer, header) + sent)
            s.shutdown(socket.SHUT_WR)
            assert status_of(answer_of(s)) == 400, header
        with connect(served.url) as s:  # the same from somebody who is gone
            s.sendall(head(method, path, kind, bearer, header) + sent)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with store_client(served.data_dir) as client:
        assert not client.exists(*(f"slots:{{{TIANHE}:2021-08-{day:02d}}}" for day in (1, 2, 3, 4)))
    # Whole it is kept, and in chunks as well
    for header, sent in (
        (f"Content-Length: {len(body)}", body),
        ("Transfer-Encoding: chunked", chunked(body[:100]) + chunked(body[100:]) + b"0\r\n\r\n"),
        (f"Content-Length: {len(body)}\r\nExpect: 100-continue", body),
    ):
        with connect(served.url) as s:
            s.sendall(head(method, path, kind, bearer, header, "Connection: close") + sent)
            answer = answer_of(s)
        assert status_of(answer) == 200 and b'"rows":8' in answer
    with store_client(served.data_dir) as client:
        assert client.hget(f"slots:{{{TIANHE}:2021-08-04}}", "440106-1|pm|inactivated") == b"4321"


def test_no_call_and_no_form_takes_a_body_that_breaks_off(served: Up) -> None:
    with store_client(served.data_dir) as client:
        kinds = ("audit", "asked", "code", "closures", "attendances", "registration", "places")
        before = {key: client.dump(key) for kind in kinds for key in client.scan_iter(f"{kind}:*")}
        for method, path, kind, body, bearer in with_bodies(served):
            for how, (header, sent) in broken(body, len(body) // 2).items():
                with connect(served.url) as s:
                    s.sendall(head(method, path, kind, bearer, header) + sent)
                    s.shutdown(socket.SHUT_WR)
                    answer = answer_of(s)
                assert status_of(answer) == 400, (method, path, how, answer)
                assert b"set-cookie: lang" not in answer
                if not path.startswith("/plain"):
                    assert b'"code":"malformed"' in answer and b'"reason":"broken-off"' in answer, (path, how)
        after = {key: client.dump(key) for kind in kinds for key in client.scan_iter(f"{kind}:*")}
    assert after == before


def test_what_is_announced_larger_than_any_body_is_refused_at_once(served: Up) -> None:
    for method, path, kind, _, bearer in with_bodies(served):
        with connect(served.url) as s:
            s.sendall(head(method, path, kind, bearer, "Content-Length: 99999999"))
            assert status_of(answer_of(s)) == 400, path
    for bad in (
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 3, 3",
        "Content-Length: +3",
        "Content-Length: x",
    ):
        with connect(served.url) as s:
            s.sendall(head("POST", "/plain/look", FORM, "", bad) + b"a=bc")
            assert status_of(answer_of(s)) == 400, bad


# D6: HEAD; and what else every route owes whoever stands in front


@pytest.fixture
def client(served: Up) -> Iterator[httpx.Client]:
    """The operator."""
    headers = {"authorization": f"Bearer {operator_token(served.data_dir)}"}
    with httpx.Client(base_url=served.url, headers=headers, trust_env=False, timeout=30) as it:
        yield it


def fetch(client: httpx.Client, method: str, path: str) -> httpx.Response:
    """An answer; each one with cookies of its own."""
    client.cookies.clear()
    return client.request(method, path, params={"district": TIANHE} if path == f"{API}/sites" else {})


def test_head_is_answered_as_get_without_a_body(served: Up, client: httpx.Client) -> None:
    paths = sorted({path for method, path in routes() if method == "GET"})
    assert len(paths) >= 60 and {
        "/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/schema",
        "/plain",
        "/staff",
        "/assist",
    } <= set(paths)
    # counted, random, or the time
    moving = {"date", "set-cookie", "content-length"}
    for path in paths:
        got, headed = fetch(client, "GET", path), fetch(client, "HEAD", path)
        assert headed.status_code == got.status_code != 405, path
        assert set(headed.headers) == set(got.headers), path
        assert {k: v for k, v in headed.headers.items() if k not in moving} == {
            k: v for k, v in got.headers.items() if k not in moving
        }, path
        if path != "/metrics":
            assert headed.headers.get("content-length") == got.headers.get("content-length"), path
        assert headed.content == b""
    with connect(served.url) as s:  # nothing follows the head: the next answer on the connection can be read
        s.sendall(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\nHEAD /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer_of(s).count(b"\r\n\r\n") == 2


def test_a_method_that_is_not_there_is_told_which_are(client: httpx.Client) -> None:
    by_path: dict[str, set[str]] = {}
    for method, path in routes():
        by_path.setdefault(path, set()).add(method)
    for path, methods in by_path.items():
        if "GET" in methods:
            methods.add("HEAD")
        options = fetch(client, "OPTIONS", path)
        assert options.status_code == 204, path
        assert set(options.headers["allow"].split(", ")) == methods, path
        wrong = fetch(client, "PUT", path)
        assert (wrong.status_code, set(wrong.headers["allow"].split(", "))) == (405, methods), path


# D10: a cache in front

# What a cache may keep, and for how many seconds: the contract's openings, and what is the same for everyone.
PUBLIC = {
    f"{API}/city": 1, f"{API}/openings/{TIANHE}": 1, f"{API}/sites": 60, f"{API}/allotments/{TIANHE}/2021-06-19": 60,
    **dict.fromkeys((f"{API}/log/{what}" for what in ("head", "key", "entries")), 5),
    f"{API}/openings/{TIANHE}/draw/leaves": 5,  # without a date: tomorrow these are another opening's
    "/": 60, "/staff": 60, "/assist": 60, "/ops": 60, "/plain.css": 60, "/robots.txt": 60,
    "/manifest.webmanifest": 60, "/.well-known/jwks.json": 3600,
}  # fmt: skip


def test_every_answer_says_whether_a_cache_may_keep_it(client: httpx.Client) -> None:
    seen = set()
    for method, path in [*routes(), ("GET", "/nothing-here"), ("GET", f"{API}/nothing"), ("GET", "/plain/no/such")]:
        for each in (method, "HEAD") if method == "GET" else (method,):
            answer = fetch(client, each, path)
            kept = answer.headers.get_list("cache-control")
            is_file = re.fullmatch(r"/[a-z0-9-]+\.(js|css|svg|png)|/words/[\w.-]+\.json", path) is not None
            if each in ("GET", "HEAD") and answer.status_code == 200 and (path in PUBLIC or is_file):
                assert kept == [f"public, max-age={PUBLIC.get(path, 60)}"], (each, path)
                seen.add(path)
            else:
                assert kept == ["no-store"], (each, path, answer.status_code)
    assert set(PUBLIC) <= seen
    # The image of a well-formed number is drawn from the number alone.
    answer = client.get(f"{API}/registrations/{registration_no(1, date(2021, 6, 19), 7)}/qr.svg")
    assert answer.headers["cache-control"] == "public, max-age=86400, immutable"


def test_a_cache_in_front_says_at_once_that_the_store_is_frozen_or_dead(tmp_path: Path) -> None:
    with standalone_server() as url, Redis.from_url(url) as client, ExitStack() as stack:
        facts: Any = client.info("server")
        pid = int(facts["process_id"])
        stack.callback(_thaw, pid)
        server = stack.enter_context(up(tmp_path / "data", "--workers", "1", "--no-demo", "--redis-url", url))
        cache = stack.enter_context(varnish(server.url, tmp_path / "varnish"))

        def ready(at: str) -> int:
            return httpx.get(f"{at}/readyz", trust_env=False, timeout=30).status_code

        assert ready(cache) == 200
        os.kill(pid, signal.SIGSTOP)
        # More calls than the store may be asked at a time hang on it, for five seconds each.
        request = f"GET {API}/sites?district={TIANHE} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        hanging = [stack.enter_context(connect(server.url)) for _ in range(150)]
        for s in hanging:
            s.sendall(request)
        assert ready(cache) == 503
        answered, _, _ = select.select(hanging, [], [], 0)
        assert not answered, "readiness waits for no other call"
        os.kill(pid, signal.SIGCONT)
        until(lambda: ready(cache) == 200, "ready again")
        os.kill(pid, signal.SIGKILL)
        until(lambda: psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, "the store is gone")  # its keeper waits
        assert [ready(at) for at in (cache, server.url)] == [503, 503]
        assert httpx.get(f"{cache}/healthz", trust_env=False).status_code == 200


def _thaw(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


# D5: a proxy in front that was told nothing

PUBLIC_NAME = {"origin": "http://vaccine.example.org", "accept-language": "zh"}


def form_key(page: httpx.Response) -> dict[str, str]:
    """What the forms of a page carry; the same in each."""
    found = re.findall(r'<form\b[^>]*>\s*<input type="hidden" name="(form_key)" value="([^"]+)">', page.text)
    assert len(found) == page.text.count('method="post"') and len(set(found)) == 1, page.text
    return dict(found)


def test_forms_work_behind_an_nginx_with_its_default_headers(served: Up, tmp_path: Path) -> None:
    with nginx(served.url, tmp_path) as proxy, httpx.Client(base_url=proxy, trust_env=False) as phone:
        page = phone.get("/plain", headers={"accept-language": "zh"})
        sent = phone.post("/plain/look", data=form_key(page) | {"lang": "en"}, headers=PUBLIC_NAME)
        assert (sent.status_code, sent.headers["location"]) == (303, "/plain")
        page = phone.get("/plain/find")
        papers = {k: v for k, v in person(3).papers().items() if k != "name"}
        code = phone.post("/plain/find", data=form_key(page) | papers, headers=PUBLIC_NAME)
        assert code.status_code == 202 and "form_key" in form_key(code)
        referred = {"referer": "http://vaccine.example.org/plain"}  # from a browser that sends no Origin
        assert phone.post("/plain/look", data=form_key(page), headers=referred).status_code == 303
        assert phone.get("/metrics").status_code == 200


@pytest.mark.parametrize("with_name", [True, False])
def test_another_sites_form_is_refused_behind_a_proxy_and_says_which_header_is_missing(
    served: Up, tmp_path: Path, with_name: bool
) -> None:
    """Whether or not the proxy says the public name; no cookie comes along with another site's form (SameSite)."""
    headers = {"origin": "http://evil.test"} | ({"x-forwarded-host": "vaccine.example.org"} if with_name else {})
    with nginx(served.url, tmp_path) as proxy, httpx.Client(base_url=proxy, trust_env=False) as own:
        theirs = form_key(own.get("/plain"))  # anybody may read a key of their own
        for fields in ({}, theirs, {"form_key": ""}):
            refused_ = httpx.post(f"{proxy}/plain/look", data=fields | {"lang": "en"}, headers=headers, trust_env=False)
            assert refused_.status_code == 403 and "set-cookie" not in refused_.headers
            assert "X-Forwarded-Host" in refused_.text and "Cookie" in refused_.text
        other = {"cookie": f"form_key={'A' * 22}"}
        assert own.post("/plain/look", data=theirs, headers=headers | other).status_code == 403
        said = {"accept-language": "en"}
        english = httpx.post(f"{proxy}/plain/look", data={"lang": "en"}, headers=headers | said, trust_env=False)
        assert "the proxy in front does not pass on the name" in english.text
    lines = [line for line in served.logged().splitlines() if "form refused" in line and "evil.test" in line]
    assert any("none" in line if with_name else "X-Forwarded-Host" in line for line in lines), served.logged()[-2000:]


# D7: a desk's token


SITES = "site,name_zh,name_en,district,address\nT1,体育中心,Sports Centre,440106,路1号\n"


@pytest.fixture
def with_site(jiaohao: Jiaohao, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jiaohao:
    """The command line, on a store with one site."""
    monkeypatch.setenv("JIAOHAO_REDIS_URL", store_url)
    monkeypatch.setenv("JIAOHAO_SECRET", (b"s" * 32).hex())
    monkeypatch.delenv("JIAOHAO_URL", raising=False)
    (tmp_path / "sites.csv").write_text(SITES, encoding="utf-8")
    assert jiaohao("import", "sites", str(tmp_path / "sites.csv"))[0] == 0
    return jiaohao


def test_a_staff_token_is_a_desks_unless_a_managers_is_asked_for(with_site: Jiaohao) -> None:
    signer = Signer([b"s" * 32])
    code, out, err = with_site("token", "staff", "T1")
    assert code == 0 and "role: desk" in err
    assert signer.read(TokenKind.STAFF, out.strip()).entry == 1  # README: 1 sees and checks in, 2 closes too
    _, out, _ = with_site("token", "staff", "T1", "--role", "manager")
    assert signer.read(TokenKind.STAFF, out.strip()).entry == 2
    assert signer.read(TokenKind.STAFF, out.strip()).entry == Role.MANAGER


def test_a_staff_token_comes_with_a_link_and_its_qr_code(with_site: Jiaohao) -> None:
    code, out, err = with_site("token", "staff", "T1", "--link", "--url", "https://vaccine.example.org/")
    token, link, *drawn = out.splitlines()
    assert code == 0
    assert link == f"https://vaccine.example.org/staff#token={token}", "behind the #: no server and no log sees it"
    assert token not in err
    # Two rows of modules a line, and a quiet zone around (ISO/IEC 18004).
    drawn = [line for line in drawn if line.strip()]
    assert len(drawn) >= 17 and len({len(line) for line in drawn}) == 1 and set("".join(drawn)) & set("▀▄█")
    _, out, _ = with_site("token", "staff", "T1", "--link", JIAOHAO_URL="http://10.0.0.5:8080")
    assert out.splitlines()[1].startswith("http://10.0.0.5:8080/staff#token=")
    _, out, err = with_site("token", "staff", "T1")
    assert len(out.split()) == 1 and "#token" not in err, (
        "no terminal: a script takes the token, and no log gets a link"
    )


@pytest.mark.parametrize(
    "url",
    ["vaccine.example.org", "ftp://x", "https://", "https://x/staff", "https://x?a=b", "https://u:p@x", "http://x:y"],
)
def test_a_link_to_nowhere_is_refused(with_site: Jiaohao, url: str) -> None:
    code, out, err = with_site("token", "staff", "T1", "--link", "--url", url)
    assert (code, out) == (1, "") and err.count("\n") == 1 and "https://vaccine.example.org" in err
