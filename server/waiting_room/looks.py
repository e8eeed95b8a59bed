"""How often everyone who waits asks how they stand; when each asks next is in `opening.py`."""

import math
from typing import Final

from server.core.policy import Policy

# A resident looks again after this share of the shortest possible wait that is left, so the number of looks grows with
# the logarithm of the wait. The budget may stretch it, but never past the turn itself: numbers left by others may bring
# the call a little earlier, and the claim time covers that.
SHARE_OF_WAIT: Final = 0.6


def polls_per_second(policy: Policy, waiting: int, rate: float) -> float:
    """What everyone waiting would poll without any stretching."""
    if rate <= 0:
        return waiting / policy.poll_floor_seconds
    wait_s = waiting / rate
    floor_s, ceiling_s = policy.poll_floor_seconds, policy.poll_ceiling_seconds
    near_s, far_s = floor_s / SHARE_OF_WAIT, ceiling_s / SHARE_OF_WAIT
    if wait_s <= near_s:
        return waiting / floor_s
    polls = near_s * rate / floor_s + math.log(min(wait_s, far_s) / near_s) * rate / SHARE_OF_WAIT
    return polls + max(0.0, wait_s - far_s) * rate / ceiling_s
