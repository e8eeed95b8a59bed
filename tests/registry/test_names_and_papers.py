"""Names and papers that were refused, or taken for somebody else's, by how they were written (cases P2 to P6, numbers).

The right values are written here by hand, with where they come from; none is asked of the code that is tested.
"""

import asyncio
import hmac
import unicodedata
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from server.core.city import City, load_city
from server.core.encryption import Cipher, Contact
from server.core.keys import Pepper
from server.core.masks import mask_name
from server.core.papers import IdType, check_name, normalise_name
from server.operations.importing import REGISTRY_COLUMNS, CsvFile, RegistryKeeper, RowFault, registry_reader
from server.records.first_dose import pack
from tests.support.city_files import changed_city
from tests.support.serving import TIANHE, House, Jiaohao, Person, open_house, person, refused

PEPPER = b"p" * 32
HEADER = ",".join(REGISTRY_COLUMNS)
ASK = f"/openings/{TIANHE}/eligibility"
UYGHUR = "阿依古丽·买买提"


def line(who: Person, **changes: str) -> str:
    cells = msgspec.to_builtins(who) | {"first_dose_date": "2021-05-01", "product": "inactivated", "district": TIANHE}
    return ",".join('"' + str((cells | changes)[column]).replace('"', '""') + '"' for column in REGISTRY_COLUMNS)


def read(people: list[Person], city: City | None = None) -> list[Any]:
    """What the import's reader makes of a registry with these people."""
    city = city or load_city()
    source = CsvFile("\n".join([HEADER, *map(line, people)]).encode(), REGISTRY_COLUMNS, lambda _: None)
    return list(source.rows(registry_reader(city, Pepper(PEPPER, city.papers.same_name), date(2021, 6, 19))))


async def enter(house: House, *people: Person) -> None:
    """Import a registry with these people."""
    rows = read(list(people), house.services.city)
    assert not [row for row in rows if isinstance(row, RowFault)], rows
    services = house.services
    keeper = RegistryKeeper(services.connection, services.city, Cipher([b"s" * 32]), services.appointments)
    assert [n async for n in keeper.keep(rows)] == [len(people)]


@pytest.fixture
async def house(store_url: str) -> AsyncIterator[House]:
    async with open_house(store_url) as it:
        await it.at("08:03:00")
        yield it


def another(who: Person, **changes: str) -> Person:
    return msgspec.structs.replace(who, **changes)


async def plain(house: House, who: Person) -> tuple[int, str]:
    """A join by the form without JavaScript: the status and the page."""
    answer = await house.client.post(f"/plain/{TIANHE}", data=who.papers(), headers={"accept-language": "zh-CN"})
    return answer.status_code, answer.text


# P2: the dot in a name

# What keyboards, fonts and registries have for it: Chinese and Japanese middle dots, the interpuncts of other scripts,
# bullets, full stops in all widths, commas, dashes; Unicode's names in the code charts.
DOTS = [
    ".", "．", "。", "｡", "﹒", "●", "·", "•", "‧", "・", "･", "∙", "⋅", "․", "᛫", "⸱", "⸳", "\u0387", "ᐧ", "ꞏ", "ㆍ",
    "⦁", "˙", "◦", "⚫", "⏺", "▪", "、", "﹑", ",", "，", "-", "‐", "—", "－", "'", "’", "۔", "/", "··", "..", "。。",
    "•·", " · ", " ", "\u3000", "\u00a0·\u2009", "\u200b·", "\u3000．\u3000", "",
]  # fmt: skip


async def test_the_dot_of_any_keyboard_or_none_is_the_same_name(house: House) -> None:
    await enter(house, another(person(0), name=UYGHUR))
    first = None
    for dot in DOTS:
        answer = await house.try_join(another(person(0), name=f"阿依古丽{dot}买买提"))
        assert answer.status_code in (200, 201), (dot, answer.text)
        first = first or answer.json()["entry"]
        assert answer.json()["entry"] == first
    assert answer.status_code == 200


async def test_a_registry_may_have_any_dot_as_well(house: House) -> None:
    people = [another(person(i), name=f"阿依古丽{dot}买买提") for i, dot in enumerate(DOTS)]
    await enter(house, *people)
    for who in people:
        assert (await house.try_join(another(who, name=UYGHUR))).status_code == 201, who.name
        assert (await plain(house, another(who, name="阿依古丽买买提")))[0] == 303, who.name


