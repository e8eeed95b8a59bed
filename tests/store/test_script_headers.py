"""A script's header is the one description of its keys and arguments: it says what the body does."""

import inspect
import re

import pytest

from server.records.scripts import ALL
from server.store.scripts import LUA_DIR, Script, load_scripts, parse
from tests.support.stores import Store

_PRELUDE = (LUA_DIR / "prelude.lua").read_text()
_NAMES = sorted(load_scripts())
_TYPES = {"HASH", "ZSET", "SET", "LIST", "STREAM", "STRING", "BITMAP"}
_ARGUMENT_TYPES = {"int", "float", "str", "bytes", "mixed"}


def _source(name: str) -> str:
    return (LUA_DIR / f"{name}.lua").read_text()


def _header(source: str) -> list[str]:
    lines = source.splitlines()
    end = next((i for i, line in enumerate(lines) if not line.startswith("--")), len(lines))
    return lines[:end]


def _body(source: str) -> str:
    """The code, without comments and without the texts in quotes."""
    code = "\n".join(source.splitlines()[len(_header(source)) :])
    return re.sub(r"--[^\n]*", "", code)


def _indices(table: str, code: str) -> set[int]:
    return {int(i) for i in re.findall(rf"\b{table}\[(\d+)\]", code)}


@pytest.fixture(params=_NAMES)
def name(request: pytest.FixtureRequest) -> str:
    """Each script in turn."""
    return str(request.param)


def test_every_script_is_in_the_keeping_of_these_tests() -> None:
    assert {p.stem for p in LUA_DIR.glob("*.lua")} - {"prelude"} == set(_NAMES)
    assert len(_NAMES) >= 11


def test_header_says_what_it_does_returns_and_costs(name: str) -> None:
    header = _header(_source(name))
    assert re.match(rf"-- {name}: \S", header[0])
    for what in ("RETURNS", "COST"):
        assert sum(line.startswith(f"-- {what} ") for line in header) == 1, what


def test_header_types_are_types(name: str) -> None:
    for line in _header(_source(name)):
        if found := re.match(r"-- (KEYS|ARGV)\[\S+\]\s+\w+\s+(\w+)", line):
            assert found[2] in (_TYPES if found[1] == "KEYS" else _ARGUMENT_TYPES), line


def test_no_line_of_a_header_is_overlooked(name: str) -> None:
    header = _header(_source(name))
    script = load_scripts()[name]
    assert len(script.keys) == sum("KEYS[" in line.split("]")[0] for line in header if line.startswith("-- KEYS"))
    assert script.repeats == any(line.startswith("-- KEYS repeat: ") for line in header)
    assert len(script.args) == sum(line.startswith("-- ARGV") for line in header)


def test_keys_of_the_header_are_the_keys_of_the_body(name: str) -> None:
    script = load_scripts()[name]
    assert _indices("KEYS", _body(_source(name))) == set(range(1, len(script.keys) + 1))
    # Only who takes the keys of several people looks at how many there are.
    assert ("#KEYS" in _body(_source(name))) == script.repeats


def test_a_key_is_bound_to_the_name_the_header_gives_it(name: str) -> None:
    first = re.search(r"^local ([\w, ]+) = (KEYS\[1\].*)$", _body(_source(name)), re.MULTILINE)
    assert first is not None
    assert tuple(first[1].split(", ")) == load_scripts()[name].keys
    assert first[2] == ", ".join(f"KEYS[{i + 1}]" for i in range(len(load_scripts()[name].keys)))


def test_arguments_of_the_header_are_the_arguments_of_the_body(name: str) -> None:
    script, body = load_scripts()[name], _body(_source(name))
    used = _indices("ARGV", body)
    declared = set(range(1, len(script.args) + 1))
    if script.variadic:
        last = len(script.args)
        used.discard(last)
        whole = rf"(for i = {last}, #ARGV|unpack\(ARGV, {last}\)|ipairs\(ARGV\)|#ARGV - {last - 1})"
        assert re.search(whole, body), "the repeated argument is not read from its place on"
        declared.discard(last)
    assert used == declared


