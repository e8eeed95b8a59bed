"""What `jiaohao doctor --acl` prints is what the store's users need: all of it, and nothing besides.

A whole life of a city is led on a real store as exactly these users, standalone and in a cluster; whatever one of
them may not do is in the store's ACL LOG afterwards.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from redis import Redis
from redis.cluster import RedisCluster

from server.cli.serving import CityClock, look_at_store
from server.core.city import load_city
from server.messages.delivery_receipts import ReportedDelivery
from server.operations.acl import users
from server.records.message import Sent
from server.store.scripts import load_scripts
from tests.support.city_files import loud_city
from tests.support.dead_letters import shelved
from tests.support.phones import Phones
from tests.support.serving import (
    OPERATOR,
    REPO,
    TIANHE,
    House,
    Jiaohao,
    open_house,
    person,
    registry_csv,
    test_settings,
)

SECRETS = {"JIAOHAO_SECRET": (b"s" * 32).hex(), "JIAOHAO_PEPPER": (b"p" * 32).hex()}
WORD = "a/b:c"
MONDAY = date(2021, 6, 21)
NEEDS_A_CLUSTER = {"command", "cluster|slots", "cluster|nodes", "cluster|info"}
NEEDS_REPLICAS = {"wait"}
# Everybody may; a backup is loaded into a store of ours; who puts one back may do anything (`jiaohao restore`).
ASKED_BY_NO_USER = {"hello", "auth", "pexpiretime", "restore"}
NEEDS_A_SLOT_ON_ITS_WAY = {"asking"}


def printed(jiaohao: Jiaohao) -> dict[str, list[str]]:
    """The users and their rights, as they are printed."""
    code, out, err = jiaohao("doctor", "--acl")
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines() if line.startswith("ACL SETUSER ")]
    assert all(line.count(">PASSWORD") == 1 for line in lines)
    return {line[2]: line[3:] for line in lines}


def nodes_of(url: str, stack: ExitStack) -> list[Any]:
    """A client of each node."""
    if url.startswith("unix:"):
        return [stack.enter_context(Redis.from_url(url))]
    cluster = stack.enter_context(RedisCluster.from_url(url))
    return [node.redis_connection for node in cluster.get_nodes()]


@contextmanager
def with_users(url: str, rights: dict[str, list[str]]) -> Iterator[list[Any]]:
    """The store has these users; its nodes."""
    with ExitStack() as stack:
        nodes = nodes_of(url, stack)
        for node in nodes:
            node.config_resetstat()
            node.acl_log_reset()
            for name, words in rights.items():
                words = [f">{WORD}" if word == ">PASSWORD" else word for word in words]
                assert node.execute_command("ACL", "SETUSER", name, *words) in (b"OK", True)
        try:
            yield nodes
        finally:
            for node in nodes:
                node.execute_command("ACL", "DELUSER", *rights)


def as_user(url: str, name: str) -> str:
    """The store's address, to be entered as somebody."""
    scheme, _, place = url.partition("://")
    return f"{scheme}://{name}:{quote(WORD, safe='')}@{place}"


def denied(nodes: list[Any]) -> list[tuple[str, ...]]:
    """(user, what was refused to them), of all nodes."""
    entries = [entry for node in nodes for entry in node.acl_log()]
    return [tuple(str(entry[name]) for name in ("username", "reason", "context", "object")) for entry in entries]


def used(nodes: list[Any]) -> Counter[str]:
    """How often each command was obeyed, on all nodes."""
    calls: Counter[str] = Counter()
    for node in nodes:
        for name, told in node.info("commandstats").items():
            calls[name.removeprefix("cmdstat_")] += told["calls"] - told["rejected_calls"]
    return calls


