"""What residents were told, as it goes from one process of the load generator to the one that audits."""

import msgspec

from loadtests.resident.facts import ClosedRegistration, ObservedPass, SpentPlace
from loadtests.resident.told_turns import TurnsSeen


class Statements(msgspec.Struct):
    """Statements on their way to whoever audits: of every `parts`-th resident from `part` on."""

    residents: int
    part: int
    parts: int
    arrays: dict[str, bytes]
    spent: list[SpentPlace]
    spent_passes: list[ObservedPass]
    closed: dict[int, ClosedRegistration]
    not_found: set[int]
    codes_asked: dict[int, int]
    contradictions: dict[str, int]
    examples: dict[str, list[str]]
    history: bytes
    turns_seen: TurnsSeen
