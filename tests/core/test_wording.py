"""The catalogue of words: what people read stands in it once, and nowhere beside it."""

import ast
import io
import json
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

import server
from server.core import wording
from server.core.message_kinds import KINDS, texts
from server.core.wording import FOLDER, SIMPLIFIED, WordingError, catalogue, languages
from server.web import assets, worded

PRODUCT = Path(server.__file__).parent
LUA = PRODUCT.parent / "lua"
# The resident's page has one set of words, so no two of these tables may give a key other words.
OF_THE_PAGE = (*worded.OF_ELEMENTS, *worded.FIRST, *worded.MORE)
# What only staff and operators read, and messages by SMS: in Chinese and English, as names are.
OF_TWO_LANGUAGES = {"assist.po", "desk.po", "operations.po", "sms.po"}
# A clause of its own in one of the languages: another one names the district only as names are written in it.
NAMES_OF_DISTRICTS = {"{district_name}", "{district_name_en}"}
# Chinese that nobody is told: how names and days are read, made-up people, forms of a date.
OTHER_CHINESE = {
    "core/names.py": "names that are none, and letters that stand for lost ones",
    "core/sms.py": "the longest values that a text is checked with",
    "operations/demo.py": "made-up people, sites and streets",
    "web/plain/visit.py": "how people type a day",
    "web/app.py": "the product's name",
    "web/pages/app.js": "the form of a date",
    "web/pages/papers.js": "names that are none",
}
HAN = re.compile(r"[㐀-鿿]")


def sentences(text: str) -> Iterator[str]:
    """Its sentences of some length, with all that is filled in left out: seven Chinese letters, or six words."""
    filled = re.sub(r"\{=[^}]*\}", "\n", text)
    filled = re.sub(r"\{[^{}]*\}|\$\{[^}]*\}|%s", "{}", filled)
    for each in re.split(r"(?<=[。！？])|(?<=[.!?])\s+|\n", filled):
        said = each.strip().rstrip(".")
        words = [it for it in said.split() if re.search("[A-Za-z]", it)]
        if len(HAN.findall(said)) >= 7 or (len(words) >= 6 and " " in said and not re.search(r"[<>=]|//", said)):
            yield said


@cache
def texts_of(name: str, content: str) -> tuple[str, ...]:
    """Every text of a file of the product, its comments and docstrings left out."""
    return tuple(_texts_of(name, content))


def _texts_of(name: str, content: str) -> Iterator[str]:
    match name.rpartition(".")[2]:
        case "po":
            yield from (str(it.string) for it in read_po(io.BytesIO(content.encode())) if it.id)
        case "toml":
            yield from _leaves(tomllib.loads(content))
        case "py":
            yield from _literals(ast.parse(content))
        case "js":
            code = re.sub(r"^\s*//.*$|(?<=[\s;,{}])// .*$|/\*.*?\*/", "", content, flags=re.MULTILINE | re.DOTALL)
            yield from (it[0][1:-1] for it in re.finditer(r'"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`', code))
        case "html":
            markup = re.sub(r"<!--.*?-->|\{#.*?#\}|<style>.*?</style>", "", content, flags=re.DOTALL)
            yield from re.findall(r'"([^"<>]*)"', markup)
            yield from re.split(r"<[^>]*>|\{[{%].*?[%}]\}", markup)


def _leaves(tree: object) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    for inner in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _leaves(inner)


def _literals(tree: ast.AST) -> Iterator[str]:
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    inner |= {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }  # docstrings
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(it.value) if isinstance(it, ast.Constant) else "{}" for it in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.value


def doubled(files: Mapping[str, str]) -> dict[str, list[str]]:
    """The sentences that stand more than once, and in which files."""
    found = defaultdict(list)
    for name, content in files.items():
        for text in texts_of(name, content):
            for sentence in sentences(text):
                found[sentence].append(name)
    return {sentence: names for sentence, names in found.items() if len(names) > 1}


def product(language: str = SIMPLIFIED) -> dict[str, str]:
    """Every file of the product that may say something, by its path; of the catalogue, those of one language."""
    kinds = {".py", ".js", ".html", ".toml"}
    files = [it for it in sorted(PRODUCT.rglob("*")) if it.suffix in kinds] + sorted((FOLDER / language).glob("*.po"))
    return {str(it.relative_to(PRODUCT)): it.read_text("utf-8") for it in files}


