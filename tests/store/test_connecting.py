"""Cases D2, D3, D4, D8 and how a store is opened: each node asked, one clock, no demo in a city, clear errors.

The rows are those of the table of small inputs that failed people (issue 11).
"""

import asyncio
import ssl
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from redis import Redis
from redis.cluster import RedisCluster

from loadtests.run.own_cluster import OwnCluster
from server.cli.serving import CityClock, look_at_store
from server.core.city import load_city
from server.core.errors import SetupError
from server.core.keys import Pepper, key, resident_tag
from server.core.settings import Settings
from server.operations.demo import RESIDENTS_PER_DISTRICT, add_demo, demo_resident
from server.store.address import naming_also, read_address
from server.store.connecting import connect
from server.store.setup import open_store
from tests.support.post import Phones, open_post
from tests.support.relay import Name, listening
from tests.support.serving import (
    REPO,
    Jiaohao,
    Up,
    end_store,
    enrol,
    environment,
    person,
    registry_csv,
    test_settings,
    until,
    up,
)
from tests.support.stores import Store
from tests.support.valkey import cluster_server, standalone_server

GOOD = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
HARD = "p@ss:w/o?r#d%20 &é"  # every character that means something in an address


def settings_of(url: str) -> Settings:
    return msgspec.structs.replace(test_settings(), redis_url=url)


@pytest.fixture
def jiaohao(jiaohao: Jiaohao, monkeypatch: pytest.MonkeyPatch) -> Jiaohao:
    """Runs the command with a secret."""
    monkeypatch.setenv("JIAOHAO_SECRET", (b"s" * 32).hex())
    monkeypatch.delenv("JIAOHAO_REPLICAS", raising=False)
    return jiaohao


def bad(out: str) -> list[str]:
    """What is said to be bad, without the cures."""
    return [line.removeprefix("BAD").split("→")[0].strip() for line in out.splitlines() if line.startswith("BAD")]


# D2: doctor asks every node


@contextmanager
def cluster_with(url: str, others: dict[int, dict[str, str]], good: dict[str, str] = GOOD) -> Iterator[list[str]]:
    """Addresses of the cluster's nodes, all set well, some of them otherwise."""
    with RedisCluster.from_url(url) as client:
        nodes: list[Any] = sorted(client.get_nodes(), key=lambda node: node.port)
        before = [node.redis_connection.config_get(*GOOD) for node in nodes]
        try:
            for i, node in enumerate(nodes):
                node.redis_connection.config_set(*[x for each in (good | others.get(i, {})).items() for x in each])
            yield [f"{node.host}:{node.port}" for node in nodes]
        finally:
            for node, settings in zip(nodes, before, strict=True):
                node.redis_connection.config_set(*[x for each in settings.items() for x in each])


def test_doctor_names_the_two_of_three_primaries_that_may_lose_an_answer(jiaohao: Jiaohao, cluster_url: str) -> None:
    with cluster_with(cluster_url, {1: {"appendfsync": "no"}, 2: {"maxmemory-policy": "allkeys-lru"}}) as nodes:
        code, out, _ = jiaohao("doctor", "--redis-url", cluster_url)
    assert code == 1
    assert [line for line in bad(out) if line.startswith("store:")] == [
        f"store: appendfsync no on {nodes[1]}", f"store: maxmemory-policy allkeys-lru on {nodes[2]}",
    ]  # fmt: skip


def test_doctor_finds_a_well_set_cluster_well(jiaohao: Jiaohao, cluster_url: str) -> None:
    with cluster_with(cluster_url, {}):
        _, out, _ = jiaohao("doctor", "--redis-url", cluster_url)
    assert not [line for line in bad(out) if not line.startswith(("no sites", "registry"))]
    assert all(f"ok    store: {name} {value}" in out for name, value in GOOD.items())


def test_replicas_that_answers_wait_for_and_that_are_not_there(jiaohao: Jiaohao, cluster_url: str) -> None:
    with cluster_with(cluster_url, {}) as nodes:
        code, out, _ = jiaohao("doctor", "--redis-url", cluster_url, JIAOHAO_REPLICAS="1")
    assert code == 1
    (line,) = (line for line in bad(out) if line.startswith("replicas"))
    assert all(node in line for node in nodes) and "0" in line


