"""How residents are told of their call while their page is closed: the city file's table `[calls]`."""

import hashlib
from collections.abc import Iterator
from typing import Annotated

import msgspec

from server.core.policy import Policy
from server.core.values import NotNegative, Positive


class Calls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What holders of a place may be told of its call by SMS, if they ask for it.

    Each once a place: that it is near, that it is their turn, and what has become of it where they did not come, or
    were not called before the window closed. The words and the pace are those of the table `[sms]`.

    ``sms``: whether they may ask for it. ``lead_minutes``: so long before the call they are told that it is near.
    ``places_per_opening``: so many places of an opening are told at most, each three times at most. Of a
    ``share_from_message`` of them, by their entry, the claim time counts from when the gateway takes the message, and
    at the latest from ``message_within_seconds`` after the call. ``more_time_seconds``: so much more time has a called
    resident who asks for it, once, whether or not they are told by SMS; 0: none.
    """

    sms: bool = False
    lead_minutes: Positive = 10
    places_per_opening: NotNegative = 200_000
    share_from_message: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    message_within_seconds: NotNegative = 120
    more_time_seconds: NotNegative = 300

    def counts_from_message(self, tag: str, entry: int) -> bool:
        """Whether the claim time of this entry of an opening, by its tag, counts from its message: anyone can work it
        out."""
        drawn = int.from_bytes(hashlib.sha256(f"{tag}:{entry}".encode()).digest()[:4])
        return drawn < self.share_from_message * 2**32


def problems_of_calls(calls: Calls, policy: Policy) -> Iterator[str]:
    """What the types alone cannot say, each as "calls.key: expected ..."."""
    if (
        calls.sms and calls.message_within_seconds >= policy.claim_seconds
    ):  # else the place is missed before its time has begun
        yield "calls.message_within_seconds: expected less than policy.claim_seconds"