# P3: private use. GBK's FE50 to FEA0 are U+E815 to U+E864 there; their letters by GB 18030-2005's table, as `iconv -f
# GB18030` of glibc 2.36 gives them of the bytes beside them.
PRIVATE_USE = {
    "\ue863": "䶮",  # FE9F
    "\ue828": "㧟",  # FE63
    "\ue856": "䲣",  # FE92
    "\ue844": "䜣",  # FE80
    "\ue81e": "龴",  # FE59, U+9FB4
    "\ue864": "龻",  # FEA0, U+9FBB
    "\ue816": "\U00020087",  # FE51
    "\ue831": "\U000215d7",  # FE6C
    "\ue855": "\U000241fe",  # FE91
}


async def test_a_letter_that_old_fonts_kept_in_private_use_is_the_letter(house: House) -> None:
    for i, (private, letter) in enumerate(PRIVATE_USE.items()):
        old, new = another(person(i), name="赵" + private), another(person(500 + i), name="赵" + letter)
        await enter(house, old, new)
        for who, typed in ((old, "赵" + letter), (new, "赵" + private)):
            answer = await house.try_join(another(who, name=typed))
            assert answer.status_code == 201, answer.text
            assert (await house.try_join(who)).status_code == 200
        refused(await house.call("POST", ASK, json=another(old, name="赵龙").papers()), "identity-mismatch", 403)


def test_what_is_shown_of_a_name_is_the_letter() -> None:
    assert mask_name("\ue863万里") == "䶮*"


async def test_private_use_that_no_table_knows_is_a_row_error_and_refused_at_the_door(house: House) -> None:
    for unknown in ("\ue000", "\ue865", "\uf8ff", "\U000f0000"):
        who = another(person(1), name="赵" + unknown)
        _, bad = read([person(0), who])
        assert (bad.line, bad.column_no, bad.column) == (3, 3, "name")
        problem = refused(await house.try_join(who, lang="en"), "invalid", 422)
        assert [it["field"] for it in problem["errors"]] == ["name"]
        assert "another keyboard" in problem["errors"][0]["message"]


# P4: letters that are lost. Question marks by character sets, U+FFFD by decoders, boxes by fonts, stars and crosses by
# masks; words by databases; references, escapes and percents by web pages.
LOST = [
    "??", "赵?", "赵？", "?", "赵\ufffd", "赵□", "□□", "赵〓", "张*", "张＊", "张**", "*三", "张○", "张×", "张XX",
    "张某某", "张●", "张__", "张...", "张……", "锟斤拷", "#NAME?", "#N/A", "NULL", "未知", "不详", "&#36213;三",
    "%E8%B5%B5", "\\u8d75三",
]  # fmt: skip
NO_NAME = ["123", "１２３", "...", "-", "()", "å¼\xa0ä¸‰", "😀", "赵♥"]


async def test_what_exports_make_of_lost_letters_is_nobodys_name(house: House) -> None:
    for name in LOST + NO_NAME:
        who = another(person(1), name=name)
        _, bad = read([person(0), who])
        assert isinstance(bad, RowFault), name
        assert (bad.line, bad.column_no, bad.column) == (3, 3, "name")
        assert len(name) == 1 or name not in bad.why
        problem = refused(await house.try_join(who, lang="en"), "invalid", 422)
        assert [it["field"] for it in problem["errors"]] == ["name"]
        if name in LOST:
            assert "whole name" in problem["errors"][0]["message"], name
    status, page = await plain(house, another(person(1), name="赵？"))
    assert status == 422 and "请填写完整姓名" in page


PEOPLES_NAMES = [
    "张", "欧阳娜娜", "武〇", "J. R. Smith", "O'Neill-Smith", "María José", "Jean-Pierre", "Anna (Ann) Lee",
    "張三, Sam", "김철수", "たかはし", "Иванов Пётр", "محمد", "Nguyễn Văn A", "Sukarno", "赵C",
]  # fmt: skip


@pytest.mark.parametrize("name", PEOPLES_NAMES)
def test_names_as_people_have_them_are_not_lost(name: str) -> None:
    assert check_name(normalise_name(name)) is None