def test_standalone_without_the_replica_that_answers_wait_for(jiaohao: Jiaohao, store_url: str) -> None:
    _, out, _ = jiaohao("doctor", "--redis-url", store_url, JIAOHAO_REPLICAS="1")
    assert [line for line in bad(out) if line.startswith("replicas: 0")]


def test_a_replica_that_would_lose_answers_once_promoted_is_named(jiaohao: Jiaohao, tmp_path: Path) -> None:
    own = OwnCluster(tmp_path)
    try:
        own.start()
        port = own.url.rpartition(":")[2]  # of a replica
        with Redis(port=int(port)) as replica:
            replica.config_set("appendfsync", "everysec")
        _, out, _ = jiaohao("doctor", "--redis-url", own.url, JIAOHAO_REPLICAS="1")
        assert [line for line in bad(out) if not line.startswith(("no sites", "registry"))] == [
            f"store: appendfsync everysec on 127.0.0.1:{port}"
        ]
        assert "ok    replicas: an answer waits for 1" in out
        assert "a cluster of 6 nodes" in out
    finally:
        own.stop()


async def test_who_asks_each_node_until_cancelled_is_cancelled_at_any_point_of_a_call(store: Store) -> None:
    """As with every other call: the client itself drops some cancellations (`tests/waiting_room/test_scripts.py`)."""

    async def work() -> None:
        while True:
            await store.ask(store.nodes()[0], "TIME")

    for turns in range(30):
        task = asyncio.create_task(work())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        stopped, _ = await asyncio.wait([task], timeout=20)
        task.cancel()
        assert stopped, turns


# D3: no made-up residents in a real registry


def keys(url: str, match: str) -> set[str]:
    """The names of a cluster's keys, on all nodes."""
    with RedisCluster.from_url(url) as client:
        return {name.decode() for name in client.scan_iter(match, target_nodes=RedisCluster.PRIMARIES)}


def test_no_demo_in_a_freshly_filled_five_shard_cluster_whichever_shard_has_the_registry(tmp_path: Path) -> None:
    with cluster_server(5) as url, RedisCluster.from_url(url) as client:
        nodes: dict[str, Any] = {}
        for i in range(200):
            who = test_key(i)
            nodes.setdefault(client.get_node_from_key(who).name, i)
        assert len(nodes) == 5
        for i in nodes.values():
            client.flushall(target_nodes=RedisCluster.ALL_NODES)
            asyncio.run(on_store(url, lambda store, i=i: enrol(store, [person(i)])))  # type: ignore[misc]
            before = keys(url, "registry:*")
            assert asyncio.run(add_demo(settings_of(url), load_city())) is False
            assert keys(url, "registry:*") == before == {test_key(i)}
            assert keys(url, "demo:*") | keys(url, "looking:*") | keys(url, "sites:*") == set()


def test_key(i: int) -> str:
    """Where the store keeps the registry's line of the person of this index."""
    who = person(i)
    return key("registry", resident_tag(Pepper(b"p" * 32).resident(who.id_type, who.id_number)))


test_key.__test__ = False  # type: ignore[attr-defined]


async def on_store(url: str, work: Callable[[Store], Awaitable[Any]]) -> Any:
    store = Store(await connect(url))
    try:
        return await work(store)
    finally:
        await store.close()


def test_an_empty_cluster_is_empty_though_it_knows_its_pepper_and_its_clock(cluster_url: str) -> None:
    settings, city = settings_of(cluster_url), load_city()
    with RedisCluster.from_url(cluster_url) as client:
        client.set("clock:{clock}", 0)
        client.set("pepper:{pepper}", Pepper(b"p" * 32).mark)
    assert asyncio.run(add_demo(settings, city)) is True
    assert len(keys(cluster_url, "registry:*")) == RESIDENTS_PER_DISTRICT * len(city.districts)
    assert asyncio.run(add_demo(settings, city)) is True, "again: it is the demo's"


async def test_two_that_begin_the_demo_at_once_on_an_empty_cluster(cluster_url: str) -> None:
    settings, city = settings_of(cluster_url), load_city()
    assert await asyncio.gather(*(add_demo(settings, city) for _ in range(2))) == [True, True]
    assert len(keys(cluster_url, "registry:*")) == RESIDENTS_PER_DISTRICT * len(city.districts)


