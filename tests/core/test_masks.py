"""What of a name and a phone number may be shown (domain.md: `张*`, `138****8000`)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.core.masks import mask_name, mask_phone


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("张三", "张*"),
        ("欧阳娜娜", "欧*"),
        ("张", "张*"),
        ("阿依古丽·买买提", "阿*"),
        ("LI SI", "L*"),
        ("ÉLODIE", "É*"),
        ("E\u0301LODIE", "E\u0301*"),  # the accent as a character of its own
        ("𠮷田", "𠮷*"),  # beyond the first 65,536 characters
        ("葛\U000e0100城", "葛\U000e0100*"),  # a rare form, chosen by a variation selector
        ("\ue000明", "\ue000*"),  # a rare character in an old system's private use
        ("<B>ob", "B*"),
        ("·'- 王", "王*"),
        ("12345", "*"),
        ("", "*"),
    ],
)
def test_a_name_shows_its_first_letter_and_one_star(name: str, shown: str) -> None:
    assert mask_name(name) == shown


@given(st.text(max_size=64))
def test_no_more_of_a_name_is_shown_and_nothing_that_a_page_could_read_as_markup(name: str) -> None:
    shown = mask_name(name)
    assert shown.endswith("*")
    assert sum(c.isalpha() for c in shown) <= 1
    assert not set(shown) & set("<>&\"'/")


@pytest.mark.parametrize(
    ("phone", "shown"),
    [
        ("13800138000", "138****8000"),
        ("19912345678", "199****5678"),
        ("1380013800", "****"),
        ("138001380001", "****"),
        ("", "****"),
    ],
)
def test_a_phone_number_shows_seven_digits_or_none(phone: str, shown: str) -> None:
    assert mask_phone(phone) == shown
