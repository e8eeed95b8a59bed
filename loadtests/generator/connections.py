"""Whose connection a request goes by: each resident's own, kept as browsers keep theirs, or a few that all share."""

from __future__ import annotations

import random
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Protocol

from loadtests.client.channel import Channel
from loadtests.client.measure import Meters
from loadtests.crowd.crowd import Crowd
from loadtests.crowd.network import Networks
from loadtests.resident.acts import SECOND_US, Act

ChannelMaker = Callable[[int, int], Channel]
"""Makes a channel for an owner who needed it at a moment of the run."""

_FORGOTTEN_US = 120 * SECOND_US
"""How long a connection whose network has gone is left standing: by then a server has let it go."""


class Connections(Protocol):
    """All connections of a generator. A channel is taken for one request, and comes back idle or is closed."""

    @property
    def open(self) -> int:
        """Say how many are open."""

    def has_room(self) -> bool:
        """Return whether one more request can be sent now."""

    def take(self, actor: int, act: Act, due_us: int, now_us: int) -> Channel:
        """Return the channel for a request of an actor, open or not; there must be room."""

    def take_new(self, channel: Channel, now_us: int) -> Channel:
        """Return one that was never used, in place of a kept one that has ended."""

    def give_back(self, channel: Channel, now_us: int) -> None:
        """Take in a channel whose request was answered."""

    def closed(self, channel: Channel) -> None:
        """Forget a channel that was closed, by whoever, idle or not."""

    def look_after(self, now_us: int) -> None:
        """Do what time demands; to be called once a second."""

    def line_came(self) -> None:
        """A Locust user more is there."""

    def line_left(self) -> None:
        """A Locust user has gone."""

    def close(self) -> None:
        """Close all that are idle."""


class SharedConnections:
    """As many connections as there are Locust users, kept open, by which everybody asks.

    Args:
        make: makes a channel.
    """

    def __init__(self, make: ChannelMaker) -> None:
        self._make = make
        self._idle: OrderedDict[Channel, None] = OrderedDict()
        self._busy = self._lines = 0

    @property
    def open(self) -> int:
        return len(self._idle) + self._busy

    def has_room(self) -> bool:
        return self._busy < self._lines

    def take(self, actor: int, act: Act, due_us: int, now_us: int) -> Channel:
        self._busy += 1
        return self._idle.popitem()[0] if self._idle else self._make(0, due_us)

    def take_new(self, channel: Channel, now_us: int) -> Channel:
        self._busy += 1
        return self._make(0, now_us)

    def give_back(self, channel: Channel, now_us: int) -> None:
        self._busy -= 1
        if channel.is_open:
            self._idle[channel] = None
        self._end_surplus()

    def closed(self, channel: Channel) -> None:
        if channel in self._idle:
            del self._idle[channel]
        else:
            self._busy -= 1

    def look_after(self, now_us: int) -> None:
        pass

    def line_came(self) -> None:
        self._lines += 1

    def line_left(self) -> None:
        self._lines -= 1
        self._end_surplus()

    def close(self) -> None:
        while self._idle:
            self._idle.popitem()[0].close()

    def _end_surplus(self) -> None:
        while self._idle and self.open > self._lines:
            self._idle.popitem()[0].close()