def test_numbers_are_made_numbers_where_they_come_in(name: str) -> None:
    """An untyped flag compared with 1 is always false."""
    script, body = load_scripts()[name], _body(_source(name))
    kinds = dict(re.findall(r"^-- ARGV\[(\d+)\]\s+\w+\s+(\w+)", _source(name), re.MULTILINE))
    for i in range(1, len(script.args) + 1 - script.variadic):
        if kinds[str(i)] in ("int", "float") and re.search(rf"(?<!\w)ARGV\[{i}\]\s*[<>=~]=?\s*[\w\"']", body):
            assert re.search(rf"tonumber\(ARGV\[{i}\]\)", body), i


def test_only_declared_keys_are_touched(name: str) -> None:
    """Each store command's key is a name that KEYS was bound to, so that a cluster knows the slot."""
    keys = set(load_scripts()[name].keys)
    body = _body(_source(name))
    touched = re.findall(r"\bcall\('([A-Z]+)'(?:, ([^,)]+))?", body)
    touched += re.findall(
        r"\b(load_opening|close_draw_when_due|fix_draw|is_held|give_no_fewer|commit_seed|note|owe)\((\w+)", body
    )
    for looked_up in re.findall(r"\bstanding_of\(o, (\w+), (\w+), (\w+), (\w+),", body):
        assert looked_up == ("claims", "done", "calls", "starts")
        touched += [("standing_of", key) for key in looked_up]
    for looked_up in re.findall(r"\bstanding_for\(o, (\w+), (\w+), (\w+), (\w+), (\w+), (\w+),", body):
        assert looked_up == ("places", "leavers", "claims", "done", "calls", "starts")
        touched += [("standing_for", key) for key in looked_up]
    assert touched
    if load_scripts()[name].repeats:
        keys.add("unpack(KEYS")
    for command, key in touched:
        assert command == "TIME" or key in keys, (command, key)


def test_every_declared_key_is_of_use(name: str) -> None:
    body = _body(_source(name))
    for key in load_scripts()[name].keys:
        assert len(re.findall(rf"\b{key}\b", body)) >= 2, key


def test_the_prelude_touches_only_what_it_is_given() -> None:
    keys = set(re.findall(r"call\('[A-Z]+', (\w+)", _PRELUDE))
    assert keys <= {"key", "places", "leavers", "claims", "done", "calls", "starts", "history", "owed"}
    assert "KEYS" not in _PRELUDE and "ARGV" not in _PRELUDE


def test_the_types_of_a_key_agree_between_scripts() -> None:
    kinds: dict[str, set[str]] = {}
    for each in _NAMES:
        for key, kind in re.findall(r"^-- KEYS\[\d+\]\s+(\w+)\s+(\w+)", _source(each), re.MULTILINE):
            kinds.setdefault(key, set()).add(kind)
    assert {key: kind for key, kind in kinds.items() if len(kind) > 1} == {}


def test_every_script_has_a_method_of_its_name(name: str) -> None:
    method = getattr(Store, name)
    assert inspect.iscoroutinefunction(method)
    called = re.findall(r"_connection\.run(?:_each)?\(\s*\"(\w+)\"", inspect.getsource(method))
    assert called == [name]


def test_the_readme_names_every_script_and_every_key() -> None:
    readme = (LUA_DIR / "README.md").read_text()
    for each in _NAMES:
        assert f"`{each}`" in readme, each
        for key in load_scripts()[each].keys:
            assert f"`{key}:{{" in readme, key


