"""The lane for residents whom a neighbourhood worker or the hotline helps: what it may bring at most."""

import msgspec

from server.core.values import Positive


class AssistLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What helpers may join for others in one opening: the lane never crowds out who joins by themselves.

    ``places_per_helper`` and ``joins_per_minute`` hold for one token, ``places`` and ``joins_per_second`` for all of
    them together. Nobody whom they help is earlier or later for it: the draw and the line know no lane.
    """

    places_per_helper: Positive = 100
    joins_per_minute: Positive = 30
    places: Positive = 5000
    joins_per_second: Positive = 20