async def test_an_import_beside_it_is_seen_or_sees_the_demo(store: Store) -> None:
    """Whichever comes first: a city that has the demo's residents in it always hears of it."""

    async def write() -> bool:
        await enrol(store, [person(0)])
        return await store.is_demo()

    taken, told = await asyncio.gather(store.take_for_demo(), write())
    assert not taken or told


async def test_who_looks_whether_there_may_be_a_demo_does_not_make_it_one(store: Store) -> None:
    await enrol(store, [person(0)])
    assert await asyncio.gather(*(store.take_for_demo() for _ in range(2))) == [False, False]
    assert await store.is_demo() is False


def test_an_import_into_the_demo_is_told_so(jiaohao: Jiaohao, store_url: str, tmp_path: Path) -> None:
    assert asyncio.run(add_demo(settings_of(store_url), load_city())) is True
    file = registry_csv(tmp_path / "r.csv", [person(0)])
    env = {"JIAOHAO_PEPPER": (b"p" * 32).hex()}
    code, out, err = jiaohao("import", "registry", str(file), "--redis-url", store_url, **env)
    assert (code, "1 residents kept" in out) == (0, True)
    assert "made-up" in err
    assert "note  registry: it has the demo's made-up residents" in jiaohao("doctor", "--redis-url", store_url)[1]


# D4: the protocol


@pytest.mark.parametrize("protocol", ["2", "3"])
@pytest.mark.parametrize("kind", ["store_url", "cluster_url"])
async def test_messages_and_codes_are_sent_by_either_protocol(
    kind: str, protocol: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(kind)
    async with open_post(f"{url}?protocol={protocol}") as post:
        await post.register([person(i) for i in range(3)])
        phones = Phones()
        assert await post.send(phones) == 3
        assert {phone for phone, _ in phones.messages} == {person(i).phone for i in range(3)}
        assert await post.told("registered") == {"accepted": 3}
        assert await post.backlog() == (0, 0, 0)


# D8: one clock


@contextmanager
def serving(folder: Path, url: str, *options: str) -> Iterator[Up]:
    """`jiaohao serve` on a free port."""
    folder.mkdir()
    command = [sys.executable, "-m", "server.cli", "serve", "--port", "0", "--workers", "1", *options]
    secrets = {"JIAOHAO_SECRET": (b"s" * 32).hex(), "JIAOHAO_PEPPER": (b"p" * 32).hex()}
    secrets |= {"JIAOHAO_OPERATOR_TOKEN": "o" * 16, "JIAOHAO_REDIS_URL": url}
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(command, cwd=REPO, env=environment(**secrets), stdout=out, stderr=err)
    server = Up(process, folder, folder)
    try:
        server.await_ready()
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def city_time(server: Up) -> datetime:
    return datetime.fromisoformat(server.answered("GET", "/api/v1/city").json()["now"])


def is_same_time(one: Up, other: Up) -> bool:
    """Whether their clocks agree: asked twice, around the other."""
    first, second, third = city_time(one), city_time(other), city_time(one)
    return first <= second <= third


def test_servers_with_other_clocks_on_one_store_have_one_clock(store_url: str, tmp_path: Path) -> None:
    first_clock, second_clock = "2021-06-19T07:59:00+08:00", "2021-06-19T11:59:00+08:00"
    with serving(tmp_path / "1", store_url, "--clock", first_clock) as first:
        began = city_time(first)
        assert timedelta() <= began - datetime.fromisoformat(first_clock) < timedelta(minutes=2)
        with serving(tmp_path / "2", store_url, "--clock", second_clock) as second:
            assert is_same_time(first, second)
            assert "jiaohao: in this store it is 2021-06-19T0" in second.logged(), "it is said"
            assert "in this store it is" not in first.logged()
        anew = CityClock(datetime.fromisoformat(second_clock), anew=True)
        look_at_store(settings_of(store_url), load_city(), anew)  # what `serve --reset-clock` does first
        until(lambda: city_time(first) >= datetime.fromisoformat(second_clock), "who serves already follows")


def test_a_server_that_is_started_again_goes_on_by_the_clock_that_the_store_has(
    store_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, city = settings_of(store_url), load_city()
    clock = CityClock(datetime.now(UTC) - timedelta(days=2, minutes=30), anew=False)
    first = look_at_store(settings, city, clock)
    assert abs(first.offset_ms + (2 * 1440 + 30) * 60_000) < 60_000
    assert "clock" not in capsys.readouterr().err
    late = CityClock(datetime.now(UTC) - timedelta(days=2, minutes=40), anew=False)
    assert look_at_store(settings, city, late).offset_ms == first.offset_ms
    assert "the city's clock follows it; --reset-clock sets it anew" in capsys.readouterr().err
    assert look_at_store(settings, city, CityClock(None, anew=False)).offset_ms == first.offset_ms
    assert "the city's clock follows it" in capsys.readouterr().err, "also who asks for none"
    assert look_at_store(settings, city, CityClock(None, anew=True)).offset_ms == 0


# How a store is opened


async def refusal(url: str) -> str:
    """Why there is no store at this address: one line."""
    with pytest.raises(SetupError) as caught:
        await (await connect(url)).aclose()
    said = str(caught.value)
    assert len(said.splitlines()) == 1
    assert "secret" not in said, "an address is never repeated with its password"
    return said


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://h:1/0?timeout=3", "?timeout= is not known; there are db, protocol, ssl_ca_certs"),
        ("redis://h:1?protocol=4", "?protocol=: expected 2 or 3"),
        ("redis://h:1?protocol=2&protocol=3", "twice"),
        ("redis://h:1?ssl_check_hostname=false", "for TLS: rediss://"),
        ("rediss://h:1?ssl_check_hostname=no", "?ssl_check_hostname=: expected true or false"),
        ("rediss://h:1?ssl_ca_certs=/nowhere/ca.pem", "?ssl_ca_certs=: expected a file that can be read"),
        ("redis+sentinel://h:1", "name for the primary"),
        ("redis+sentinel://h:1/0/1/2", "number of a database"),
        ("redis://h:1?sentinel_password=secret", "?sentinel_password= is not known"),
        ("http://h:1", "this is no address of a store"),
        ("h:6379", "this is no address of a store"),
        ("redis://:secret#word@h:1", "%XX"),
        ("redis://:secret?word@h:1", "%XX"),
        ("redis://h:99999", "malformed"),
        ("redis://h:1,:2", "malformed"),
        ("redis://h:1/zero", "number of a database"),
        ("unix://relative/path", "full path"),
    ],
)
async def test_an_address_that_is_not_understood_is_refused_at_the_start(url: str, says: str) -> None:
    assert says in await refusal(url)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for `localhost` that signs itself, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    file, secret = tmp_path / "ca.pem", tmp_path / "key.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    formats = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(*formats))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, secret)
    return file, context


