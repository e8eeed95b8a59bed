"""Stores of our own for the tests: a standalone server and a real three-node cluster, once per xdist worker."""

import os
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import HealthCheck, settings
from redis import Redis
from redis.cluster import RedisCluster

from server.cli import main
from server.store.connecting import connect
from tests.support.serving import Jiaohao
from tests.support.stores import Store
from tests.support.valkey import cluster_server, standalone_server

# A loaded machine is slow, not wrong; CI draws the same examples every time, so that a red run can be repeated.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, database=None, print_blob=True)

settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(scope="session")
def standalone_session() -> Iterator[str]:
    """The worker's standalone server; use `store_url`, which empties it."""
    with standalone_server() as url:
        yield url


@pytest.fixture(scope="session")
def cluster_session() -> Iterator[str]:
    """The worker's cluster; use `cluster_url`, which empties it."""
    with cluster_server() as url:
        yield url


@pytest.fixture
def store_url(standalone_session: str) -> str:
    """URL of an empty standalone server, ours alone."""
    with Redis.from_url(standalone_session) as client:
        client.flushall()
    return standalone_session


@pytest.fixture
def cluster_url(cluster_session: str) -> str:
    """URL of an empty three-node cluster, ours alone."""
    with RedisCluster.from_url(cluster_session) as client:
        client.flushall(target_nodes=RedisCluster.ALL_NODES)
    return cluster_session


@pytest.fixture(params=["standalone", "cluster"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """An empty store, once standalone and once a cluster; set `now_ms` for the time."""
    url = request.getfixturevalue("store_url" if request.param == "standalone" else "cluster_url")
    connected = Store(await connect(url))
    yield connected
    await connected.close()


@pytest.fixture
def jiaohao(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Jiaohao:
    """Runs the command in this process; (exit code, standard output, standard error)."""
    for name in ("REDIS_URL", "SECRET", "OPERATOR_TOKEN", "PEPPER", "PREVIOUS_SECRETS", "CITY", "OFFSET_MS"):
        monkeypatch.delenv(f"JIAOHAO_{name}", raising=False)

    def run(*arguments: str, **env: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["jiaohao", *arguments])
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        code = 0
        try:
            main()
        except SystemExit as left:
            code = int(left.code or 0)
        return code, *capsys.readouterr()

    return run


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where nothing may be skipped (CI), a skipped test is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("JIAOHAO_NOTHING_SKIPPED") and reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line("skipped, but JIAOHAO_NOTHING_SKIPPED is set", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long goes first: begun last, it would keep one core busy while the others have nothing left to do."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
