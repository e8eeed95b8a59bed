"""The catalogue of words: what people read stands in it once, and nowhere beside it."""

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import server
from server.core import wording
from server.core.message_kinds import KINDS, texts
from server.core.wording import WordingError, catalogue
from server.web import assets, worded

PRODUCT = Path(server.__file__).parent
LUA = PRODUCT.parent / "lua"
# Both pages of the resident's scripts share one set of words, so no two of these tables may give a key other words.
OF_THE_PAGE = ("app", "opening", "queue", "receipt", "service", "message", "register", "papers", "prove", "find")
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


def texts_of(name: str, content: str) -> Iterator[str]:
    """Every text of a file of the product, its comments and docstrings left out."""
    match name.rpartition(".")[2]:
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


def product() -> dict[str, str]:
    """Every file of the product that may say something, by its path."""
    kinds = {".py", ".js", ".html", ".toml"}
    files = [it for it in sorted(PRODUCT.rglob("*")) if it.suffix in kinds]
    return {str(it.relative_to(PRODUCT)): it.read_text("utf-8") for it in files}


@pytest.mark.parametrize(
    "files",
    [
        {"a.py": 'WORDS = {"zh": "您已有一份有效的登记，不需要再次排队。"}',
         "b.html": "<p>{{ it }} 您已有一份有效的登记，不需要再次排队。</p>"},
        {"a.js": 'const WORDS = { a: "请完成登记，还剩 {0}。|Please finish: {0} left." };',
         "b.toml": 'a = ["请完成登记，还剩 {0}。", "Do it: {0}."]'},
        {"a.toml": 'a = "我们会向登记时的手机发送六位验证码"',
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


def test_no_sentence_stands_twice_in_the_product() -> None:
    files = product()
    assert {"core/wording/resident.toml", "core/cities/guangzhou.toml", "web/pages/app.js", "web/problems.py",
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


def test_both_languages_are_given_the_same_values() -> None:
    differ = {
        f"{table}.{key}"
        for table, lines in catalogue().items()
        for key, (zh, en) in lines.items()
        if set(re.findall(r"\{\w*\}", zh)) != set(re.findall(r"\{\w*\}", en))
    }
    # A clause of its own in one of the languages: the other names the district only in its own.
    assert differ == {"reason.wrong-district"}


def test_no_words_have_the_mark_that_parts_the_languages_in_a_script() -> None:
    assert not [key for lines in catalogue().values() for key, words in lines.items() if "|" in "".join(words)]


def test_the_scripts_of_the_page_give_no_key_two_meanings() -> None:
    taught: dict[str, tuple[str, wording.Words]] = {}
    for table in OF_THE_PAGE:
        for key, words in catalogue()[table].items():
            first = taught.setdefault(key, (table, words))
            assert first[1] == words, (key, first, table)


def keys_named(content: str) -> set[str]:
    """Keys, `table.key`, that a template or a Python module names in full."""
    return set(re.findall(r"""\b(?:t|word|knows)\(\s*f?["']([a-z-]+\.[\w-]+)["']""", content))


def test_every_key_that_a_page_names_has_its_words() -> None:
    for name, content in product().items():
        if name.endswith((".py", ".html")):
            assert {key for key in keys_named(content) if not wording.knows(key)} == set(), name
    names = {path: asset.plain.decode() for asset in assets.load() if (path := asset.path).endswith(".js")}
    page = {key for table in OF_THE_PAGE for key in catalogue()[table]}
    of = {"/staff.js": set(catalogue()["staff"]), "/ops.js": {*catalogue()["ops"], *catalogue()["message"]}}
    asked = 0
    for path, content in names.items():
        keys = set(re.findall(r'\bt\("([\w-]+)"', content))
        asked += len(keys)
        known = of.get(path) or (set(catalogue()["staff"]) if "staff" in path else page)
        assert keys <= known, (path, keys - known)
    assert asked > 200


def test_words_go_out_inside_the_pages() -> None:
    sent = {asset.path: asset.plain.decode() for asset in assets.load()}
    assert "data-word" not in "".join(sent.values()) and "./words/" not in "".join(sent.values())
    assert '<h2 data-en="Find my registration">找回我的登记</h2>' in sent["/"]
    assert '<div id="bars" role="region" data-en-label="Notices" aria-label="通知">' in sent["/"]
    assert '"submit":"提交登记|Register"' in sent["/register.js"]
    with pytest.raises(KeyError):
        worded.worded_page('<p data-word="page.nobody-has-written-this"></p>')


def test_a_line_may_name_another_and_have_its_sentence_inside() -> None:
    lines: dict[str, dict[str, object]] = {
        "a": {"one": ["一。", "One."], "two": "a.one"},
        "b": {"three": ["{=a.two}二{0}。", "{=a.two} Two {0}."]},
    }
    read = wording.read(lines)
    assert read["a"]["two"] == ("一。", "One.") and read["b"]["three"] == ("一。二{0}。", "One. Two {0}.")
    for broken in ("b.none", "a.two"):
        with pytest.raises(WordingError, match=r"a\.two"):
            wording.read({"a": {"two": broken}})


def test_every_kind_of_message_has_its_text_and_its_name_and_scripts_owe_no_other() -> None:
    assert set(texts()) == set(catalogue()["sms"])
    assert {f"sms-{kind}" for kind in KINDS} <= set(catalogue()["message"])
    owed = {
        kind for it in LUA.glob("*.lua") for kind in re.findall(r"\bowe\(owed, \w+, '(\w+)'", it.read_text("utf-8"))
    }
    assert len(owed) > 5 and owed <= set(KINDS)
