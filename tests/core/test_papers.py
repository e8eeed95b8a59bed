"""A paper, phone or name is refused only when it cannot be one, and has one spelling however it was typed."""

import string
import unicodedata
from datetime import date

import phonenumbers
import pytest
from hypothesis import assume, example, given, reject
from hypothesis import strategies as st
from stdnum.iso7064 import mod_11_2

from server.core.names import PLAIN_HAN
from server.core.papers import (
    ID_TYPES,
    IdType,
    check_id,
    check_name,
    check_phone,
    normalise_id,
    normalise_name,
    normalise_phone,
)

DOMAIN_EXAMPLES = ["11010519491231002X", "440524188001010014"]  # domain.md
PERMIT_REGIONS = ["810000", "820000", "830000"]
FULL_WIDTH = str.maketrans(
    string.digits + string.ascii_letters,
    "".join(chr(ord(c) - 0x21 + 0xFF01) for c in string.digits + string.ascii_letters),
)

ANY_ADDRESS = st.text("0123456789", min_size=6, max_size=6)


@st.composite
def resident_ids(draw: st.DrawFn, addresses: st.SearchStrategy[str] = ANY_ADDRESS) -> str:
    """Any address, any real birth date, any sequence, and stdnum's check character."""
    address = draw(addresses)
    birth = draw(st.dates(date(1880, 1, 1), date(2299, 12, 31)))
    body = f"{address}{birth:%Y%m%d}{draw(st.integers(0, 999)):03d}"
    return body + mod_11_2.calc_check_digit(body)


@pytest.mark.parametrize("number", DOMAIN_EXAMPLES)
def test_the_standard_s_examples_are_valid(number: str) -> None:
    assert check_id("resident_id", number) is None


@given(resident_ids())
def test_every_well_formed_resident_id_is_accepted(number: str) -> None:
    assert normalise_id("resident_id", number) == number
    assert check_id("resident_id", number) is None


@given(resident_ids(), st.integers(0, 17), st.sampled_from("0123456789X"))
@example("11010519491231002X", 17, "0")
def test_one_wrong_character_is_refused(number: str, position: int, other: str) -> None:
    assume(number[position] != other)
    assert check_id("resident_id", number[:position] + other + number[position + 1 :]) is not None


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        ("", "empty"),
        ("11010519491231002", "length"),
        ("11010519491231002X0", "length"),
        ("110105491231002", "old-id"),  # the 15 digits of before 1999, where they are not converted
        ("110105491331002", "birth-date"),
        ("11010519491231002x", "characters"),
        ("1101051949123100２X", "characters"),
        ("1101051949123100²X", "characters"),
        ("X1010519491231002X", "characters"),
        ("1101051949-1231002", "characters"),
        ("110105194912310020", "checksum"),
        ("110105194912310029", "checksum"),
        ("110105201302290000", "birth-date"),
        ("110105199913010000", "birth-date"),
        ("110105199900010000", "birth-date"),
        ("110105199901000000", "birth-date"),
        ("110105000001010000", "birth-date"),
        ("110105187912310000", "birth-date"),
    ],
)
def test_a_wrong_resident_id_says_what_is_wrong(number: str, fault: str) -> None:
    assert check_id("resident_id", number) == fault


def test_leap_days() -> None:
    for birth, real in [("20000229", True), ("20120229", True), ("19000229", False), ("20130229", False)]:
        body = f"440106{birth}001"
        assert (check_id("resident_id", body + mod_11_2.calc_check_digit(body)) is None) is real


@given(resident_ids(st.sampled_from(PERMIT_REGIONS)))
def test_residence_permits_are_accepted(number: str) -> None:
    assert check_id("residence_permit", number) is None
    assert check_id("resident_id", number) is None  # the address is not checked there


@given(resident_ids(st.sampled_from(["440106", "810001", "840000", "710000"])))
def test_a_residence_permit_has_its_region(number: str) -> None:
    assert check_id("residence_permit", number) == "region"


def test_a_residence_permit_s_digits_are_checked_like_a_resident_id_s() -> None:
    assert check_id("residence_permit", "81000019900101001") == "length"
    assert check_id("residence_permit", "810000199002300010") == "birth-date"


@pytest.mark.parametrize(
    ("id_type", "number"),
    [
        ("hk_macao_permit", "H12345678"),
        ("hk_macao_permit", "M1234567890"),
        ("taiwan_permit", "12345678"),
        ("taiwan_permit", "1234567890"),
        ("passport", "E1234"),
        ("passport", "EA1234567"),
        ("passport", "A1B2C3D4E5F6G7H8I9J0"),
    ],
)
def test_other_papers_are_accepted(id_type: IdType, number: str) -> None:
    assert check_id(id_type, number) is None


