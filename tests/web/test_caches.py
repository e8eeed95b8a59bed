"""Caches that others wrote, in front of a real server: they carry the crowd that waits, and nothing that is private."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.front import connect, nginx, varnish
from tests.support.serving import API, BAIYUN, TIANHE, Up, up
from tests.support.steps import adjust, demo

LOOKS, SECONDS, AT_ONCE = 2_000, 5.0, 20
PATH = f"{API}/openings/{TIANHE}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A server whose opening is on, and calls nobody yet."""
    folder = tmp_path_factory.mktemp("caches")
    with up(folder / "data", "--clock", "2021-06-19T08:10:00+08:00", "--workers", "2") as it:
        adjust(it, rate_per_second=0.0)
        yield it


@pytest.fixture(params=["nginx", "varnish"])
def cache(request: pytest.FixtureRequest, server: Up, tmp_path: Path) -> Iterator[str]:
    """The address of a cache in front of it."""
    if request.param == "nginx":
        with nginx(server.url, tmp_path, caches_openings=True) as it:
            yield it
    else:
        with varnish(server.url, tmp_path) as it:
            yield it


def reached(server: Up, call: str) -> int:
    """How many answers to a call the workers have given."""
    time.sleep(0.6)  # workers hand over what they count twice a second
    text = httpx.get(f"{server.url}/metrics", trust_env=False, timeout=30).text
    return int(sum(float(it) for it in re.findall(rf'jiaohao_requests_total{{call="{call}",[^}}]*}} (\S+)', text)))


def looks(address: str, count: int, seconds: float, path: str = PATH, *, queries: bool = False) -> list[bytes]:
    """So many requests of one visitor, evenly over this time; the heads of the answers."""
    heads = []
    with connect(address) as s, s.makefile("rb") as answers:
        for i in range(count):
            asked = f"{path}?{i}" if queries else path
            s.sendall(f"GET {asked} HTTP/1.1\r\nHost: jiaohao.test\r\n\r\n".encode())
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += answers.readline()
            length = re.search(rb"content-length: (\d+)", head.lower())
            assert length, head
            answers.read(int(length[1]))
            heads.append(head)
            time.sleep(seconds / count)
    return heads


def crowd(address: str) -> tuple[list[bytes], float]:
    """All looks of a crowd, and how long they took."""
    started = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda _: looks(address, LOOKS // AT_ONCE, SECONDS), range(AT_ONCE)))
    return [head for heads in found for head in heads], time.monotonic() - started


def test_however_many_look_two_answers_a_second_reach_a_worker(server: Up, cache: str) -> None:
    before = reached(server, "openings")
    heads, took_s = crowd(cache)
    assert len(heads) == LOOKS
    assert all(head.startswith(b"HTTP/1.1 200") for head in heads)
    assert 1 <= reached(server, "openings") - before <= 2 * took_s + 2
    looks(cache, 3, 0.1, f"{API}/openings/{BAIYUN}")
    assert httpx.get(f"{cache}{API}/openings/{BAIYUN}", trust_env=False).json()["district"] == BAIYUN


def test_nginx_as_the_readme_has_it_is_not_taken_in_by_queries(server: Up, tmp_path: Path) -> None:
    with nginx(server.url, tmp_path, caches_openings=True) as cache:
        before = reached(server, "openings")
        started = time.monotonic()
        looks(cache, 300, 1.0, queries=True)
        assert reached(server, "openings") - before <= 2 * (time.monotonic() - started) + 2


def test_a_ticket_is_its_holders_alone_through_a_cache(server: Up, cache: str, request: pytest.FixtureRequest) -> None:
    first = 1 + 2 * ["nginx", "varnish"].index(request.node.callspec.params["cache"])
    places = []
    with httpx.Client(base_url=cache, trust_env=False, timeout=30) as phone:
        for who in (demo(first), demo(first + 1)):
            answer = phone.post(f"{API}/openings/{TIANHE}/tickets", json=who.papers())
            assert answer.status_code == 201
            places.append(answer.json())
        before = reached(server, "poll")
        for _ in range(10):
            for place in places:
                told = phone.get(f"{API}/ticket", headers={"authorization": f"Bearer {place['ticket']}"})
                assert (told.status_code, told.json()["number"]) == (200, place["number"])
                assert told.headers["cache-control"] == "no-store"
        assert reached(server, "poll") - before == 20
        tag = phone.get(PATH).headers["etag"]
        again = phone.get(PATH, headers={"if-none-match": tag})
        assert again.status_code in (200, 304)
        assert (again.status_code == 304) is (again.headers["etag"] == tag)


def test_each_reader_gets_the_page_in_their_own_language_through_a_cache(cache: str) -> None:
    wanted = {"zh-CN": "zh-CN", "en-GB,en;q=0.9": "en", "zh-HK": "zh-Hant"}
    tags = set()
    for path in ("/", "/manifest.webmanifest", "/"):
        for asked, declared in wanted.items():
            answer = httpx.get(f"{cache}{path}", headers={"accept-language": asked}, trust_env=False)
            assert (answer.status_code, answer.headers["content-language"]) == (200, declared), (path, asked)
            tags.add((path, answer.headers["etag"]))
    assert len(tags) == 6
