"""Crowd files, read and checked: `loadtests/crowds/*.toml`, or any by its path."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec

from loadtests.crowd.profile import (
    Afterthoughts,
    ArrivalPart,
    Asleep,
    Bots,
    Browsers,
    CrowdProfile,
    Door,
    Families,
    Habits,
    HomeDistrict,
    Impatience,
    Ineligible,
    Network,
    PaceRanges,
    Reactions,
    per_mille,
    shares_of,
)
from loadtests.toml_file import TomlError, read_toml, typed

SHIPPED = Path(__file__).parent.parent / "crowds"
DEFAULT_CROWD = "guangzhou"


class CrowdError(ValueError):
    """The crowd file cannot be used; the message names the file, the key and what was expected."""


@cache
def load_profile(name: str = DEFAULT_CROWD) -> CrowdProfile:
    """Read and check a crowd file: a shipped one by its name, or any by its path.

    Raises:
        CrowdError: in one line, as "bots.toml: networks[0].loss: expected `float` <= 0.5".
    """
    path = SHIPPED / f"{name}.toml" if re.fullmatch(r"[A-Za-z0-9_-]+", name) else Path(name)
    try:
        profile = typed(read_toml(path), CrowdProfile, lambda table: _TABLES[table].__struct_fields__)
    except OSError as error:
        shipped = ", ".join(sorted(file.stem for file in SHIPPED.glob("*.toml")))
        raise CrowdError(f"{path.name}: cannot be read: {error.strerror} (shipped: {shipped})") from error
    except TomlError as error:
        raise CrowdError(f"{path.name}: {error}") from error
    problem = next(_problems(profile), None)
    if problem is not None:
        raise CrowdError(f"{path.name}: {problem}")
    return profile


_TABLES: dict[str, type[msgspec.Struct]] = {
    "": CrowdProfile,
    "districts": HomeDistrict,
    "arrivals": ArrivalPart,
    "door": Door,
    "ineligible": Ineligible,
    "habits": Habits,
    "afterthoughts": Afterthoughts,
    "whims": Reactions,
    "impatience": Impatience,
    "pace": PaceRanges,
    "families": Families,
    "networks": Network,
    "bots": Bots,
    "browsers": Browsers,
    "asleep": Asleep,
}


def _problems(profile: CrowdProfile) -> Iterator[str]:
    """Say what the types alone cannot say, each as "key: expected ..."."""
    yield from _problems_of_districts(profile)
    yield from _problems_of_arrivals(profile.arrivals)
    for key in ("habits", "ineligible", "afterthoughts"):
        for name, share in shares_of(getattr(profile, key)).items():
            if abs(share * 1000 - per_mille(share)) > 1e-6:
                yield f"{key}.{name}: expected whole thousandths, got {share:g}"
    if (
        sum(per_mille(share) for table in (profile.habits, profile.ineligible) for share in shares_of(table).values())
        > 1000
    ):
        yield "habits: expected no more than 1 together with ineligible"
    if sum(per_mille(share) for share in shares_of(profile.afterthoughts).values()) > 1000:
        yield "afterthoughts: expected no more than 1 together"
    ranges = [("impatience", name, profile.impatience) for name in ("gives_up_after", "refreshes_every")]
    for key, name, table in [*ranges, *(("pace", name, profile.pace) for name in PaceRanges.__struct_fields__)]:
        low, high = getattr(table, name)
        if low > high:
            yield f"{key}.{name}: expected the shorter time first, got {low:g} and {high:g}"
    for name, (low, high) in (
        ("looks_every", profile.asleep.looks_every),
        ("wakes_within", profile.asleep.wakes_within),
    ):
        if low > high:
            yield f"asleep.{name}: expected the shorter time first, got {low:g} and {high:g}"
    yield from _problems_of_networks(profile.networks)


def _problems_of_districts(profile: CrowdProfile) -> Iterator[str]:
    codes: set[str] = set()
    by_population = profile.districts[0].population is not None
    for index, district in enumerate(profile.districts):
        key = f"districts[{index}]"
        if district.code in codes:
            yield f"{key}.code: expected a code of its own, got `{district.code}` again"
        codes.add(district.code)
        if (district.population is None) == (district.share is None):
            yield f"{key}: expected either population or share"
        if (district.population is not None) != by_population:
            yield f"{key}: expected {'population' if by_population else 'share'}, as the first district has"
    for index, code in enumerate(profile.come):
        if code not in codes:
            yield f"come[{index}]: expected one of the districts, got `{code}`"
    if len(set(profile.come)) < len(profile.come):
        yield "come: expected each district once"
    if codes == set(profile.come) and profile.ineligible.wrong_district:
        yield "districts: expected one besides those of come: where those of the wrong district live"


def _problems_of_arrivals(parts: tuple[ArrivalPart, ...]) -> Iterator[str]:
    for index, part in enumerate(parts):
        key = f"arrivals[{index}]"
        if bool(part.at_minutes) != (part.curve == "wave"):
            yield f"{key}.at_minutes: expected {'minutes' if part.curve == 'wave' else 'none'} for {part.curve}"
        if (part.at is not None) != (part.curve == "television"):
            yield f"{key}.at: expected {'a time' if part.curve == 'television' else 'none'} for {part.curve}"
        falls_off = part.curve in ("decay", "wave", "television")
        if part.constant_seconds is None and part.curve in ("wave", "television"):
            yield f"{key}.constant_seconds: expected seconds for {part.curve}, got none"
        if part.constant_seconds is not None and not falls_off:
            yield f"{key}.constant_seconds: expected none for {part.curve}"
    stated = sum(part.share for part in parts if part.share is not None)
    rest = sum(1 for part in parts if part.share is None)
    if rest > 1:
        yield "arrivals: expected one part without a share at most"
    if stated > 1 + 1e-9 or (rest == 0 and stated < 1 - 1e-9):
        yield f"arrivals: expected shares that add up to 1, got {stated:g}"


def _problems_of_networks(networks: tuple[Network, ...]) -> Iterator[str]:
    if networks and abs(sum(network.share for network in networks) - 1) > 1e-9:
        yield f"networks: expected shares that add up to 1, got {sum(network.share for network in networks):g}"
    for index, network in enumerate(networks):
        if network.latency_p95_ms < network.latency_ms:
            yield f"networks[{index}].latency_p95_ms: expected no less than latency_ms"
        if network.latency_ms == 0 and network.latency_p95_ms > 0:
            yield f"networks[{index}].latency_ms: expected more than 0 for a spread"