@pytest.mark.parametrize(
    ("id_type", "number"),
    [
        ("hk_macao_permit", "H1234567"),
        ("hk_macao_permit", "H123456789"),
        ("hk_macao_permit", "H12345678901"),
        ("hk_macao_permit", "A12345678"),
        ("hk_macao_permit", "12345678"),
        ("hk_macao_permit", "h12345678"),
        ("hk_macao_permit", "H1234567８"),
        ("taiwan_permit", "1234567"),
        ("taiwan_permit", "123456789"),
        ("taiwan_permit", "12345678901"),
        ("taiwan_permit", "1234567A"),
        ("taiwan_permit", "12345678\n"),
        ("passport", "E123"),
        ("passport", "E12345678901234567890"),
        ("passport", "E1234-5678"),
        ("passport", "É12345678"),
    ],
)
def test_other_papers_are_refused(id_type: IdType, number: str) -> None:
    assert check_id(id_type, number) == "format"


@pytest.mark.parametrize("id_type", ID_TYPES)
def test_no_number_is_empty(id_type: IdType) -> None:
    assert check_id(id_type, normalise_id(id_type, " - \t")) == "empty"


@pytest.mark.parametrize(
    ("id_type", "raw", "number"),
    [
        ("resident_id", "11010519491231002x", "11010519491231002X"),
        ("resident_id", "110105 19491231 002x", "11010519491231002X"),
        ("resident_id", " 110105-19491231-002X\r\n", "11010519491231002X"),
        ("resident_id", "１１０１０５１９４９１２３１００２Ｘ", "11010519491231002X"),
        ("resident_id", "110105\u300019491231\u2014002ｘ", "11010519491231002X"),
        ("resident_id", "\u202a11010519491231002X\u202c\u200b\ufeff", "11010519491231002X"),
        ("hk_macao_permit", "h 1234 5678", "H12345678"),
        ("taiwan_permit", "１２３４－５６７８", "12345678"),
        ("passport", "ea 1234567", "EA1234567"),
    ],
)
def test_spellings_of_one_number_are_one_number(id_type: IdType, raw: str, number: str) -> None:
    assert normalise_id(id_type, raw) == number
    assert check_id(id_type, number) is None


@given(resident_ids(), st.data())
def test_full_width_lower_case_and_spaces_change_nothing(number: str, data: st.DataObject) -> None:
    typed = "".join(
        data.draw(st.sampled_from([c, c.lower(), c.translate(FULL_WIDTH), c.lower().translate(FULL_WIDTH)]))
        + data.draw(st.sampled_from(["", " ", "-", "\u3000"]))
        for c in number
    )
    assert normalise_id("resident_id", typed) == number


def test_letters_that_only_look_alike_make_no_paper() -> None:
    for raw in ("ı1234567", "11010519491231002Х", "11010519491231002х"):  # a dotless i, Cyrillic letters
        for id_type in ID_TYPES:
            assert check_id(id_type, normalise_id(id_type, raw)) is not None


@given(st.text(max_size=300), st.sampled_from(ID_TYPES))
def test_any_text_gets_an_answer(raw: str, id_type: IdType) -> None:
    number = normalise_id(id_type, raw)
    if check_id(id_type, number) is None:
        assert normalise_id(id_type, number) == number
        assert number.isascii() and number.isalnum() and 5 <= len(number) <= 20
    phone = normalise_phone(raw)
    if check_phone(phone) is None:
        assert normalise_phone(phone) == phone
        assert phone.isascii() and phone.isdigit() and len(phone) == 11
    name = normalise_name(raw)
    assert normalise_name(name) == name
    if check_name(name) is None:
        assert 1 <= len(name) <= 64 and name == name.strip()
        name.encode()  # no lone surrogates: it will be stored


@pytest.mark.parametrize("length", [257, 100_000])
def test_endless_input_is_refused(length: int) -> None:
    assert check_id("passport", normalise_id("passport", "Ａ" * length)) == "format"
    assert check_id("resident_id", normalise_id("resident_id", "1" * length)) == "length"
    assert check_phone(normalise_phone("1" * length)) == "length"
    assert check_phone(normalise_phone("１" * length)) is not None
    assert check_name(normalise_name(" " * length)) == "length"