# P5: ID numbers of 15 digits. The check characters are made here after GB 11643-1999; 110105491231002 is the standard's
# own example, 11010519491231002X, as it was before 1999. Sequences 996 to 999 were for people of a hundred and more (GB
# 11643-1989), so their century is 18.


def with_check(body: str) -> str:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[sum(w * int(d) for w, d in zip(weights, body, strict=True)) % 11]


OLD_IDS = {
    "110105491231002": "11010519491231002X",
    "440524800101001": with_check("44052419800101001"),
    "440106990101996": with_check("44010618990101996"),
    "440106990101999": with_check("44010618990101999"),
    "440106990101995": with_check("44010619990101995"),
}
NO_OLD_IDS = ("440106000229005", "440106701301001", "440106700101999")  # no such day; born in 1870 is nobody alive


@pytest.mark.parametrize("in_registry", ["old", "new"])
async def test_an_id_of_15_digits_is_the_same_persons_of_18(house: House, in_registry: str) -> None:
    for i, (old, new) in enumerate(OLD_IDS.items()):
        of_15, of_18 = (another(person(i), id_number=number) for number in (old, new))
        await enter(house, of_15 if in_registry == "old" else of_18)
        joined = await house.try_join(of_15)
        assert joined.status_code == 201, joined.text
        again = await house.try_join(of_18)
        assert (again.status_code, again.json()["entry"]) == (200, joined.json()["entry"])
        assert (await plain(house, of_15))[0] == 303


async def test_15_digits_that_are_no_day_are_refused(house: House) -> None:
    for number in NO_OLD_IDS:
        who = another(person(0), id_number=number)
        [bad] = read([who])
        assert (bad.line, bad.column) == (2, "id_number")
        problem = refused(await house.try_join(who, lang="en"), "invalid", 422)
        assert "birth date" in problem["errors"][0]["message"]


async def test_a_city_may_ask_for_the_18_characters_and_says_so(store_url: str, tmp_path: Path) -> None:
    city = changed_city(tmp_path, ('old_15_digit_ids = "convert"', 'old_15_digit_ids = "refuse"'))
    who = another(person(0), id_number="110105491231002")
    [bad] = read([who], city)
    assert (bad.line, bad.column) == (2, "id_number")
    async with open_house(store_url, city=city) as house:
        await house.at("08:03:00")
        problem = refused(await house.try_join(who, lang="en"), "invalid", 422)
        assert "of 18" in problem["errors"][0]["message"]
        problem = refused(await house.call("POST", "/access-codes", json=papers_of(who)), "invalid", 422)
        assert "18" in problem["errors"][0]["message"]
        assert "18 位" in (await plain(house, who))[1]


def papers_of(who: Person) -> dict[str, str]:
    return {"id_type": who.id_type, "id_number": who.id_number, "phone": who.phone}


# P6: which names are the same. Traditional letters as in the State Council's table of 1964 (reissued 1986).
SAME_NAMES = {
    "traditional": [
        ("張國榮", "张国荣"), ("黃飛鴻", "黄飞鸿"), ("吕鐘云", "呂钟雲"), ("于谦", "於谦"), ("后发", "後髮"),
    ],
    "accents": [
        ("MÜLLER ANNA", "Mueller Anna"), ("Müller", "Muller"), ("Øster", "Oster"), ("Håkon", "HAAKON"),
        ("Łukasz", "Lukasz"), ("Nguyễn Văn", "nguyen van"), ("Пётр", "Петр"),
    ],
    "family_name_last": [
        ("SMITH ANNA", "Anna Smith"), ("Smith, Anna Maria", "ANNA MARIA SMITH"), ("KIM MINSU", "Minsu Kim"),
    ],
    "": [
        ("Jean-Pierre", "JEAN PIERRE"), ("Jean-Pierre", "jeanpierre"), ("O'Neill", "O’NEILL"),
        ("ZHANG, SAN", "Zhang San"), ("⻢云", "马云"), ("葛\U000e0100城", "葛城"), ("张三 Sam", "张三SAM"),
        ("J. R. Smith", "JR Smith"), ("MUSTERMANN<<ERIKA", "MUSTERMANN ERIKA"), ("Weiß", "WEISS"),
        ("Éloïse", "E\u0301loi\u0308se"),
    ],
}  # fmt: skip
OTHER_NAMES = [
    ("张三", "三张"), ("张三", "张二"), ("张三", "张"), ("峯", "峰"), ("SMITH ANNA", "SMITH HANNA"),
    ("Müller", "Miller"),
    ("Anna Maria Smith", "Maria Anna Smith"), ("Li Si", "Li"), ("张三 Sam", "Sam 张三"), ("Anna Smith", "Anne Smith"),
]  # fmt: skip
EVERY_PAIR = [pair for pairs in SAME_NAMES.values() for pair in pairs]


