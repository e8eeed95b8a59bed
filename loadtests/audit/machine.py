"""Whether the machine was free for the run: what others took of it, and when every core was full.

A rehearsal that shares its machine cannot tell a slow server from one that was kept waiting. Where that may be so the
verdict is inconclusive: neither green nor red.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

from loadtests.audit.slo import Machine as Limits

_SHARE_OF_THE_REST = 0.1
"""A full machine is the server's own limit where generator and others together had less than this share of it."""


class MachineLoad:
    """This says what the machine on which a run was held could show of the server.

    Args:
        cpu: percent of one core, by who and second of the run.
        limits: when a second is the machine's.
        cores: how many it has.
        measured: the seconds that are judged.
    """

    def __init__(self, cpu: Mapping[str, Mapping[int, float]], limits: Limits, cores: int, measured: range) -> None:
        self._cpu, self._limits, self._cores, self._measured = cpu, limits, cores, measured

    @cached_property
    def taken(self) -> dict[int, str]:
        """Return the seconds in which others took CPU, and how much: they prove nothing about the server.

        Where the server's own processes are not known (`--host`) nobody can tell others from it, and none are named.
        """
        if "workers" not in self._cpu:
            return {}
        limit = self._limits.others_percent * self._cores
        return {
            second: f"others took {percent / self._cores:.0f} % of the machine"
            for second, percent in sorted(self._cpu.get("others", {}).items())
            if percent > limit
        }

    @cached_property
    def full(self) -> frozenset[int]:
        """Return the seconds in which every core was busy, and not with the server alone."""
        limit, found = self._limits.full_percent * self._cores, set()
        for second in self._cpu.get("others", {}):
            by_whom = {who: percents.get(second, 0.0) for who, percents in self._cpu.items()}
            whole = sum(by_whom.values())
            servers = by_whom.get("workers", 0.0) + by_whom.get("store", 0.0)
            if whole > limit and whole - servers > _SHARE_OF_THE_REST * whole:
                found.add(second)
        return frozenset(found)

    @cached_property
    def too_busy(self) -> str | None:
        """Say why this machine could not show what the server does, in words; None where it could."""
        seconds = [second for second in self.taken if second in self._measured]
        if len(seconds) <= self._limits.marked_share * len(self._measured):
            return None
        others = sorted(self._cpu["others"][second] for second in seconds)
        share = others[len(others) // 2] / self._cores
        return (
            f"others took the CPU in {len(seconds)} of {len(self._measured)} s, {share:.0f} % of the machine (median)"
        )

    def unproven(self, seconds: Iterable[int]) -> str | None:
        """Say why what went wrong in these seconds may be no fault of the server's, in words; None where it is one."""
        if self.too_busy is not None:
            return self.too_busy
        wrong = set(seconds)
        full = wrong & self.full
        if 2 * len(full) > len(wrong):
            return f"all cores were full in {len(full)} of the {len(wrong)} s concerned, generator and others included"
        return None
