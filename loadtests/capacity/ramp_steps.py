"""What a ramp found, step by step (`loadtests.run.ramp`); `jiaohao plan` reads it from a run's `--json`."""

from __future__ import annotations

import msgspec


class RampStep(msgspec.Struct):
    """One rate, and how it went.

    Attributes:
        rate: residents arriving a second.
        from_second, to_second: what was judged, from the opening; the end is exclusive.
        why: what broke; empty where it held.
        requests: answered, by call.
        cpu_seconds: by who, of one core.
        p99_ms: by call, from due time.
    """

    rate: float
    from_second: int
    to_second: int
    held: bool = False
    why: str = ""
    requests: dict[str, float] = {}
    cpu_seconds: dict[str, float] = {}
    p99_ms: dict[str, float] = {}

    @property
    def seconds(self) -> int:
        """Say how long it was judged."""
        return self.to_second - self.from_second


class RampResult(msgspec.Struct):
    """What a ramp found.

    Attributes:
        holds: highest rate that kept the SLOs; None where none did.
        breaks: lowest that did not; None where all did.
        limit: of the lowest that broke: workers, store, generator, machine (all of them together), others (what else
            ran on it), or unknown.
    """

    steps: list[RampStep] = []
    holds: float | None = None
    breaks: float | None = None
    limit: str = "unknown"

    def in_words(self) -> str:
        """Return the answer in a sentence."""
        if self.holds is None:
            return f"no rate held the SLOs, down to {self.breaks or 0:.0f} residents a second"
        if self.breaks is None:
            return f"every rate held the SLOs, up to {self.holds:.0f} residents a second: there were no more to send"
        limit = {
            "workers": "the workers are the limit", "store": "the store is the limit",
            "generator": "the load generator is the limit", "machine": "the machine as a whole is the limit",
            "others": "other work on the machine was the limit",
        }.get(self.limit, "nobody was as busy as they can be")  # fmt: skip
        return f"{self.holds:.0f} residents a second held the SLOs, {self.breaks:.0f} broke them; {limit}"