async def test_traditional_letters_accents_hyphens_commas_and_the_family_name_last_make_no_other_name(
    house: House,
) -> None:
    people = [another(person(i), name=kept) for i, (kept, _) in enumerate(EVERY_PAIR)]
    turned = [another(person(500 + i), name=typed) for i, (_, typed) in enumerate(EVERY_PAIR)]
    await enter(house, *people, *turned)
    for one, other, (kept, typed) in zip(people, turned, EVERY_PAIR, strict=True):
        assert (await house.try_join(another(one, name=typed))).status_code == 201, (kept, typed)
        assert (await house.try_join(another(other, name=kept))).status_code == 201, (typed, kept)


async def test_other_names_stay_others(house: House) -> None:
    people = [another(person(i), name=kept) for i, (kept, _) in enumerate(OTHER_NAMES)]
    await enter(house, *people)
    for who, (_, typed) in zip(people, OTHER_NAMES, strict=True):
        refused(await house.try_join(another(who, name=typed)), "identity-mismatch", 403)


@pytest.mark.parametrize("switch", ["traditional", "accents", "family_name_last"])
async def test_a_city_may_tell_names_apart_and_a_changed_rule_locks_nobody_out(
    store_url: str, tmp_path: Path, switch: str
) -> None:
    strict = changed_city(tmp_path, (f"{switch} = true", f"{switch} = false"))
    pairs = SAME_NAMES[switch]
    people = [another(person(i), name=kept) for i, (kept, _) in enumerate(pairs)]
    async with open_house(store_url) as before:
        await enter(before, *people)
    async with open_house(store_url, city=strict) as house:
        await house.at("08:03:00")
        for who in people:  # kept by the old rule: let in as they are
            assert (await house.try_join(who)).status_code == 201
        await enter(house, *people)  # and from now on by the new one
        for who, (_, typed) in zip(people, pairs, strict=True):
            assert (await house.try_join(who)).status_code == 200
            refused(await house.try_join(another(who, name=typed)), "identity-mismatch", 403)
        others = [pair for name, more in SAME_NAMES.items() if name != switch for pair in more]
        more = [another(person(100 + i), name=kept) for i, (kept, _) in enumerate(others)]
        await enter(house, *more)
        for who, (_, typed) in zip(more, others, strict=True):
            assert (await house.try_join(another(who, name=typed))).status_code == 201, (who.name, typed)
    async with open_house(store_url) as back:
        await back.at("08:04:00")
        for who in people:
            assert (await back.try_join(who)).status_code == 200


def test_a_name_is_kept_as_it_was_given() -> None:
    who = another(person(0), name="Müller-Lüdenscheidt, Anna")
    [row] = read([who])
    resident, record = row.resident, row.record(Cipher([b"s" * 32]))
    assert Cipher([b"s" * 32]).decrypt(resident, record.contact) == Contact(
        "MÜLLER-LÜDENSCHEIDT, ANNA", who.phone, who.id_number[-4:]
    )


# Any two spellings. A name is a list of letters, each with the ways there are to write it; between them is what people
# put there. Two spellings of one list are the same name, and spellings of lists that differ in a letter are not.