@pytest.mark.parametrize(
    "files",
    [
        {"a.py": 'WORDS = {"zh": "您已有一份有效的登记，不需要再次排队。"}',
         "b.html": "<p>{{ it }} 您已有一份有效的登记，不需要再次排队。</p>"},
        {"a.js": 'const WORDS = { a: "请完成登记，还剩 {0}。|Please finish: {0} left." };',
         "b.toml": 'a = ["请完成登记，还剩 {0}。", "Do it: {0}."]'},
        {"a.po": 'msgid "a.b"\nmsgstr "我们会向登记时的手机发送六位验证码"',
         "b.html": '<p aria-label="我们会向登记时的手机发送六位验证码"></p>'},
        {"a.toml": 'a = ["一", "The number is not right; please look again. Or do not."]\n'
                   'b = ["二", "The number is not right; please look again."]'},
        {"a.py": 'raise Refused(f"{key}: expected a number that nobody else has")',
         "b.py": 'raise Other(f"{it}: expected a number that nobody else has")'},
        {"a.js": "say(`这是 ${n} 位的旧身份证号码，请填写新的。`);",
         "b.py": 'x = f"这是 {n} 位的旧身份证号码，请填写新的。"'},
    ],
)  # fmt: skip
def test_a_sentence_that_stands_twice_is_found(files: dict[str, str]) -> None:
    assert doubled(files)
    once = {name: content for name, content in list(files.items())[:1] if len(files) > 1}
    assert not doubled(once)


def test_what_is_no_text_is_no_sentence() -> None:
    comment = "这里的注释说了同样的话，读者看不到。"
    files = {
        "a.py": f'"""{comment}"""\nx = 1  # {comment}',
        "b.js": f"// {comment}\nf(1); // {comment}\n/* {comment} */",
        "c.html": f"<!-- {comment} --><p></p>{{# {comment} #}}",
        "d.toml": f"# {comment}\na = 1",
    }
    assert doubled(files) == {}
    assert [
        list(texts_of(name, content)) for name, content in files.items() if HAN.search("".join(texts_of(name, content)))
    ] == []


@pytest.mark.parametrize("language", languages())
def test_no_sentence_stands_twice_in_the_product(language: str) -> None:
    files = product(language)
    assert {f"core/wording/{language}/resident.po", "core/cities/guangzhou.toml", "web/pages/app.js", "web/problems.py",
            "web/plain/templates/home.html", "cli/up.py"} <= files.keys()  # fmt: skip
    assert doubled(files) == {}


def test_chinese_stands_in_the_catalogue_and_in_city_files_only() -> None:
    elsewhere = {
        name: [text for text in texts_of(name, content) if HAN.search(text)]
        for name, content in product().items()
        if not name.startswith(("core/wording/", "core/cities/")) and name not in OTHER_CHINESE
    }
    assert {name: found for name, found in elsewhere.items() if found} == {}
    assert not [it for it in LUA.glob("*.lua") if HAN.search(it.read_text("utf-8"))]


def entries(content: str) -> dict[str, str]:
    """The words of a .po file by their keys, as a translator has left them there."""
    return {str(it.id): "" if it.fuzzy else str(it.string) for it in read_po(io.BytesIO(content.encode())) if it.id}


def values_of(text: str) -> set[str]:
    """What a text is filled with."""
    found = set(re.findall(r"\{\w*\}", text))
    return found - NAMES_OF_DISTRICTS | ({"a district's name"} if found & NAMES_OF_DISTRICTS else set())


def faults_of(language: str, files: Mapping[str, str], first: Mapping[str, str]) -> list[str]:
    """What is wrong with a language's files, beside those of the language that all is written in first, by name."""
    found = [f"no {name}" for name in first if name not in files and name not in OF_TWO_LANGUAGES]
    found += [f"{name}: nobody reads it" for name in files if name not in first]
    for name in files.keys() & first.keys():
        try:
            told = entries(files[name])
        except ValueError as error:
            found.append(f"{name}: {error}")
            continue
        wanted = entries(first[name])
        found += [f"{name}: no words for {key}" for key in wanted if not told.get(key)]
        found += [f"{name}: {key} is no key" for key in told if key not in wanted]
        found += [
            f"{name}: {key}: other values"
            for key in told.keys() & wanted.keys()
            if told[key] and values_of(told[key]) != values_of(wanted[key])
        ]
        if len(told) != len(re.findall(r'^msgid "(?!")', files[name], re.MULTILINE)):
            found.append(f"{name}: a key stands twice")
        if f'"Language: {language.replace("-", "_")}\\n"' not in files[name]:
            found.append(f"{name}: expected its language in its head")
        if left := [it for it in files[name].splitlines() if it and not re.match(r'#[ .,:]|#$|msgid "|msgstr "|"', it)]:
            found.append(f"{name}: left over: {left[0]}")
    return found


