"""Words of the catalogue in the pages' files: where a page or a script names a key, the words go out in its stead.

The resident's page comes in each language, with the words of that one only: a page says `data-word="table.key"` on an
empty element, `data-word-label` for its label, and `{word:table.key}` in a text; what its scripts say before anything
else is fetched is in its `{words}`, all other words in files of the language (`words_files`), by which the page also
turns to another one. So its tables share one set of keys.

The desk's and the operators' pages speak Chinese and English at once, as they work without a network too: there an
element has its English in `data-en`, `{zh:table.key}` stands for a text whose language stays, and a script says
`import NAME from "./words/TABLE.js";` and has the table's words, each as "Chinese|English".
"""

import html
import re
from functools import cache
from typing import NamedTuple

import msgspec

from server.core.wording import catalogue, languages, word

FIRST = ("language", "app", "service")
"""Tables that the resident's page has in itself: its first views say them."""
MORE = ("opening", "queue", "receipt", "message", "register", "papers", "prove", "find")
"""Tables of its scripts that are fetched later."""
OF_ELEMENTS = ("page", "choice")
"""Tables of what its elements say."""

_ELEMENT = re.compile(r'data-word="([a-z-]+\.([\w-]+))"([^<>]*)>')
_LABEL = re.compile(r'data-word-label="([a-z-]+\.([\w-]+))"')
_FIXED = re.compile(r"\{(word|zh|en):([a-z-]+\.[\w-]+)\}")
_TABLE = re.compile(r'^import ([A-Z]+) from "\.{1,2}/words/([a-z-]+)\.js";$', re.MULTILINE)
_WORDS = "{words}"
_CHOICE = "{languages}"


class NamedLanguage(NamedTuple):
    """A language as one chooses it: by the name it has for itself."""

    language: str
    tag: str
    direction: str
    name: str


@cache
def named_languages() -> list[NamedLanguage]:
    """All that there are."""
    return [
        NamedLanguage(it, *(word(f"language.{key}", it) for key in ("tag", "direction", "own-name")))
        for it in languages()
    ]


def worded_page(text: str, language: str) -> str:
    """The resident's page in one language, with no other's words."""
    text = _ELEMENT.sub(lambda it: f'data-t="{it[2]}"{it[3]}>{_escaped(it[1], language)}', text)
    text = _LABEL.sub(lambda it: f'data-t-label="{it[2]}" aria-label="{_escaped(it[1], language)}"', text)
    text = _FIXED.sub(lambda it: _escaped(it[2], language), text)
    first = _json(FIRST, language).replace("<", "\\u003c")
    return text.replace(_WORDS, first).replace(_CHOICE, _choice(language))


def page_in_two_languages(text: str) -> str:
    """A page of the desk or the operators."""
    text = _ELEMENT.sub(lambda it: f'data-en="{_escaped(it[1], "en")}"{it[3]}>{_escaped(it[1], "zh")}', text)
    text = _LABEL.sub(lambda it: f'data-en-label="{_escaped(it[1], "en")}" aria-label="{_escaped(it[1], "zh")}"', text)
    return _FIXED.sub(lambda it: _escaped(it[2], it[1]), text)


def worded_script(text: str) -> str:
    """A script of theirs with its words."""
    return _TABLE.sub(lambda it: f"const {it[1]} = {_in_two_languages(it[2])};", text)


def words_files(language: str) -> dict[str, str]:
    """A language's files by their paths: what the resident's page says at first, and what its scripts say later."""
    return {
        f"/words/{language}.page.json": _json((*OF_ELEMENTS, *FIRST), language),
        f"/words/{language}.json": _json(MORE, language),
    }


def manifest(language: str) -> str:
    """What a phone is told that keeps the resident's page among its applications (W3C, Web Application Manifest)."""
    sizes = {"any": "/icon.svg", "192x192": "/icon-192.png", "512x512": "/icon-512.png"}
    icons = [{"src": src, "sizes": size, "purpose": "any"} for size, src in sizes.items()]
    told = {
        "id": "/", "start_url": "/", "scope": "/", "display": "standalone",
        "name": word("app.title", language), "short_name": word("page.short-name", language),
        "description": word("page.description", language),
        "lang": word("language.tag", language), "dir": word("language.direction", language),
        "background_color": "#f3f5f1", "theme_color": "#0b6447",
        "icons": [*icons, {"src": "/icon-maskable.png", "sizes": "512x512", "purpose": "maskable"}],
    }  # fmt: skip
    return msgspec.json.encode(told).decode()


def _json(tables: tuple[str, ...], language: str) -> str:
    found = catalogue(language)
    return msgspec.json.encode({key: text for name in tables for key, text in found[name].items()}).decode()


def _choice(language: str) -> str:
    mark = {language: " selected"}
    return "".join(
        f'<option value="{it.language}" lang="{it.tag}"{mark.get(it.language, "")}>{it.name}</option>'
        for it in named_languages()
    )


def _in_two_languages(name: str) -> str:
    zh, en = catalogue("zh")[name], catalogue("en")[name]
    return msgspec.json.encode({key: f"{zh[key]}|{en[key]}" for key in zh}).decode()


def _escaped(key: str, language: str) -> str:
    return html.escape(word(key, language), quote=False).replace('"', "&quot;")
