"""Reading what was published, and saying where it does not hold."""

from typing import TypeVar

import msgspec

from server.fairness.result_file import encode

T = TypeVar("T")


class WrongFile(Exception):
    """A file that does not hold; the message says where and why. `line` counts from 1, 0 is the file as a whole."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}" if line else why)
        self.line = line


def compare_root(published: str | None, said: str) -> None:
    """Raises WrongFile: the root that was published, where it is known, is another than the file's."""
    if published is not None and published != said:
        raise WrongFile(0, f"root: published was {published}, the file has {said}")


def decode(number: int, raw: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    """A line, written as a result file is."""
    found = parse(number, raw, decoder)
    if encode(found) != raw:
        raise WrongFile(number, "it says something that can be read, but is not written as a result file is")
    return found


def parse(number: int, raw: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    """What a line says, however it is written."""
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WrongFile(number, f"it cannot be read: {error}") from None