def files_of(language: str) -> dict[str, str]:
    """A language's files by their names."""
    return {it.name: it.read_text("utf-8") for it in (FOLDER / language).iterdir()}


def test_there_are_these_languages_and_the_one_that_all_is_written_in_comes_first() -> None:
    assert languages() == ("zh-Hans", "zh-Hant", "en")
    assert files_of("en").keys() == files_of(SIMPLIFIED).keys() > OF_TWO_LANGUAGES


@pytest.mark.parametrize("language", languages())
def test_every_language_has_the_same_words_and_is_given_the_same_values(language: str) -> None:
    assert faults_of(language, files_of(language), files_of(SIMPLIFIED)) == []


def test_what_a_translator_may_have_got_wrong_is_found() -> None:
    first = files_of(SIMPLIFIED)
    for name, old, new, fault in [
        ("resident.po", 'msgid "app.open"', 'msgid "app.opne"', "resident.po: no words for app.open"),
        ("resident.po", 'msgid "app.open"', 'msgid "app.opne"', "resident.po: app.opne is no key"),
        ("resident.po", "Next opening: {0}", "Next opening: {1}", "resident.po: app.next: other values"),
        ("common.po", '"Morning"', '""', "common.po: no words for period.am"),
        ("common.po", 'msgid "period.am"', '#, fuzzy\nmsgid "period.am"', "common.po: no words for period.am"),
        ("common.po", 'msgid "period.am"', '#~ msgid "period.am"', 'common.po: left over: #~ msgid "period.am"'),
        ("common.po", 'msgid "period.pm"', 'msgid "period.am"', "common.po: a key stands twice"),
        ("common.po", 'msgid "period.pm"', '一行\nmsgid "period.pm"', "common.po: left over: 一行"),
        ("common.po", "Language: en", "Language: de", "common.po: expected its language in its head"),
    ]:
        files = files_of("en")
        assert old in files[name], old
        assert fault in faults_of("en", files | {name: files[name].replace(old, new)}, first), (old, new)
    without = {name: text for name, text in files_of("en").items() if name != "plain.po"}
    assert faults_of("en", without, first) == ["no plain.po"]


def test_traditional_chinese_has_no_letter_of_the_simplified_and_the_other_way_round() -> None:
    """Big5 with Hong Kong's supplement, and GB 2312, are sets of letters of the one and of the other."""
    for language, letters in (("zh-Hant", "big5hkscs"), (SIMPLIFIED, "gb2312")):
        for name in files_of("zh-Hant"):
            for key, text in entries(files_of(language)[name]).items():
                told = "".join(HAN.findall(text))
                assert told.encode(letters, "ignore").decode(letters) == told, (language, key)


def test_what_the_desk_and_the_operators_read_has_no_mark_that_parts_the_languages_in_a_script() -> None:
    for language in ("zh", "en"):
        assert not [key for lines in catalogue(language).values() for key, text in lines.items() if "|" in text]


@pytest.mark.parametrize("language", languages())
def test_the_scripts_of_the_page_give_no_key_two_meanings(language: str) -> None:
    taught: dict[str, tuple[str, str]] = {}
    for table in OF_THE_PAGE:
        for key, words in catalogue(language)[table].items():
            first = taught.setdefault(key, (table, words))
            assert first[1] == words, (key, first, table)


def sent_in(language: str) -> dict[str, str]:
    """What goes out in a language, by its path: pages, scripts, styles, words."""
    return {it.path: it.plain.decode() for it in assets.load(language) if not it.path.endswith(".png")}


def keys_named(content: str) -> set[str]:
    """Keys, `table.key`, that a template or a Python module names in full."""
    return set(re.findall(r"""\b(?:t|word|knows)\(\s*f?["']([a-z-]+\.[\w-]+)["']""", content))


def test_every_key_that_a_page_names_has_its_words() -> None:
    for name, content in product().items():
        if name.endswith((".py", ".html")):
            assert {key for key in keys_named(content) if not wording.knows(key)} == set(), name
    names = {path: asset.plain.decode() for asset in assets.load() if (path := asset.path).endswith(".js")}
    tables = catalogue(SIMPLIFIED)
    # What its elements say is not among a script's words before the page has turned to another language.
    first = {key for table in worded.FIRST for key in tables[table]}
    page = first | {key for table in worded.MORE for key in tables[table]}
    of = {"/staff.js": set(tables["staff"]), "/ops.js": {*tables["ops"], *tables["message"]}, "/app.js": first}
    of["/assist.js"] = set(tables["assist"])
    asked = 0
    for path, content in names.items():
        keys = set(re.findall(r'\bt\("([\w-]+)"', content))
        asked += len(keys)
        known = of.get(path) or (set(tables["staff"]) if "staff" in path else page)
        assert keys <= known, (path, keys - known)
    assert asked > 200


