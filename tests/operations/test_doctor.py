"""`jiaohao doctor`: each thing that is wrong is said, with its cure, and makes the exit code 1."""

import re
import resource
import time
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from redis import Redis

from server.core.city import load_city
from server.operations.demo import demo_resident
from tests.support.serving import Jiaohao, Person, quick_city, registry_csv, run_cli, up

GOOD = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}


@pytest.fixture
def jiaohao(jiaohao: Jiaohao, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Jiaohao:
    """Runs the command against a store that was just made."""
    monkeypatch.setenv("JIAOHAO_REDIS_URL", store_url)
    monkeypatch.setenv("JIAOHAO_SECRET", (b"s" * 32).hex())
    return jiaohao


def bad(out: str) -> list[str]:
    """What is said to be bad, without the cures."""
    return [line.removeprefix("BAD").split("→")[0].strip() for line in out.splitlines() if line.startswith("BAD")]


def be_at(client: Redis, hour: int) -> None:
    """Let it be about this hour in the city."""
    now = datetime.now(ZoneInfo("Asia/Shanghai"))
    client.set("clock:{clock}", round((now.replace(hour=hour, minute=30) - now).total_seconds() * 1000))


def test_a_fresh_store_without_anything_in_it(jiaohao: Jiaohao) -> None:
    code, out, err = jiaohao("doctor")
    assert code == 1
    found = bad(out)
    assert [re.sub(r" in .*", "", line) for line in found] == [
        "store: appendonly no", "store: appendfsync everysec", "no sites", "registry: empty",
    ]  # fmt: skip
    assert "Tianhe" in found[2] and "Huangpu" not in found[2]
    assert all("→" in line for line in out.splitlines() if line.startswith("BAD"))
    assert err == "4 to mend\n"


def test_what_jiaohao_up_makes_is_well(tmp_path: Path) -> None:
    with up(tmp_path / "data", "--city", str(quick_city(tmp_path)), "--workers", "1") as server:
        seen = run_cli("doctor", "--data-dir", str(server.data_dir))
        assert (seen.returncode, bad(seen.stdout)) == (0, []), seen.stdout
        assert "sites: 30 in 10 districts" in seen.stdout
        assert all(f"store: {name} {value}" in seen.stdout for name, value in GOOD.items())


def test_connections_that_this_machine_has_no_open_files_for(jiaohao: Jiaohao, monkeypatch: pytest.MonkeyPatch) -> None:
    _, out, _ = jiaohao("doctor")
    assert re.search(r"ok +connections: 8192 a worker .*, 7[0-9] MB", out), out
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setenv("JIAOHAO_CONNECTIONS", "9999999")
    _, out, _ = jiaohao("doctor")
    found = re.search(r"note +connections: ([0-9]+) a worker, not 9999999,.*→ ulimit -Hn ([0-9]+)", out)
    assert found and int(found[1]) < hard < 9_999_999 < int(found[2])


def test_messages_that_nobody_sends(jiaohao: Jiaohao, store_url: str) -> None:
    old_ms = int(time.time() * 1000) - 300_000
    with Redis.from_url(store_url) as client:
        client.xadd("outbox:{440106}", {"kind": "code"}, id=f"{old_ms}-0")
        client.xadd("codes:{440111}", {"kind": "code"})
        be_at(client, 12)
    _, out, _ = jiaohao("doctor")
    assert "outbox: 2 messages owed, the oldest for 5 minutes" in bad(out)


def test_what_waits_for_the_morning_is_no_fault(jiaohao: Jiaohao, store_url: str) -> None:
    old_ms = int(time.time() * 1000) - 300_000
    with Redis.from_url(store_url) as client:
        client.xadd("outbox:{440106}", {"kind": "code"}, id=f"{old_ms}-0")
        be_at(client, 2)
        _, out, _ = jiaohao("doctor")
        assert not [line for line in bad(out) if "outbox" in line]
        assert "outbox: 1 messages owed; quiet hours until 08:00" in out
        client.xadd("codes:{440106}", {"kind": "code"}, id=f"{old_ms}-0")
    _, out, _ = jiaohao("doctor")
    assert "outbox: 2 messages owed, the oldest for 5 minutes" in bad(out), "codes do not wait"


def test_dead_letters_and_whom_to_call(jiaohao: Jiaohao, store_url: str) -> None:
    with Redis.from_url(store_url) as client:
        client.hset("dead:{440106}", "440106-1-0", b"x")
        client.hset("to_call:{440106}", "106190100000013", b"r" * 16)
    _, out, _ = jiaohao("doctor")
    assert "outbox: 1 dead letters" in bad(out)
    assert "note  outbox: 1 residents to call" in out


def test_young_messages_are_no_fault(jiaohao: Jiaohao, store_url: str) -> None:
    with Redis.from_url(store_url) as client:
        client.xadd("outbox:{440106}", {"kind": "code"})
    _, out, _ = jiaohao("doctor")
    assert not [line for line in bad(out) if "outbox" in line]
    assert "outbox: 1 messages owed" in out


def test_what_was_imported_is_seen(jiaohao: Jiaohao, tmp_path: Path) -> None:
    who = Person(*demo_resident(load_city(), 1, 0))
    assert jiaohao("import", "registry", str(registry_csv(tmp_path / "r.csv", [who])))[0] == 0
    _, out, _ = jiaohao("doctor")
    assert "registry: imported" in out
    assert not [secret for secret in (who.id_number, who.name, who.phone) if secret in out]


def test_an_earlier_secret_is_a_note(jiaohao: Jiaohao, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIAOHAO_PREVIOUS_SECRETS", (b"o" * 32).hex())
    _, out, _ = jiaohao("doctor")
    assert "note  secrets: 1 earlier still honoured" in out


def test_a_cluster_is_examined_too(jiaohao: Jiaohao, cluster_url: str) -> None:
    code, out, _ = jiaohao("doctor", "--redis-url", cluster_url)
    assert code == 1
    assert ", a cluster" in out
    assert "registry: empty" in bad(out)
    assert "note  replicas: none on 127.0.0.1:" in out
    _, out, _ = jiaohao("doctor", "--redis-url", cluster_url, JIAOHAO_REPLICAS="1")
    assert [line for line in bad(out) if "JIAOHAO_REPLICAS=1" in line], "there is none that an answer could wait for"


def test_where_no_store_answers_it_is_one_line(jiaohao: Jiaohao, tmp_path: Path) -> None:
    code, _, err = jiaohao("doctor", "--redis-url", f"unix://{tmp_path}/nobody")
    assert code == 1
    assert "no store answers" in err and len(err.splitlines()) == 1