HAN = [
    "张張", "陈陳", "黄黃", "赵趙", "吕呂", "云雲", "发發髮", "台臺檯", "钟鐘鍾", "于於", "余餘", "卫衛", "萧蕭",
    "马馬⻢", "䶮\ue863", "㧟\ue828", "峰", "峯", "一", "明", "𠮷",
]  # fmt: skip
BETWEEN_HAN = ["", "", "", " ", "\u3000", *DOTS]
VOWELS = {
    "A": ["A", "a", "À", "á", "Ä", "ä", "AE", "å", "Aa"],
    "E": ["E", "e", "É", "ê"],
    "I": ["I", "i", "Í", "ı", "İ"],
}
VOWELS |= {"O": ["O", "o", "Ö", "oe", "ø", "Œ", "Ő"], "U": ["U", "u", "Ü", "UE", "ů"]}
CONSONANTS = {c: [c, c.lower(), chr(ord(c) + 0xFEE0)] for c in "BCDGHKLMNPRSTVZ"}
CONSONANTS["C"] += ["Ç", "č"]
CONSONANTS["D"] += ["Đ", "đ"]
CONSONANTS["L"] += ["Ł", "ł"]
CONSONANTS["N"] += ["Ñ", "n\u0303"]
CONSONANTS["S"] += ["Š", "s\u030c"]
LATIN = CONSONANTS | VOWELS
BETWEEN_WORDS = [" ", " ", "  ", "-", ", ", ". ", "’", "'", "·", "", "\u00a0", "‐", " \u200b"]


@st.composite
def spellings_in_han(draw: st.DrawFn) -> tuple[str, str, bool]:
    """(what is kept, what is typed, whether it is the same name)."""
    name = draw(st.lists(st.sampled_from(HAN), min_size=2, max_size=5))
    other = list(name)
    if is_same := draw(st.booleans()):
        pass
    elif draw(st.booleans()):
        at = draw(st.integers(0, len(name) - 1))
        other[at] = draw(st.sampled_from([letter for letter in HAN if letter != name[at]]))
    else:
        del other[draw(st.integers(0, len(name) - 1))]

    def spell(letters: list[str]) -> str:
        written = [draw(st.sampled_from(letter)) for letter in letters]
        return "".join(c + draw(st.sampled_from(BETWEEN_HAN)) for c in written[:-1]) + written[-1]

    return spell(name), spell(other), is_same


@st.composite
def spellings_in_latin(draw: st.DrawFn) -> tuple[str, str, bool]:
    """(what is kept, what is typed, whether it is the same name)."""
    word = st.tuples(
        st.sampled_from(sorted(CONSONANTS)), st.lists(st.sampled_from(sorted(LATIN)), min_size=2, max_size=6)
    ).map(lambda it: [it[0], *it[1]])
    words = draw(st.lists(word, min_size=2, max_size=4))
    other = [list(letters) for letters in words]
    if is_same := draw(st.booleans()):
        begin = draw(st.integers(0, len(words) - 1))
        other = other[begin:] + other[:begin]
    else:
        letters = draw(st.sampled_from(other))
        letters[0] = draw(st.sampled_from([c for c in sorted(CONSONANTS) if c != letters[0]]))

    def spell(name: list[list[str]]) -> str:
        written = ["".join(draw(st.sampled_from(LATIN[c])) for c in letters) for letters in name]
        return "".join(w + draw(st.sampled_from(BETWEEN_WORDS)) for w in written[:-1]) + written[-1]

    return spell(words), spell(other), is_same


class Doors:
    """A house that tests without a loop of their own can knock at."""

    def __init__(self, runner: asyncio.Runner, house: House) -> None:
        self.runner, self.house, self.asked = runner, house, 0

    def answers(self, kept: str, typed: str) -> dict[str, str]:
        """What a new person with the one name in the registry hears who types the other, at every door."""
        self.asked += 1
        who = person(self.asked)
        return self.runner.run(self._answers(another(who, name=kept), another(who, name=typed)))

    async def _answers(self, kept: Person, typed: Person) -> dict[str, str]:
        await enter(self.house, kept)
        # What the page sends: NFKC, single blanks (papers.js).
        by_page = another(typed, name=" ".join(unicodedata.normalize("NFKC", typed.name).split()))
        # All at once, as refusals are held back.
        asked, page, api, (form, _) = await asyncio.gather(
            self.house.call("POST", ASK, json=typed.papers()),
            self.house.try_join(by_page),
            self.house.try_join(typed),
            plain(self.house, typed),
        )
        heard = {"eligibility": asked.status_code, "page": page.status_code, "API": api.status_code, "plain": form}
        return {door: MEANS.get(status, str(status)) for door, status in heard.items()}


MEANS = {200: "let in", 201: "let in", 303: "let in", 403: "sent away"}