def test_the_resident_s_page_goes_out_with_the_words_of_one_language() -> None:
    for language, heading, notices, submit in (
        ("zh-Hans", "找回我的登记", "通知", "提交登记"),
        ("zh-Hant", "找回我的登記", "通知", "提交登記"),
        ("en", "Find my registration", "Notices", "Register"),
    ):
        sent = sent_in(language)
        assert "data-word" not in "".join(sent.values()) and "./words/" not in "".join(sent.values())
        assert f'<h2 data-t="findIt">{heading}</h2>' in sent["/"]
        assert f'<div id="bars" role="region" data-t-label="notices" aria-label="{notices}">' in sent["/"]
        assert json.loads(sent[f"/words/{language}.json"])["submit"] == submit
        said = re.sub(r"<!--.*?-->|<style>.*?</style>|<option[^>]* lang=[^>]*>[^<]*", "", sent["/"], flags=re.DOTALL)
        assert bool(HAN.search(said)) is (language != "en")
        assert "Find my registration" not in said or language == "en"
        # All that the page says is in its two files, by which it turns to another language.
        there = [json.loads(sent[f"/words/{language}{of}.json"]) for of in (".page", "")]
        assert not set(re.findall(r'data-t(?:-label)?="([^"]+)"', sent["/"])) - there[0].keys() - there[1].keys()
    with pytest.raises(KeyError):
        worded.worded_page('<p data-word="page.nobody-has-written-this"></p>', "en")


def test_the_desk_s_words_go_out_inside_its_page_in_two_languages() -> None:
    sent = sent_in(SIMPLIFIED)
    assert 'data-en="Sign in for your site">登录本接种点<' in sent["/staff"]
    assert '"checkIn":"签到|Check in"' in sent["/staff.js"]
    with pytest.raises(KeyError):
        worded.page_in_two_languages('<p data-word="page.nobody-has-written-this"></p>')


def test_a_line_may_name_another_and_have_its_sentence_inside() -> None:
    read = wording.read({"a.one": "一。", "a.two": "{=a.one}", "b.three": "{=a.two}二{0}。"})
    assert read["a"]["two"] == "一。" and read["b"]["three"] == "一。二{0}。"
    for broken in ("{=b.none}", "{=a.two}"):
        with pytest.raises(WordingError, match=r"a\.two"):
            wording.read({"a.two": broken})


def test_a_language_is_read_in_the_one_next_to_it_where_it_leaves_a_file_out(tmp_path: Path) -> None:
    assert (wording.next_to("zh-Hant"), wording.next_to("pt-BR")) == ("zh-Hans", "en")
    assert wording.word("staff.checkIn", "zh-Hant") == "签到" and wording.word("app.open", "zh-Hant") == "開放中"
    (tmp_path / "a.po").write_text(
        'msgid "a.b"\nmsgstr "x"\n\n#, fuzzy\nmsgid "a.c"\nmsgstr "y"\n\nmsgid "a.d"\nmsgstr ""\n'
    )
    assert wording.lines_of(tmp_path) == {"a.b": "x"}
    (tmp_path / "b.po").write_text('msgid "a.b"\nmsgstr "again"\n')
    with pytest.raises(WordingError, match=r"b\.po: a\.b"):
        wording.lines_of(tmp_path)
    (tmp_path / "b.po").write_text('一行\nmsgid "a.e"\nmsgstr "z"\n')
    with pytest.raises(WordingError, match=r"b\.po"):
        wording.lines_of(tmp_path)
    with pytest.raises(WordingError, match="tlh"):
        catalogue("tlh")


def test_every_kind_of_message_has_its_text_and_its_name_and_scripts_owe_no_other() -> None:
    assert set(texts()) == set(catalogue(SIMPLIFIED)["sms"])
    assert {f"sms-{kind}" for kind in KINDS} <= set(catalogue(SIMPLIFIED)["message"])
    owed = {
        kind for it in LUA.glob("*.lua") for kind in re.findall(r"\bowe\(owed, \w+, '(\w+)'", it.read_text("utf-8"))
    }
    assert len(owed) > 5 and owed <= set(KINDS)
