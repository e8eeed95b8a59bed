"""The image of a registration number is the QR code that segno draws of it, however cheaply it is made."""

import random
import re
from datetime import date
from xml.etree import ElementTree

import pytest
import segno

from server.core.keys import registration_no
from server.web.qr import qr_svg

_BORDER = 4


def dark(svg: bytes) -> set[tuple[int, int]]:
    """(row, column) of what the image's one path paints dark, the border left out."""
    root = ElementTree.fromstring(svg)  # noqa: S314
    (path,) = root.findall("{http://www.w3.org/2000/svg}path")
    found = set()
    x = y = 0.0
    for command, numbers in re.findall(r"([Mmh])([^Mmh]+)", path.attrib["d"]):
        values = [float(number) for number in numbers.split()]
        if command == "M":
            x, y = values
        elif command == "m":
            x, y = x + values[0], y + values[1]
        else:
            found |= {(int(y - 0.5) - _BORDER, int(x) + i - _BORDER) for i in range(int(values[0]))}
            x += values[0]
    return found


def expected(no: str) -> set[tuple[int, int]]:
    """The same by segno."""
    matrix = segno.make_qr(no, version=1, error="m", mask=3).matrix
    return {(row, column) for row, line in enumerate(matrix) for column, module in enumerate(line) if module}


@pytest.mark.parametrize("seed", range(100))
def test_a_scanner_reads_the_number_and_no_other(seed: int) -> None:
    chosen = random.Random(seed)
    for _ in range(5):
        day = date.fromordinal(chosen.randrange(date(2021, 1, 1).toordinal(), date(2030, 1, 1).toordinal()))
        no = registration_no(chosen.randrange(1, 100), day, chosen.randrange(10**7))
        assert dark(qr_svg(no)) == expected(no)


@pytest.mark.parametrize("no", ["0" * 15, "9" * 15, "512256128064032", "999000999000999"])
def test_the_ends_of_what_three_digits_can_say(no: str) -> None:
    assert dark(qr_svg(no)) == expected(no)


def test_the_image_says_its_number_and_has_its_size() -> None:
    root = ElementTree.fromstring(qr_svg("106190101234569"))  # noqa: S314
    assert root.findtext("{http://www.w3.org/2000/svg}title") == "106190101234569"
    assert root.attrib["width"] == root.attrib["height"] == str((21 + 2 * _BORDER) * 8)
