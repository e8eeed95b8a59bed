"""The beacon that draws and nights are bound to: the city file's table `[beacon]`."""

import re
from collections.abc import Iterator
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec

OWN_CHAIN: Final = re.compile(
    "drand:(?P<hash>[0-9a-f]{64}):(?P<genesis_s>[1-9][0-9]{8,9}):(?P<period_s>[1-9]|[1-5][0-9]|60)"
    ":(?P<public_key>[0-9a-f]{192})"
)
"""How a chain is named that is no public one: the name has all that it takes to verify its rounds."""


class Beacon(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A chain of drand, and who is asked for its rounds.

    ``chain`` is `quicknet`, the public one, or a network of one's own (`OWN_CHAIN`) of the scheme
    bls-unchained-g1-rfc9380: as much as those are worth who run it.

    The relays are asked at once, each for ``ask_seconds`` at most and again until one answers with a signature that
    verifies. Where none has within ``deadline_seconds`` of when the round was due, the opening goes on without it, and
    says so.
    """

    relays: Annotated[list[str], msgspec.Meta(min_length=1, max_length=16)]
    chain: str = "quicknet"
    ask_seconds: Annotated[float, msgspec.Meta(ge=0.2, le=30)] = 3.0
    deadline_seconds: Annotated[float, msgspec.Meta(ge=1, le=600)] = 20.0


def problems_of_beacon(beacon: Beacon) -> Iterator[str]:
    """What a city's beacon must not be, each as "beacon.key: expected ..."."""
    for i, relay in enumerate(beacon.relays):
        try:
            url = urlsplit(relay)
            is_url = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
        except ValueError:  # a port that is no number, brackets that do not match
            is_url = False
        if not is_url or url.query or url.fragment or url.username or relay != relay.strip():
            yield f"beacon.relays[{i}]: expected an address such as `https://api.drand.sh`, got `{relay}`"
    if beacon.chain != "quicknet" and not OWN_CHAIN.fullmatch(beacon.chain):
        yield "beacon.chain: expected `quicknet`, or `drand:HASH:GENESIS:PERIOD:PUBLIC_KEY` of a network of your own"
    if beacon.deadline_seconds < beacon.ask_seconds:
        yield "beacon.deadline_seconds: expected no less than ask_seconds"