async def test_tls_by_the_address(store_url: str, certificate: tuple[Path, ssl.SSLContext]) -> None:
    file, context = certificate
    async with listening(Name(store_url), context) as port:
        for url in (
            f"rediss://localhost:{port}?ssl_ca_certs={quote(str(file))}",
            f"rediss://127.0.0.1:{port}?ssl_ca_certs={quote(str(file))}&ssl_check_hostname=false",
        ):
            await on_store(url, Store.ping)
        assert "certificate" in await refusal(f"rediss://localhost:{port}")
        assert "certificate" in await refusal(f"rediss://127.0.0.1:{port}?ssl_ca_certs={file}"), "of another name"
        assert "rediss://" in await refusal(f"redis://:secret@localhost:{port}")


async def test_tls_with_a_store_that_has_none(store_url: str) -> None:
    async with listening(Name(store_url)) as port:
        assert "no TLS with the store" in await refusal(f"rediss://:secret@localhost:{port}")


async def test_a_user_whose_password_has_every_special_character(store_url: str) -> None:
    with Redis.from_url(store_url) as client:
        client.acl_setuser("who/ever", enabled=True, passwords=[f"+{HARD}"], keys=["*"], commands=["+@all"])
        try:
            name, word = quote("who/ever", safe=""), quote(HARD, safe="")
            url = store_url.replace("unix://", f"unix://{name}:{word}@")
            assert await on_store(url, lambda store: store.ask(store.nodes()[0], "ACL WHOAMI")) == "who/ever"
            said = await refusal(store_url.replace("unix://", f"unix://{name}:secret@"))
            assert "does not let in user 'who/ever' or its password" in said
        finally:
            client.acl_deluser("who/ever")


async def test_what_answers_is_a_web_server() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert "is no Redis or Valkey" in await refusal(f"redis://user:secret@127.0.0.1:{port}")


