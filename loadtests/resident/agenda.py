"""Who is due, and when: a calendar of buckets, so that filing and taking an event costs the same with ten
residents as with a million.

An event is one integer, `due_us << 36 | resident << 5 | action`: integers sort by due time, and six hundred
thousand of them weigh little.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

_BUCKET_US = 50_000
_CODE_BITS = 36  # 31 for the resident, then the act's
_ACT_BITS = 5
_ACT_MASK = (1 << _ACT_BITS) - 1
_CODE_MASK = (1 << _CODE_BITS) - 1
# residents may be due before the opening: time is kept from an origin well before it
ORIGIN_US = 3_600_000_000


class Agenda:
    """Events by due time, in microseconds from the opening (at most an hour before it)."""

    def __init__(self) -> None:
        self._buckets: dict[int, list[int]] = {}
        self._now: list[int] = []  # heap of the buckets that have been reached
        self._reached = 0  # buckets below this one have been moved to the heap
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def file(self, due_us: int, resident: int, action: int) -> None:
        """Put an event in."""
        at = due_us + ORIGIN_US
        event = at << _CODE_BITS | resident << _ACT_BITS | action
        bucket = at // _BUCKET_US
        self._size += 1
        if bucket < self._reached:
            heappush(self._now, event)
            return
        events = self._buckets.get(bucket)
        if events is None:
            self._buckets[bucket] = [event]
        else:
            events.append(event)

    def take(self, now_us: int) -> tuple[int, int, int] | None:
        """Return the earliest event that is due by `now_us`, as (due_us, resident, action); None when there is none."""
        now = now_us + ORIGIN_US
        if self._reached * _BUCKET_US <= now:
            self._reach(now // _BUCKET_US + 1)
        heap = self._now
        if not heap or heap[0] >> _CODE_BITS > now:
            return None
        event = heappop(heap)
        self._size -= 1
        code = event & _CODE_MASK
        return (event >> _CODE_BITS) - ORIGIN_US, code >> _ACT_BITS, code & _ACT_MASK

    def next_due_us(self, horizon_us: int) -> int:
        """Return the due time of the earliest event that has been reached, else `horizon_us` or the bucket's end if
        earlier."""
        if self._now:
            return min((self._now[0] >> _CODE_BITS) - ORIGIN_US, horizon_us)
        return min(self._reached * _BUCKET_US - ORIGIN_US, horizon_us)

    def clear(self) -> None:
        """Forget everything."""
        self._buckets.clear()
        self._now.clear()
        self._size = 0

    def overdue(self, now_us: int) -> int:
        """Say how many events are due and have not been taken."""
        now = (now_us + ORIGIN_US) << _CODE_BITS
        waiting = sum(1 for event in self._now if event < now)
        return waiting + sum(
            sum(1 for event in events if event < now)
            for bucket, events in self._buckets.items()
            if bucket * _BUCKET_US <= now_us + ORIGIN_US
        )

    def _reach(self, bucket: int) -> None:
        if bucket - self._reached > len(self._buckets) + 1:  # a long quiet time: look only where something is
            due = sorted(b for b in self._buckets if b < bucket)
        else:
            due = [b for b in range(self._reached, bucket) if b in self._buckets]
        for b in due:
            events = self._buckets.pop(b)
            if self._now:
                for event in events:
                    heappush(self._now, event)
            else:
                heapify(events)
                self._now = events
        self._reached = bucket
