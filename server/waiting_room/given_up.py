"""The places given up in an opening, as a worker holds them: a bit each, however many there are."""

from array import array
from collections.abc import Callable, Iterable
from itertools import accumulate

_BLOCK_BITS = 1024
_BLOCK_BYTES = _BLOCK_BITS // 8
# So many numbers are worked out at a time (a few microseconds each): others wait for this worker.
_AT_ONCE = 20_000


class GivenUp:
    """Entries given up, and, once the draw is done, how many of any stretch of numbers they are.

    Costs two bits a place of the opening and some bytes a thousand, whoever leaves: 10^6 places are 0.3 MB.
    """

    def __init__(self) -> None:
        self.any = False  # whether there are any at all: in most openings, most of the time, a poll need not look
        self._entries = bytearray()
        self._numbers = bytearray()
        self._unnumbered = array("I")
        self._in_block = array("I")  # of the numbers, so many in each block of them
        self._before = array("I")  # and in all blocks before it
        self._is_summed = True

    def __contains__(self, entry: int) -> bool:
        byte = entry >> 3
        return byte < len(self._entries) and bool(self._entries[byte] >> (entry & 7) & 1)

    def add(self, entry: int) -> None:
        """Somebody has given up this entry; again changes nothing."""
        if _set(self._entries, entry):
            self.any = True
            self._unnumbered.append(entry)

    def update(self, entries: Iterable[int]) -> None:
        """The same for several."""
        for entry in entries:
            self.add(entry)

    def number(self, number_of: Callable[[int], int]) -> None:
        """Work out the numbers of those that have none yet, some at a time; the draw is done."""
        waiting = self._unnumbered
        for _ in range(min(len(waiting), _AT_ONCE)):
            number = number_of(waiting.pop())
            if not _set(self._numbers, number):
                continue
            block = number // _BLOCK_BITS
            if block >= len(self._in_block):
                self._in_block.extend([0] * (block + 1 - len(self._in_block)))
            self._in_block[block] += 1
            self._is_summed = False

    def between(self, low: int, high: int) -> int:
        """How many of the numbers after `low` and before `high` are given up."""
        if not self._in_block:
            return 0
        if not self._is_summed:
            self._before = array("I", accumulate(self._in_block, initial=0))
            self._is_summed = True
        return max(0, self._below(high) - self._below(low + 1))

    def _below(self, number: int) -> int:
        block, bits = divmod(number, _BLOCK_BITS)
        if block >= len(self._in_block):
            return self._before[-1]
        start = block * _BLOCK_BYTES
        rest = int.from_bytes(self._numbers[start : start + (bits + 7) // 8], "little") & (1 << bits) - 1
        return self._before[block] + rest.bit_count()


def _set(bits: bytearray, index: int) -> bool:
    """Set a bit; whether it was not set before."""
    byte, bit = index >> 3, 1 << (index & 7)
    if byte >= len(bits):
        bits.extend(bytes(max(byte + 1 - len(bits), len(bits) // 8, _BLOCK_BYTES)))
    if bits[byte] & bit:
        return False
    bits[byte] |= bit
    return True
