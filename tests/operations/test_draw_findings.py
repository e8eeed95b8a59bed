"""`jiaohao doctor` looks whether draws and nights can come to their end: their seeds, and the beacon's relays."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from redis import Redis

from loadtests.run.own_beacon import OwnBeacon, problem_of_beacon
from server.core.city import SHIPPED_CITY
from server.core.encryption import SeedCipher
from tests.support.serving import TIANHE, Jiaohao

OURS, OTHER = b"s" * 32, b"o" * 32
TODAY = datetime.now(ZoneInfo("Asia/Shanghai")).date()
needs_beacon = pytest.mark.skipif(problem_of_beacon() is not None, reason=str(problem_of_beacon()))


@pytest.fixture
def jiaohao(jiaohao: Jiaohao, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Jiaohao:
    """Runs the command against a store that was just made."""
    monkeypatch.setenv("JIAOHAO_REDIS_URL", store_url)
    monkeypatch.setenv("JIAOHAO_SECRET", OURS.hex())
    monkeypatch.setenv("JIAOHAO_PEPPER", OURS.hex())  # else the earliest secret's
    return jiaohao


def line_of(out: str, what: str) -> str:
    """The one line about it."""
    lines = [line for line in out.splitlines() if f"  {what}: " in line]
    assert len(lines) == 1, out
    return lines[0]


def test_seeds_that_our_secrets_open_and_one_that_they_do_not(
    jiaohao: Jiaohao, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert line_of(jiaohao("doctor")[1], "seeds") == "ok    seeds: 0 sealed ones can be opened"
    tomorrow = TODAY + timedelta(days=1)
    with Redis.from_url(store_url) as client:
        for kind, of, day in (("opening", "draw", TODAY), ("opening", "draw", tomorrow), ("night", "night", TODAY)):
            sealed = SeedCipher([OURS]).seal(f"{of} {TIANHE}:{day}", bytes(32))
            client.hset(f"{kind}:{{{TIANHE}:{day}}}", "sealed", sealed)
        assert line_of(jiaohao("doctor")[1], "seeds") == "ok    seeds: 3 sealed ones can be opened"
        sealed = SeedCipher([OTHER]).seal(f"night {TIANHE}:{tomorrow}", bytes(32))
        client.hset(f"night:{{{TIANHE}:{tomorrow}}}", "sealed", sealed)
    code, out, _ = jiaohao("doctor")
    said = line_of(out, "seeds")
    assert code == 1 and said.startswith(f"BAD   seeds: our secrets do not open that of night {TIANHE}:{tomorrow}")
    assert "JIAOHAO_PREVIOUS_SECRETS" in said
    monkeypatch.setenv("JIAOHAO_PREVIOUS_SECRETS", OTHER.hex())
    assert line_of(jiaohao("doctor")[1], "seeds") == "ok    seeds: 4 sealed ones can be opened"


def test_a_city_without_a_beacon(jiaohao: Jiaohao) -> None:
    assert line_of(jiaohao("doctor")[1], "beacon") == "ok    beacon: none is named"


@pytest.fixture(scope="module")
def relays() -> Iterator[list[OwnBeacon]]:
    """One that answers, and one that does not."""
    made = [OwnBeacon(datetime.now(ZoneInfo("Asia/Shanghai")), silent=silent) for silent in (False, True)]
    yield made
    for each in made:
        each.stop()


@needs_beacon
def test_relays_that_answer_are_silent_or_serve_another_chain(
    jiaohao: Jiaohao, relays: list[OwnBeacon], tmp_path: Path
) -> None:
    good, silent = relays

    def doctor(chain: str, *urls: str) -> list[str]:
        file = good.city_file(SHIPPED_CITY, tmp_path / "city.toml")
        text = file.read_text("utf-8").replace(good.chain, chain).replace(f'"{good.url}"', ", ".join(map(repr, urls)))
        file.write_text(text, "utf-8")
        return [it for it in jiaohao("doctor", "--city", str(file))[1].splitlines() if "  beacon: " in it]

    assert doctor(good.chain, good.url) == ["ok    beacon: 1 of 1 relays serve its chain"]
    host = silent.url.removeprefix("http://")
    some = doctor(good.chain, good.url, silent.url)
    assert some[0].startswith(f"note  beacon: {host}: no answer in 1 s  → see beacon.relays") and len(some) == 2
    assert some[1] == "ok    beacon: 1 of 2 relays serve its chain"
    (none,) = doctor(good.chain, silent.url)
    assert none.startswith(f"BAD   beacon: {host}: no answer in 1 s")
    (other,) = doctor(silent.chain, good.url)
    assert other.startswith("BAD   beacon: ") and "HTTP 404" in other
    key = good.chain.rpartition(":")[2]
    (no_key,) = doctor(good.chain.replace(key, "ff" * 96), good.url)
    assert no_key.startswith("BAD   beacon: the public key in its name is none")