@pytest.mark.parametrize(
    "header",
    [
        "-- KEYS[2] places HASH x",
        "-- KEYS[1] opening HASH x\n-- KEYS[3] places HASH x",
        "-- ARGV[2] now_ms int x",
        "-- ARGV[1..] entry int x\n-- ARGV[2] now_ms int x",
    ],
)
def test_a_header_with_a_gap_is_refused(header: str) -> None:
    with pytest.raises(ValueError, match=r"x\.lua: (KEYS|ARGV)\[\d\] is out of order"):
        parse("x", header, "")


def test_a_call_with_too_few_arguments_is_refused() -> None:
    script = Script("x", "", "", ("opening",), ("now_ms", "offset_ms", "entry"), True)
    assert [script.takes(n) for n in range(5)] == [False, False, True, True, True]
    fixed = Script("x", "", "", ("opening",), ("now_ms", "offset_ms"), False)
    assert [fixed.takes(n) for n in range(4)] == [False, False, True, False]


# What a script answers with


def _returns(name: str) -> str:
    """What the header says of it, in one line and without what stands in brackets."""
    text = " ".join(re.sub("^-- *", "", line) for line in _header(_source(name)))
    said = text.partition(" RETURNS ")[2].partition(" COST ")[0]
    return re.sub(r"\([^)]*\)", "", said)


def _sets_of_words(name: str) -> dict[str, set[str]]:
    """The closed sets of words among them, each by its name."""
    named = re.findall(r"(\w+)(?::| {2,})\s*([\w -]+(?:\|[\w -]+)+)", _returns(name))
    return {what: {word.strip() for word in words.split("|")} for what, words in named}


def _numbers(name: str) -> set[int]:
    """The closed set of numbers: of a script that answers yes or no, and of `join`, where it gives no place."""
    if found := re.match(r"\w+\s+int\s+1(,? or 0)?(?!\w)", _returns(name)):
        return {1, 0} if found[1] else {1}
    return {int(it) for it in re.findall(r"(?<!\w)-\d+", _returns(name))} if name == "join" else set()


def _literals(source: str) -> set[str]:
    """The words that a script can answer with: those of its answers' first parts."""
    answers = re.findall(r"\breturn \{?([^,}\n]*)", source)
    answers += re.findall(r"(?:\bstatus|\boutcome|\banswer\[1\])(?:, \w+)? = \{?([^,}\n]*)", source)
    answers += re.findall(r"\blocal answers? = \{([^,}\n]*)", source)
    answers += re.findall(r"table\.insert\(answer, 1, ('\w+')\)", source)
    return {word for answer in answers for word in re.findall(r"'([a-z_]+)'", answer)}


def test_statuses_are_those_of_the_header_both_ways(name: str) -> None:
    ours = [it for it in ALL if it.script == name]
    words = {it.name: {known.decode() for known in it.known if isinstance(known, bytes)} for it in ours}
    assert {what: those for what, those in words.items() if those} == _sets_of_words(name)
    assert {known for it in ours for known in it.known if isinstance(known, int)} == _numbers(name)


def test_a_status_is_called_what_the_script_calls_it(name: str) -> None:
    for it in (it for it in ALL if it.script == name):
        for said, meaning in it.known.items():
            assert said == (meaning.encode() if isinstance(meaning, str) and isinstance(said, bytes) else said)


def test_a_script_answers_with_no_word_that_its_header_does_not_name(name: str) -> None:
    sets = _sets_of_words(name)
    can_answer = _literals("\n".join(_source(name).splitlines()[len(_header(_source(name))) :]))
    if sets.keys() & {"standing", "outcome"}:
        for function in ("standing_of", "standing_for"):
            can_answer |= _literals(_PRELUDE.partition(f"local function {function}(")[2].partition("\nend\n")[0])
    assert can_answer == set().union(*sets.values())


def test_the_table_of_statuses_has_all_scripts_that_have_any() -> None:
    assert {name for name in _NAMES if _sets_of_words(name) or _numbers(name)} == {it.script for it in ALL}
    assert len(ALL) > 40