@given(st.from_regex(r"\A1[0-9]{10}\Z"))  # more than half of these are mobiles to phonenumbers
@example("13800138000")
@example("17400000000")
def test_every_mobile_that_phonenumbers_knows_is_accepted(number: str) -> None:
    try:
        parsed = phonenumbers.parse(number, "CN")
    except phonenumbers.NumberParseException:  # it takes 1 and more for the way abroad, and then finds no country
        reject()
    assume(phonenumbers.number_type(parsed) == phonenumbers.PhoneNumberType.MOBILE)
    for form in (
        phonenumbers.PhoneNumberFormat.E164,
        phonenumbers.PhoneNumberFormat.INTERNATIONAL,
        phonenumbers.PhoneNumberFormat.NATIONAL,
    ):
        assert normalise_phone(phonenumbers.format_number(parsed, form)) == number
    assert check_phone(number) is None


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        ("13800138000", "13800138000"),
        (" 138-0013-8000 ", "13800138000"),
        ("+86 138 0013 8000", "13800138000"),
        ("(+86)13800138000", "13800138000"),
        ("008613800138000", "13800138000"),
        ("8613800138000", "13800138000"),
        ("＋８６　１３８００１３８０００", "13800138000"),
        ("138.0013.8000", "13800138000"),
    ],
)
def test_spellings_of_one_phone_are_one_phone(raw: str, number: str) -> None:
    assert normalise_phone(raw) == number
    assert check_phone(number) is None


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        ("", "empty"),
        ("1380013800", "length"),
        ("138001380000", "length"),
        ("12800138000", "format"),
        ("10800138000", "format"),
        ("23800138000", "format"),
        ("02083333333", "format"),
        ("1380013800a", "characters"),
        ("1380013800０", "characters"),
        ("+13800138000", "characters"),
    ],
)
def test_a_wrong_phone_says_what_is_wrong(number: str, fault: str) -> None:
    assert check_phone(number) == fault


def test_a_foreign_number_is_not_taken_for_a_chinese_one() -> None:
    assert check_phone(normalise_phone("+1 380 013 8000")) is not None
    assert check_phone(normalise_phone("+85213800138000")) is not None


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("张三", "张三"),
        ("  张三\t", "张三"),
        ("张\u3000三", "张三"),
        ("张 三", "张三"),
        ("𠮷 野", "𠮷野"),
        ("Mary  Ann\u00a0smith", "MARY ANN SMITH"),
        ("ｍａｒｙ　ａｎｎ", "MARY ANN"),
        ("Müller", "MÜLLER"),
        ("Mu\u0308ller", "MÜLLER"),
        ("阿依古丽•买买提", "阿依古丽·买买提"),
        ("阿依古丽・买买提", "阿依古丽·买买提"),
        ("阿依古丽·买买提", "阿依古丽·买买提"),
        ("张\u200b三\u202c", "张三"),
        ("张三 Sam", "张三 SAM"),
    ],
)
def test_spellings_of_one_name_are_one_name(raw: str, name: str) -> None:
    assert normalise_name(raw) == name
    assert check_name(name) is None


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "empty"),
        ("张" * 65, "length"),
        ("张\0三", "characters"),
        ("张\x1b三", "characters"),
        ("张\ud800", "characters"),
    ],
)
def test_a_wrong_name_says_what_is_wrong(name: str, fault: str) -> None:
    assert check_name(name) == fault


def test_the_longest_name_and_a_rare_character_are_accepted() -> None:
    assert check_name("张" * 64) is None
    assert check_name("张\ue863") is None  # private use, where old systems keep rare characters


def test_a_letter_that_no_rule_concerns_is_taken_as_it_is_and_no_other_letter_is() -> None:
    han = [chr(code) for code in range(0x3400, 0xA000)]
    assert [c for c in han if PLAIN_HAN.fullmatch(c) and unicodedata.normalize("NFKC", c).upper() != c] == []
    assert [c for c in han if c.isalpha() and not PLAIN_HAN.fullmatch(c)] == ["屯", "某", "烫", "锟"]
    others = ("张a", "张 三", "张·三", "張三?", "\u2f00三", "\uf900三", "三" * 65, "", "张\u200b", "\U0002f800")
    assert not any(PLAIN_HAN.fullmatch(name) for name in others)
    assert [check_name(name) for name in ("未知", "张某", "烫烫烫", "锟斤拷", "屯屯屯", "屯")] == ["lost"] * 5 + [None]