class OwnConnections:
    """A connection for each resident, and for their second device, as long as their browser keeps it.

    A family has one phone, so one browser. Of two requests at once, as from two tabs, the second opens a connection
    more. Who changes networks leaves the old one standing, of which the server hears nothing, and opens a new one.

    Args:
        most: connections that may be open; beyond them, the one that has been idle longest is closed.
    """

    def __init__(self, crowd: Crowd, meters: Meters, make: ChannelMaker, most: int, seed: int) -> None:
        self._crowd, self._meters, self._make, self._most = crowd, meters, make, most
        self._networks = Networks(crowd)
        self._browsers = crowd.profile.browsers
        self._random = random.Random(seed)
        self._of_owner: dict[int, Channel] = {}  # the idle ones: the latest, and by `next_idle` those before it
        self._idle: OrderedDict[Channel, None] = OrderedDict()  # the longest idle first
        self._left: deque[tuple[int, Channel]] = deque()
        self._standing: set[Channel] = set()
        self._busy = 0

    @property
    def open(self) -> int:
        return self._busy + len(self._idle) + len(self._standing)

    def has_room(self) -> bool:
        return self.open < self._most or bool(self._idle)

    def take(self, actor: int, act: Act, due_us: int, now_us: int) -> Channel:
        owner = self._owner(actor, act)
        channel = self._of_owner.get(owner)
        if channel is not None and self._changes_network(actor):
            self._leave_standing(channel, now_us)
            channel = self._of_owner.get(owner)
        if channel is None:
            return self._open(owner, due_us, now_us)
        self._remove(channel)
        self._busy += 1
        self._meters.count("connections reused", now_us)
        return channel

    def take_new(self, channel: Channel, now_us: int) -> Channel:
        self._make_room(now_us)
        self._busy += 1
        return self._make(channel.owner, now_us)

    def give_back(self, channel: Channel, now_us: int) -> None:
        self._busy -= 1
        if channel.is_open:
            self._keep(channel, now_us)

    def closed(self, channel: Channel) -> None:
        if channel in self._idle:
            self._remove(channel)
        elif channel in self._standing:
            self._standing.discard(channel)
        else:
            self._busy -= 1

    def look_after(self, now_us: int) -> None:
        expired_us = now_us - int(self._browsers.keep_alive_seconds * SECOND_US)
        while self._idle and (longest := next(iter(self._idle))).idle_since_us < expired_us:
            self._end(longest, "connections expired", now_us)
        while self._left and self._left[0][0] < now_us - _FORGOTTEN_US:
            channel = self._left.popleft()[1]
            if channel in self._standing:
                self._standing.discard(channel)
                channel.close()

    def line_came(self) -> None:
        pass

    def line_left(self) -> None:
        pass

    def close(self) -> None:
        for channel in [*self._idle, *self._standing]:
            channel.close()
        self._idle.clear()
        self._of_owner.clear()
        self._standing.clear()

    def _owner(self, actor: int, act: Act) -> int:
        """Number browsers: of a resident, or of the first of a family, and of a second device."""
        if actor >= self._crowd.residents:
            return actor << 1
        return self._crowd.head(actor) << 1 | (act is Act.OTHER_DEVICE)

    def _changes_network(self, actor: int) -> bool:
        network = self._networks.network(actor) if actor < self._crowd.residents else None
        return network is not None and network.reconnects > 0 and self._random.random() < network.reconnects

    def _open(self, owner: int, due_us: int, now_us: int) -> Channel:
        self._make_room(now_us)
        spare = self._browsers.spare
        if spare and self._random.random() < spare and self.open + 1 < self._most:
            idle = self._make(owner, due_us)
            self._keep(idle, now_us)
            idle.connect()
        self._busy += 1
        return self._make(owner, due_us)

    def _make_room(self, now_us: int) -> None:
        if self.open >= self._most and self._idle:
            self._end(next(iter(self._idle)), "connections closed for room", now_us)

    def _keep(self, channel: Channel, now_us: int) -> None:
        channel.idle_since_us = now_us
        channel.next_idle = self._of_owner.get(channel.owner)
        self._of_owner[channel.owner] = channel
        self._idle[channel] = None

    def _remove(self, channel: Channel) -> None:
        """Take a channel out of the idle ones."""
        del self._idle[channel]
        at = self._of_owner[channel.owner]
        if at is channel:
            if channel.next_idle is None:
                del self._of_owner[channel.owner]
            else:
                self._of_owner[channel.owner] = channel.next_idle
        else:
            while at.next_idle is not channel and at.next_idle is not None:
                at = at.next_idle
            at.next_idle = channel.next_idle
        channel.next_idle = None

    def _end(self, channel: Channel, series: str, now_us: int) -> None:
        self._remove(channel)
        self._meters.count(series, now_us)
        channel.close()

    def _leave_standing(self, channel: Channel, now_us: int) -> None:
        self._remove(channel)
        self._standing.add(channel)
        self._left.append((now_us, channel))
        self._meters.count("connections left standing", now_us)
