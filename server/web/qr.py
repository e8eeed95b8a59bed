"""The QR code of a registration number as SVG: everyone who registers asks for one, so it must be cheap.

All registration numbers are 15 digits and drawn in one version, error level and mask. Such codes are linear: the
modules (dark or light) of a number are those of the number that is all zeros, XOR what each group of three digits
by itself changes in them. So segno, which knows how to draw them, is asked once for each group, not once a resident.
"""

import re
from functools import cache
from typing import Final

import segno

_DIGITS: Final = 15
_GROUP: Final = 3  # digits that a QR code packs together (ISO/IEC 18004, numeric mode)
_SIDE: Final = 21  # modules, of version 1
_BORDER: Final = 4
_SCALE: Final = 8
_HALF: Final = 10  # a row is drawn in two halves of eleven modules that share the middle one: no seam between them
_HALF_BITS: Final = (1 << _HALF + 1) - 1
_PIXELS: Final = (_SIDE + 2 * _BORDER) * _SCALE
_HEAD: Final = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_PIXELS}" height="{_PIXELS}"><title>'
_PATH: Final = f'</title><path transform="scale({_SCALE})" stroke="#000" d="'
_ROWS: Final = [(f"M{_BORDER} {_BORDER + y}.5", _SIDE * (_SIDE - 1 - y)) for y in range(_SIDE)]


def qr_svg(no: str) -> bytes:
    """The image of a registration number; its title is the number."""
    modules = _zeros()
    for at in range(0, _DIGITS, _GROUP):
        modules ^= _change(at, no[at : at + _GROUP])
    path = "".join(
        f"{start}{_drawn(modules >> low + _HALF & _HALF_BITS)}{_drawn(modules >> low & _HALF_BITS)}"
        for start, low in _ROWS
    )
    return f'{_HEAD}{no}{_PATH}{path}"/></svg>'.encode()


def _modules(no: str) -> int:
    """All modules as one number, row after row, the first one the highest bit; dark = 1."""
    # A mask of our choice: which of the eight is the prettiest depends on the number, and would not be linear.
    rows = segno.make_qr(no, version=1, error="m", mask=3).matrix
    return int("".join("1" if module else "0" for row in rows for module in row), 2)


@cache
def _zeros() -> int:
    return _modules("0" * _DIGITS)


@cache
def _change(at: int, digits: str) -> int:
    """What these digits, at this place of the number, change in the modules of the number that is all zeros."""
    return _modules(digits.rjust(at + _GROUP, "0").ljust(_DIGITS, "0")) ^ _zeros()


@cache
def _drawn(bits: int) -> str:
    """A stroke for each run of dark ones of eleven modules, and on to the last, where the row's other half begins."""
    strokes, pen = "", 0
    for run in re.finditer("1+", f"{bits:011b}"):
        strokes += _moved(run.start() - pen) + f"h{run.end() - run.start()}"
        pen = run.end()
    return strokes + _moved(_HALF - pen)


def _moved(right: int) -> str:
    return f"m{right} 0" if right else ""