async def morning(house: House) -> None:
    """Of an opening: all that a resident and an operator do."""
    phones, store = Phones(), house.store
    await store.open_outbox([district.code for district in house.services.city.districts])
    await house.at("08:00:00")
    early = [(await house.join(person(i)))["ticket"] for i in range(3)]
    assert (await house.call("DELETE", "/ticket", bearer=early[2])).status_code == 204
    await house.at("09:00:00")
    for call in ("/city", f"/openings/{TIANHE}", f"/sites?district={TIANHE}"):
        await house.get(call)
    assert (await house.call("GET", "/ticket", bearer=early[0])).status_code == 200
    assert (await house.client.get("/readyz")).status_code == 200
    await house.call("POST", f"/openings/{TIANHE}/eligibility", json=person(4).papers())
    change = {"rate_per_second": 100, "message": "慢"}
    assert (await house.call("PATCH", f"/openings/{TIANHE}", bearer=OPERATOR, json=change)).status_code == 200
    done = await house.registered(person(3))
    path = f"/registrations/{done['registration_no']}"
    wishes = {"preferences": [{"site": "T1", "period": "am"}], "accept_any_site": True}
    assert (await house.call("PATCH", path, bearer=done["receipt"], json=wishes)).status_code == 200
    who = {k: v for k, v in person(3).papers().items() if k != "name"}
    assert (await house.call("POST", "/access-codes", json=who)).status_code == 202
    await house.services.access.settled()
    assert await house.services.sender.send_codes(phones, "test") == 1
    code = re.search(r"\d{6}", phones.messages[0][1])
    assert code is not None
    token = await house.call("POST", "/access-tokens", json=who | {"code": code[0]})
    assert (await house.call("GET", path, bearer=token.json()["receipt"])).status_code == 200
    left = await house.registered(person(5))
    gone = f"/registrations/{left['registration_no']}/cancellation"
    assert (await house.call("POST", gone, bearer=left["receipt"])).status_code == 200
    name = await shelved(house)
    assert (await house.call("POST", f"/operations/dead/{name}/resend", bearer=OPERATOR)).status_code == 204
    await store.note_call(TIANHE, done["registration_no"], house.resident(person(3)))
    for look in ("/operations", "/operations/calls", "/operations/bars", "/operations/dead"):
        assert (await house.call("GET", look, bearer=OPERATOR)).status_code == 200
    called = f"/operations/calls/{done['registration_no']}"
    assert (await house.call("DELETE", called, bearer=OPERATOR, json={"reason": "已告知"})).status_code < 300
    sent = Sent(house.resident(person(3)), TIANHE, done["registration_no"], "registered", house.clock.at_ms)
    await store.expect_receipts(["smsc-1"], sent)
    await house.services.sender.receipts.take(ReportedDelivery(("smsc-1",), "delivered"))
    for text in ("TD", "START"):
        await house.services.sender.receipts.reply(person(3).phone, text)


async def evening_and_desk(house: House) -> None:
    """The night, and two days later: somebody comes, a site closes, somebody is barred and let in again."""
    await house.at("10:00:00")
    for i in (6, 7):
        await house.booked(person(i), MONDAY)
    await house.at("20:10:00")
    assert {outcome.district for outcome in await house.services.night.run(house.day)} >= {TIANHE}
    assert (await house.call("GET", f"/allotments/{TIANHE}/{house.day}")).status_code == 200
    await house.services.sender.send_messages(Phones(), "test")
    await house.at("09:00:00", MONDAY)
    staff = house.staff("T1")
    entries = (await house.get("/sites/T1/roster", bearer=staff))["entries"]
    seen = {"registration_no": entries[0]["registration_no"], "date": MONDAY.isoformat()}
    assert (await house.call("POST", "/sites/T1/lookups", bearer=staff, json=seen)).status_code == 200
    assert (await house.call("POST", "/attendances", bearer=staff, json=seen)).status_code == 200
    mistake = {"date": seen["date"], "reason": "点错了人"}
    undone = await house.call("POST", f"/attendances/{seen['registration_no']}/undo", bearer=staff, json=mistake)
    assert undone.status_code == 200
    assert (await house.call("POST", "/attendances", bearer=staff, json=seen)).status_code == 200
    assert (await house.get(f"/operations/acts?district={TIANHE}", bearer=OPERATOR))["acts"]
    closing = {"date": MONDAY.isoformat(), "reason": "停电"}
    assert (await house.call("POST", "/sites/T1/closures", bearer=staff, json=closing)).status_code == 200
    await house.forward(61)
    await house.services.appointments.reconcile()
    no, resident = entries[-1]["registration_no"], house.resident(person(7))
    await house.store.note_bar(TIANHE, no, resident)
    await house.call("DELETE", f"/operations/bars/{no}", bearer=OPERATOR, json={"reason": "误判"})
    await house.store.forget_bar(TIANHE, no)
    await house.registered(person(8))  # `notify` says so


async def opened(url: str) -> None:
    async with open_house(url) as house:
        await morning(house)
        await evening_and_desk(house)