@pytest.fixture
def doors(store_url: str) -> Iterator[Doors]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        house = runner.run(stack.enter_async_context(open_house(store_url)))
        try:
            runner.run(house.at("08:03:00"))
            yield Doors(runner, house)
        finally:
            runner.run(stack.aclose())


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.one_of(spellings_in_han(), spellings_in_latin()))
def test_two_spellings_match_everywhere_if_the_rule_calls_them_equal_and_nowhere_else(
    doors: Doors, case: tuple[str, str, bool]
) -> None:
    kept, typed, is_same = case
    heard = "let in" if is_same else "sent away"
    assert doors.answers(kept, typed) == dict.fromkeys(("eligibility", "page", "API", "plain"), heard)


# Numbers: one person under every kind of papers that has the same digits


def papers_of_one(i: int) -> dict[str, list[tuple[IdType, str]]]:
    """Kinds and numbers that are one person's; another person's for each `i`."""
    old = f"44010670{1 + i // 28 % 12:02d}{1 + i % 28:02d}{i % 900:03d}"
    resident = with_check(f"{old[:6]}19{old[6:]}")
    permit = with_check(f"8{1 + i % 3}00001990{1 + i // 28 % 12:02d}{1 + i % 28:02d}{i % 900:03d}")
    return {
        "resident ID": [
            ("resident_id", resident), ("passport", resident), ("passport", resident.lower()), ("resident_id", old),
            ("passport", old),
        ],
        "residence permit": [("residence_permit", permit), ("resident_id", permit), ("passport", permit)],
        "Hong Kong": [
            ("hk_macao_permit", f"H{i:08d}"), ("hk_macao_permit", f"H{i:08d}01"), ("passport", f"H{i:08d}"),
            ("passport", f"h{i:08d}02"),
        ],
        "Macao": [("hk_macao_permit", f"M{i:08d}"), ("passport", f"M{i:08d}"), ("passport", f"M{i:08d}11")],
        "Taiwan": [("taiwan_permit", f"{i:08d}"), ("taiwan_permit", f"{i:08d}01"), ("passport", f"{i:08d}02")],
    }  # fmt: skip


KINDS = sorted(papers_of_one(0))


@pytest.mark.parametrize("kind", KINDS)
async def test_the_same_digits_under_another_kind_of_papers_are_one_person(house: House, kind: str) -> None:
    count = len(papers_of_one(0)[kind])
    for i, (kept, shown) in enumerate((k, s) for k in range(count) for s in range(count)):
        people = [another(person(i), id_type=t, id_number=n) for t, n in papers_of_one(i)[kind]]
        await enter(house, people[kept])
        joined = await house.try_join(people[shown])
        assert joined.status_code == 201, (people[kept], people[shown], joined.text)
        for who in people:
            again = await house.try_join(who)
            assert (again.status_code, again.json()["entry"]) == (200, joined.json()["entry"]), who


@pytest.mark.parametrize("kind", KINDS)
async def test_the_same_digits_take_one_place_where_no_registry_knows_them(store_url: str, kind: str) -> None:
    async with open_house(store_url, day=date(2021, 7, 1)) as house:  # first doses from July on (A4)
        await house.at("08:03:00")
        people = [another(person(7), id_type=t, id_number=n) for t, n in papers_of_one(7)[kind]]
        assert [(await house.try_join(who)).status_code for who in people] == [201] + [200] * (len(people) - 1)


APART = [
    (("taiwan_permit", "12345678"), ("passport", "12345678")),  # Swedish, Czech, Israeli passports have 8 digits
    (("hk_macao_permit", "H12345679"), ("hk_macao_permit", "M12345679")),
    (("hk_macao_permit", "H12345670"), ("taiwan_permit", "12345670")),
    (("passport", "E12345678"), ("passport", "E1234567801")),
    (("resident_id", "11010519491231002X"), ("passport", "110105194912310020")),  # not its check character
]


async def test_digits_that_say_nothing_stay_two_people(house: House) -> None:
    for serial, pair in enumerate(APART):
        people = [another(person(10 * serial + i), id_type=t, id_number=n) for i, (t, n) in enumerate(pair)]
        await enter(house, *people)
        entries = [(await house.join(who))["entry"] for who in people]
        assert entries[0] != entries[1], pair


