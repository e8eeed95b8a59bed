"""What was seen of a run from outside, second by second: the openings, the store's counters, CPU and memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from loadtests.client.answers import BeaconRound, Proof


@dataclass(frozen=True)
class OpeningSeen:
    """`GET /openings/{district}`, asked at `sent_ms` and answered at `seen_ms` from the opening."""

    sent_ms: int
    seen_ms: int
    state: str
    issued: int
    serving: int
    waiting: int
    commitment: str
    entries: int | None
    seed: str | None
    key: str | None = None
    root: str | None = None
    beacon: BeaconRound | None = None

    @property
    def signature(self) -> str:
        """Return the signature of the beacon's round, hex; "" where there is none."""
        return (self.beacon and self.beacon.signature) or ""


@dataclass(frozen=True)
class StoreSeen:
    """An opening's counters in the store, between `sent_ms` and `seen_ms`; passes that live well past that."""

    sent_ms: int
    seen_ms: int
    fields: dict[str, str]
    passes_alive: int


@dataclass(frozen=True)
class ProofSeen:
    """What a resident's ticket was told after the run when it asked for its proof; `status` 0: no answer came."""

    resident: int
    entry: int
    status: int
    proof: Proof | None = None


class CallMessage(NamedTuple):
    """A message about a call, as it was written in place of being sent."""

    kind: str
    phone: str
    text: str


@dataclass
class Seen:
    """Everything watched: by district; CPU in percent of one core, by who and second; scripts the store had run, as
    (second, number).

    `proofs`: of a sample of residents, by district, where a root was published.

    `call_messages`: what the gateway was given about calls, where it could be read.

    `others` of `cpu` is all that the machine did besides, and what its host took from it.
    """

    openings: dict[str, list[OpeningSeen]] = field(default_factory=dict)
    store: dict[str, list[StoreSeen]] = field(default_factory=dict)
    cpu: dict[str, dict[int, float]] = field(default_factory=dict)
    proofs: dict[str, list[ProofSeen]] = field(default_factory=dict)
    scripts: list[tuple[int, int]] = field(default_factory=list)
    memory_mb: dict[str, dict[int, float]] = field(default_factory=dict)
    call_messages: list[CallMessage] = field(default_factory=list)
