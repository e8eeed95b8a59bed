"""Made-up papers that are valid (GB 11643-1999 with its ISO 7064 MOD 11-2 check character), and names."""

from __future__ import annotations

from functools import cache

_SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗高梁郑谢宋唐许邓韩冯曹彭曾肖田董潘袁蔡蒋余"
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰红建文辉志鹏飞慧婷宇浩佳欣怡晨梓涵子轩嘉"
_WEIGHTS = tuple(2 ** (17 - at) % 11 for at in range(17))
_CHECK_CHARACTERS = "10X98765432"
"""By the weighed sum modulo 11 (GB 11643-1999)."""
_FULL_WIDTH = {ord("0") + digit: chr(0xFF10 + digit) for digit in range(10)}


def sloppy(number: str, bits: int) -> str:
    """Return the same ID number as a hurried person types it: full width, spaced or in lower case."""
    match bits % 3:
        case 0:
            return number.translate(_FULL_WIDTH)
        case 1:
            return f" {number[:6]} {number[6:]}"
        case _:
            return number.lower()


def resident_id_number(address: str, birth: str, sequence: int) -> str:
    """Return the number of who was born on this day (YYYYMMDD) at this place, the so-manyth."""
    weighed = _weighed(address, 0) + _weighed(birth, 6)
    weighed += sequence // 100 * _WEIGHTS[14] + sequence // 10 % 10 * _WEIGHTS[15] + sequence % 10 * _WEIGHTS[16]
    return f"{address}{birth}{sequence:03d}{_CHECK_CHARACTERS[weighed % 11]}"


@cache
def _weighed(digits: str, at: int) -> int:
    """The sum of the digits from this place on, each by its weight: the same few thousand times over and over."""
    return sum(int(digit) * weight for digit, weight in zip(digits, _WEIGHTS[at:], strict=False))


def made_up_name(bits: int) -> str:
    """Return a Chinese name of two or three characters."""
    name = _SURNAMES[bits % len(_SURNAMES)] + GIVEN[(bits >> 6) % len(GIVEN)]
    return name if bits & 0x10000 else name + GIVEN[(bits >> 12) % len(GIVEN)]