# Stores that the version before has filled: its keys and hashes, by the text of its keys.py


def earlier_key(who: Person) -> bytes:
    key = hmac.digest(PEPPER, b"jiaohao resident key", "sha256")
    return hmac.digest(key, f"{who.id_type}:{who.id_number}".encode(), "sha256")[:16]


def earlier_line(who: Person, name: str) -> tuple[str, bytes]:
    """(key, value) of a registry line as the version before wrote it."""
    resident = earlier_key(who)
    secret = hmac.digest(PEPPER, b"jiaohao identity match", "sha256")
    match = hmac.digest(secret, resident + f"{who.phone}:{name}".encode(), "sha256")[:12]
    contact = Cipher([b"s" * 32]).encrypt(resident, Contact(name, who.phone))
    packed = msgspec.msgpack.encode([date(2021, 5, 1).toordinal(), "inactivated", TIANHE, match, contact])
    return f"registry:{{{urlsafe_b64encode(resident)[:22].decode()}}}", packed


def fill(store_url: str, *lines: tuple[str, bytes]) -> None:
    with Redis.from_url(store_url) as client:
        for key, value in lines:
            client.set(key, value)


BEFORE = [
    ("张三", "张三"), ("Müller, Anna", "MÜLLER, ANNA"), (UYGHUR, UYGHUR), ("阿依古丽.买买提", "阿依古丽.买买提"),
    ("赵\ue863", "赵\ue863"),
]  # fmt: skip


async def test_who_was_imported_by_the_version_before_is_still_known(house: House, store_url: str) -> None:
    for i, (typed, kept) in enumerate(BEFORE):
        who = another(person(i), name=typed)
        fill(store_url, earlier_line(who, kept))
        refused(await house.try_join(another(who, name="李四")), "identity-mismatch", 403)
        assert (await house.try_join(who)).status_code == 201
        await enter(house, who)
        assert (await house.try_join(who)).status_code == 200


async def test_a_passport_with_an_ids_digits_keeps_its_place_and_registration_of_before(
    house: House, store_url: str
) -> None:
    as_passport = another(person(3), id_type="passport")
    fill(store_url, earlier_line(as_passport, person(3).name))
    done = await house.registered(as_passport)
    refused(await house.try_join(as_passport), "already-registered", 409)
    assert (await house.call("POST", "/access-codes", json=papers_of(as_passport))).status_code == 202
    await house.services.access.settled()
    assert await house.store.registration_fields(earlier_key(as_passport))
    await enter(house, as_passport)  # from now on both kinds are one person, who is registered
    for who in (as_passport, person(3)):
        refused(await house.try_join(who), "already-registered", 409)
    no = done["registration_no"]
    answer = await house.call("POST", f"/registrations/{no}/cancellation", bearer=done["receipt"])
    assert answer.status_code == 200
    joined = await house.join(person(3))
    assert (await house.join(as_passport))["entry"] == joined["entry"]


async def test_a_passport_with_an_ids_digits_is_one_person_with_the_id_after_the_next_import(
    house: House, store_url: str
) -> None:
    as_passport = another(person(3), id_type="passport")
    fill(store_url, earlier_line(as_passport, person(3).name))
    await enter(house, as_passport)
    joined = await house.join(as_passport)
    assert (await house.join(person(3)))["entry"] == joined["entry"]


def test_lines_without_anything_new_are_kept_octet_for_octet_as_before() -> None:
    [row] = read([person(0)])
    record = row.record(Cipher([b"s" * 32]))
    plainly = [record.day, record.product, record.district, record.match, record.contact]
    assert pack(record) == msgspec.msgpack.encode(plainly)


def test_the_command_names_line_and_column(jiaohao: Jiaohao, store_url: str, tmp_path: Path) -> None:
    file = tmp_path / "registry.csv"
    file.write_text("\n".join([HEADER, line(person(0)), line(another(person(1), name="赵?"))]) + "\n", "utf-8")
    code, _, err = jiaohao("import", "registry", str(file), JIAOHAO_REDIS_URL=store_url, JIAOHAO_SECRET=PEPPER.hex())
    assert code != 0
    assert "line 3" in err and "column 3 (name)" in err and "赵" not in err
