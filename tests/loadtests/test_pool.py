"""A rehearsal by several generators is the same rehearsal: nobody twice, nobody left out, audited together."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadtests.crowd.shares import CrowdShare
from loadtests.run.options import Options
from loadtests.run.ports import free_ports
from tests.broken.rehearsing import found, held, prepare, red_of, serving

pytestmark = pytest.mark.long

# The machine's own slowness is not what is asked here.
UNHURRIED = {"slo.toml": {"[p99_ms]\njoin = 3000\nopening = 3000\npoll = 3000\nclaim = 3000\nregister = 3000\n": ""}}
LEAD_SECONDS = 20


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("company"))


def by_locust(options: Options) -> dict[str, Any]:
    """Plain Locust, as an SRE types it."""
    given = (
        "--residents", str(options.residents), "--minutes", str(options.minutes), "--crowd", options.crowd,
        "--redis-url", options.redis_url or "", "--crowd-seed", str(options.seed), "--lines", str(options.lines),
        "--slo", options.slo, "--figures", options.json or "", "--report", str(Path(options.json or "").parent / "r"),
    )  # fmt: skip
    (port,) = map(str, free_ports(1))
    here = [
        f"--master-{name}" for name in ("host=127.0.0.1", f"port={port}", "bind-host=127.0.0.1", f"bind-port={port}")
    ]
    command = ("-m", "locust", "-f", "loadtests/locustfile.py", "--headless", "-H", options.host or "")
    return found(options, *command, "--processes", "2", *here, *given)


def by_two(options: Options) -> dict[str, Any]:
    return held(msgspec.structs.replace(options, processes=2))


def audit(figures: Mapping[str, Any]) -> dict[str, bool | None]:
    return {check["name"]: check["ok"] for check in figures["checks"]}


def test_two_generators_and_a_master_give_the_same_audit_as_one(prepared: Path, tmp_path: Path) -> None:
    ways = {"one": held, "two": by_two, "locust": by_locust}

    def figures_of(name: str) -> dict[str, Any]:
        folder = tmp_path / name
        folder.mkdir()
        with serving(prepared, folder, changes=UNHURRIED, lead_seconds=LEAD_SECONDS) as options:
            return ways[name](options)

    with ThreadPoolExecutor(len(ways)) as threads:  # they mostly wait
        figures = dict(zip(ways, threads.map(figures_of, ways), strict=True))
    one = figures["one"]
    # tickets stay in the process of who was given them, so that of several no proof is asked for
    assert audit(one)["listed in the draw"]
    same = {name: ok for name, ok in audit(one).items() if name != "listed in the draw"}
    for name, other in figures.items():
        assert audit(other) == (audit(one) if name == "one" else same), name
        assert not red_of(other), name
        # what does not hang on the moment: who came, who got a place, who had to be refused
        for total in ("residents", "joined", "refused"):
            assert other["totals"][total] == one["totals"][total], (name, total)
    for name in ("two", "locust"):
        assert {"generator 1", "generator 2", "master"} <= figures[name]["cpu_percent"].keys()


@pytest.mark.parametrize("of", [1, 2, 3, 7])
def test_shares_are_everyone_once(of: int) -> None:
    shares = [CrowdShare(index, of) for index in range(of)]
    assert sorted(i for share in shares for i in share.of_all(20)) == list(range(20))
    for share in shares:
        assert {share.nearest(i, 20) for i in range(20)} <= set(share.of_all(20))
