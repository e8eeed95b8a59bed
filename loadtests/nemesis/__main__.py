"""`python -m loadtests.nemesis`: many partitions and failovers, each by its seed; exit code 1 where a promise broke.

A world (a cluster in a network of its own, and two hosts that serve) has a district for each seed, and a night at its
end. `--measure NAME` measures for how long nothing is written while a fault lasts (`loadtests/nemesis/measure.py`).
"""

# ruff: noqa: E402
from gevent import monkey

monkey.patch_all()

import argparse
import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from loadtests.faults.catalogue import CLUSTER_FAULTS
from loadtests.faults.fault import FaultError
from loadtests.faults.namespaces import Namespaces, problem
from loadtests.faults.network import Network
from loadtests.nemesis.judge import Broken, broken, hold_night
from loadtests.nemesis.measure import PEOPLE, Measured, measure, table
from loadtests.nemesis.storm import SMALL, WHOLE, Outcome, Storm
from loadtests.nemesis.world import World, WorldError

_MEASURED_EVERY_SECONDS = 19.0
_INSIDE = "JIAOHAO_NEMESIS_INSIDE"  # set for the process that is in a namespace of its own


def main() -> int:
    """Play the seeds; 0 where every promise held, 1 where one did not, 2 where it could not be held."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.nemesis", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--small", action="store_true", help="ten people and one fault each")
    parser.add_argument("--a-world", type=int, default=20, help="seeds that are played in one world, before its night")
    parser.add_argument("--rule", default="all", help="JIAOHAO_REPLICAS of the hosts")
    parser.add_argument("--node-timeout-ms", type=int, default=1000, help="cluster-node-timeout")
    parser.add_argument("--measure", nargs="*", metavar="NAME", help="in place of seeds: these faults (none: all)")
    parser.add_argument("--runs", type=int, default=3, help="of each that is measured")
    parser.add_argument("--json", type=Path, help="where to write what came of each seed")
    parser.add_argument("--keep", type=Path, help="where to keep what hosts and nodes have logged")
    parser.add_argument(
        "--namespaces", action="store_true", help="in network namespaces (root on Linux), without relay"
    )
    parser.add_argument("--server", default="server.cli", help="another module that is run as jiaohao: a broken one")
    options = parser.parse_args()
    if options.namespaces and not os.environ.get(_INSIDE):
        if (why_not := problem()) is not None:
            parser.error(why_not)
        os.environ[_INSIDE] = "1"
        command = ["unshare", "--net", sys.executable, "-m", "loadtests.nemesis", *sys.argv[1:]]
        os.execvp(command[0], command)  # noqa: S606
    if options.measure is not None:
        return _measure(options.measure or [name for name in CLUSTER_FAULTS if name != "clock"], options)
    rows: list[dict[str, Any]] = []
    left = list(range(options.first, options.first + options.seeds))
    tried: set[int] = set()
    try:
        while left:
            seeds, left = left[: options.a_world], left[options.a_world :]
            played = _world(seeds, options)
            rows += played
            left = _not_held(seeds[len(played) :], tried) + left
            if options.json is not None:
                options.json.write_text(json.dumps(rows, indent=1))
    except (WorldError, FaultError, TimeoutError) as error:
        print(f"cannot be held: {error}")
        return 2
    red = [row for row in rows if row["broken"]]
    faults, calls, kept = (sum(row[name] for row in rows) for name in ("faults", "calls", "registered"))
    print(
        f"{len(rows)} seeds, {faults} faults, {calls} calls, {kept} registrations acknowledged: "
        f"{len(red)} seeds broke a promise{_by_check(red)}"
    )
    return 1 if red else 0


def _not_held(seeds: list[int], tried: set[int]) -> list[int]:
    """Return what is to be played in another world, as this one did not come to itself again.

    Raises:
        WorldError: the first of them was the second time.
    """
    if seeds:
        if seeds[0] in tried:
            raise WorldError(f"seed {seeds[0]}, twice")
        tried.add(seeds[0])
    return seeds


def _by_check(red: list[dict[str, Any]]) -> str:
    """Say in how many seeds each check found something."""
    seeds = Counter(check for row in red for check in {it.check for it in row["broken"]})
    return f" ({', '.join(f'{check}: {n}' for check, n in sorted(seeds.items()))})" if seeds else ""


def _made(districts: int, residents: int, cadence_seconds: float, options: argparse.Namespace) -> World:
    network = Namespaces() if options.namespaces else Network()
    return World(districts, residents, cadence_seconds, options.rule, options.node_timeout_ms, network, options.server)


def _measure(names: list[str], options: argparse.Namespace) -> int:
    found: list[Measured] = []
    for _ in range(options.runs):
        world = _made(len(names), PEOPLE, _MEASURED_EVERY_SECONDS, options)
        try:
            world.start()
            for district, name in enumerate(names):
                found.append(measure(world, name, district))
                it = found[-1]
                print(
                    f"{name}: {it.seconds_without:.1f} s, {it.on_a_host:.1f} s on a host, "
                    f"{it.answered} of {it.asked} answered, {it.said}", flush=True,
                )  # fmt: skip
        finally:
            if options.keep is not None:
                _keep(world, options.keep)
            world.stop()
    print("\n".join(table(found)))
    return 0


def _world(seeds: list[int], options: argparse.Namespace) -> list[dict[str, Any]]:
    size = SMALL if options.small else WHOLE
    world = _made(len(seeds), size.residents, size.cadence_seconds, options)
    try:
        world.start()
        outcomes: list[Outcome] = []
        found: list[list[Broken]] = []
        for district, seed in enumerate(seeds):
            outcome = Storm(world, seed, district, size).play()
            wrong = list(broken(outcome))
            _say(outcome, wrong)
            if outcome.problem and not wrong:
                break
            outcomes.append(outcome)
            found.append(wrong)
        if not outcomes:
            return []
        world.cluster.await_whole()
        unseen = hold_night(world, outcomes)
        for outcome in outcomes:
            _say_broken(outcome, unseen[outcome.district])
        return [_row(outcome, [*its, *unseen[outcome.district]]) for outcome, its in zip(outcomes, found, strict=True)]
    finally:
        if options.keep is not None:
            _keep(world, options.keep)
        world.stop()


def _say(outcome: Outcome, found: list[Broken]) -> None:
    acknowledged = sum(len(seen.told) for seen in outcome.seen)
    kept = sum(bool(seen.no) for seen in outcome.seen)
    befell = ", ".join(f"{at:g} s {what.partition(':')[0]}" for at, what in outcome.befell)
    print(
        f"seed {outcome.seed}: {befell}; {acknowledged} acknowledged, {kept} registered"
        f"{'; ' + outcome.problem if outcome.problem else ''}",
        flush=True,
    )
    _say_broken(outcome, found)


def _say_broken(outcome: Outcome, found: list[Broken]) -> None:
    for it in found:
        print(f"seed {outcome.seed}: {it.check}: {it.what}", flush=True)


def _row(outcome: Outcome, found: list[Broken]) -> dict[str, Any]:
    return {
        "seed": outcome.seed,
        "befell": outcome.befell,
        "faults": outcome.faults,
        "acknowledged": sum(len(seen.told) for seen in outcome.seen),
        "registered": sum(bool(seen.no) for seen in outcome.seen),
        "problem": outcome.problem,
        "calls": len(outcome.history),
        "broken": found,
    }


def _keep(world: World, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file in (*world.folder.glob("host-*.log"), *world.folder.glob("cluster/*/valkey.log")):
        name = file.name if file.parent == world.folder else f"node-{file.parent.name}.log"
        (folder / name).write_bytes(file.read_bytes())


if __name__ == "__main__":
    sys.exit(main())