async def test_where_nobody_answers(tmp_path: Path) -> None:
    said = await refusal(f"unix://user:secret@{tmp_path}/nobody")
    assert said.startswith(f"no store answers at unix://{tmp_path}/nobody")
    assert "no store answers at redis://127.0.0.1:1" in await refusal("redis://:secret@127.0.0.1:1")


async def test_a_replica_is_refused_and_of_several_servers_the_primary_is_taken() -> None:
    """Also when it has become another one: what a failover leaves is found again."""
    with standalone_server() as one, standalone_server() as two:
        async with listening(Name(one)) as first, listening(Name(two)) as second:
            with Redis.from_url(one) as a, Redis.from_url(two) as b:
                a.replicaof("127.0.0.1", 1)
                assert "a read-only replica" in await refusal(f"redis://:secret@127.0.0.1:{first}")
                both = f"redis://127.0.0.1:1,127.0.0.1:{first},127.0.0.1:{second}"
                store = Store(await connect(both))
                try:
                    await store.note_call("440106", "1", b"r" * 16)
                    assert b.exists("to_call:{440106}")
                    b.replicaof("127.0.0.1", 1)
                    assert "none of the servers is a primary" in await refusal(both)
                    a.replicaof("NO", "ONE")
                    await store.note_call("440106", "2", b"r" * 16)
                    assert a.hkeys("to_call:{440106}") == [b"2"]
                finally:
                    await store.close()


async def test_of_a_cluster_any_node_that_answers_will_do(cluster_url: str) -> None:
    place = cluster_url.removeprefix("redis://")
    await on_store(f"redis://127.0.0.1:1,{place}", Store.ping)
    assert "database 0 only" in await refusal(f"{cluster_url}/1")


async def test_a_cluster_that_is_not_whole() -> None:
    with cluster_server(1) as url:
        with Redis.from_url(url) as client:
            client.execute_command("CLUSTER", "DELSLOTSRANGE", 0, 383)
        assert "is not whole: 16000 of 16384 slots" in await refusal(url)


def test_each_of_them_is_one_line_and_exit_code_1_of_a_command(jiaohao: Jiaohao, tmp_path: Path) -> None:
    code, out, err = jiaohao("token", "staff", "T1", "--redis-url", f"unix://u:secret@{tmp_path}/no?x=1")
    assert (code, out) == (1, "")
    assert err == "jiaohao: the store's address: ?x= is not known; there are " + (
        "db, protocol, ssl_ca_certs, ssl_certfile, ssl_keyfile, ssl_check_hostname\n"
    )


def test_serve_says_at_the_start_that_the_replicas_are_missing(store_url: str, tmp_path: Path) -> None:
    options = ("--redis-url", store_url, "--no-demo", "--workers", "1")
    with up(tmp_path / "data", *options, wait=False, JIAOHAO_REPLICAS="1") as server:
        until(lambda: "JIAOHAO_REPLICAS=1: every write is refused" in server.logged(), "it is said")
    end_store(tmp_path / "data")


def test_demo_people_have_their_own_papers() -> None:
    """Made-up numbers are of no place that exists: nobody real can be one of them."""
    assert {demo_resident(load_city(), d, i)[0][:2] for d in (1, 2) for i in range(3)} == {"99"}


def test_a_worker_that_starts_later_finds_the_cluster_without_the_node_that_was_named(cluster_url: str) -> None:
    named = cluster_url.removeprefix("redis://")
    settings = look_at_store(settings_of(cluster_url), load_city(), CityClock(None, anew=False))
    first, *others = read_address(settings.redis_url).hosts
    assert f"{first[0]}:{first[1]}" == named and len(others) == 2
    assert read_address(naming_also("rediss://me:p%40w@a:1,b/0?protocol=2", ["[::1]:7", "b"])) == read_address(
        "rediss://me:p%40w@a:1,b,[::1]:7/0?protocol=2"
    )


async def test_a_store_of_a_newer_version_is_left_alone(store_url: str) -> None:
    settings = settings_of(store_url)
    await (await open_store(settings)).close()  # this version's, from now on
    await (await open_store(settings)).close()
    with Redis.from_url(store_url) as client:
        assert client.get("format:{format}") == b"1"
        client.set("format:{format}", 2)
        before = {name: client.dump(name) for name in client.scan_iter()}
        with pytest.raises(SetupError, match="newer version"):
            await open_store(settings)
        assert {name: client.dump(name) for name in client.scan_iter()} == before