@pytest.mark.parametrize("kind", ["store_url", "cluster_url"])
def test_a_citys_life_as_the_users_that_are_printed(
    kind: str, jiaohao: Jiaohao, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = request.getfixturevalue(kind)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    sites, capacity = tmp_path / "sites.csv", tmp_path / "capacity.csv"
    sites.write_text(f"site,name_zh,name_en,district,address\nT1,一,One,{TIANHE},路1号\n", "utf-8")
    slots = "".join(f"T1,2021-06-{day},{half},inactivated,9\n" for day in (21, 22, 23) for half in ("am", "pm"))
    capacity.write_text(f"site,date,period,product,capacity\n{slots}", "utf-8")
    registry = registry_csv(tmp_path / "r.csv", [person(i) for i in range(9)])
    with with_users(url, printed(jiaohao)) as nodes:
        serves = as_user(url, "jiaohao")
        imports, keeps, examines = (as_user(url, f"jiaohao-{it}") for it in ("import", "keeper", "doctor"))
        for node in nodes:  # where no script is known yet, `eval` is needed
            node.script_flush()
        settings = msgspec.structs.replace(test_settings(), redis_url=serves)
        look_at_store(settings, load_city(), CityClock(None, anew=False))
        done = [
            jiaohao("import", what, str(file), "--redis-url", imports, "--replace", "--yes")
            for what, file in (("sites", sites), ("registry", registry), ("capacity", capacity))
        ]
        assert [code for code, *_ in done] == [0, 0, 0], done
        asyncio.run(opened(serves))
        # Years later by the machine's clock, that they are registered is still worth saying.
        beside = ("--redis-url", serves, "--city", loud_city(tmp_path, registered=900_000))
        assert jiaohao("notify", "--once", "--file", str(tmp_path / "sms"), *beside)[0] == 0
        assert (tmp_path / "sms").stat().st_size
        for command in (("outbox", *beside), ("outbox", *beside, "dead"), ("outbox", *beside, "calls")):
            assert jiaohao(*command)[0] == 0, command
        assert jiaohao("token", "staff", "T1", *beside)[0] == 0
        assert jiaohao("night", "--date", "2021-06-22", "--dry-run", *beside)[0] in (0, 1)
        assert jiaohao("purge", "--before", "2021-07-01", "--by-day", "--redis-url", keeps)[0] == 0
        assert jiaohao("purge", "--registry", "--dry-run", "--redis-url", keeps)[0] == 0
        assert jiaohao("reseal", "--redis-url", keeps)[0] == 0
        copies = as_user(url, "jiaohao-backup")
        code, out, err = jiaohao("backup", str(tmp_path / "a.backup"), "--redis-url", copies)
        assert code == 0 and "read again" in out, err
        _, out, _ = jiaohao("doctor", "--redis-url", examines)
        assert "cannot be read" not in out and "cannot be seen" not in out
        assert denied(nodes) == []
        was_used = used(nodes)
        for user in users():
            plain = {command for grant in user.grants if ".lua" not in grant.why for command in grant.commands}
            plain -= NEEDS_REPLICAS | NEEDS_A_SLOT_ON_ITS_WAY | (NEEDS_A_CLUSTER if kind == "store_url" else set())
            assert sorted(command for command in plain if not was_used[command]) == [], user.name


def test_each_script_may_be_run_by_a_user_that_is_printed(jiaohao: Jiaohao, store_url: str) -> None:
    """Also those that the life above does not come to."""
    rights = printed(jiaohao)
    with with_users(store_url, rights) as (node,):
        for script in load_scripts().values():
            keys = [f"{kind}:{{x}}" for kind in script.keys]
            call = ("EVALSHA", script.sha, len(keys), *keys)
            tried = {name: node.execute_command("ACL", "DRYRUN", name, *call) for name in rights}
            assert b"OK" in tried.values(), (script.name, tried)
            assert tried["jiaohao-doctor"] != b"OK", script.name


def test_every_command_and_key_in_the_code_is_granted_and_no_other() -> None:
    """Read off the source: what the store's modules call beside the scripts."""
    files = [*(REPO / "server" / "store").glob("*.py"), *(REPO / "server").glob("*/*store.py")]
    source = "\n".join(file.read_text("utf-8") for file in files)
    called = {name.lower() for name in re.findall(r'\(\s*"([A-Z]{3,})",', source)} - ASKED_BY_NO_USER
    granted = {command.partition("|")[0] for user in users() for command in user.commands}
    assert called <= granted, "add a row to server/operations/acl.py"
    kinds = set(re.findall(r'\bkey\("(\w+)"', source))
    known = {kind for user in users() for grant in user.grants for kind in grant.kinds}
    assert kinds <= known, "add a row to server/operations/acl.py"
    scripts = "\n".join(file.read_text("utf-8") for file in (REPO / "lua").glob("*.lua"))
    assert len(re.findall(r"\bcall\(", scripts)) == len(re.findall(r"\bcall\('[A-Z]+'", scripts)), "none is computed"


def test_no_user_can_read_the_stores_passwords_or_change_it(jiaohao: Jiaohao) -> None:
    dangerous = {"flushall", "flushdb", "keys", "shutdown", "debug", "monitor", "acl", "config", "replicaof", "migrate"}
    for name, words in printed(jiaohao).items():
        commands = {word[1:] for word in words if word.startswith("+")}
        assert not commands & dangerous, name
        assert "config|get" not in commands or name == "jiaohao-doctor"
        assert "-@all" in words and "~*" not in words and "resetchannels" in words


def test_what_a_user_may_not_read_is_a_note_and_no_crash(
    jiaohao: Jiaohao, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    with with_users(store_url, printed(jiaohao)):
        code, out, err = jiaohao("doctor", "--redis-url", as_user(store_url, "jiaohao"))
        assert code == 1 and "Traceback" not in err
        assert "note  store: its settings cannot be read  → make sure of appendonly yes" in out
        assert "note  registry: whether it is imported cannot be seen" in out
        code, out, err = jiaohao("token", "staff", "T1", "--redis-url", as_user(store_url, "jiaohao-doctor"))
        assert code == 1 and len(err.splitlines()) == 1
