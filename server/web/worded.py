"""Words of the catalogue in the pages' files: where a page or a script names a key, the words go out in its stead.

So a page brings its words along, and nothing more is asked for. A page says `data-word="table.key"` on an empty element
(its text is Chinese and `data-en` is English; scripts swap them), `data-word-label` for its label, and `{zh:table.key}`
where the language stays. A script says `import NAME from "./words/TABLE.js";` and has the table's words, each as
"Chinese|English".
"""

import html
import re

import msgspec

from server.core.wording import Words, catalogue

_ELEMENT = re.compile(r'data-word="([a-z-]+)\.([\w-]+)"([^<>]*)>')
_LABEL = re.compile(r'data-word-label="([a-z-]+)\.([\w-]+)"')
_FIXED = re.compile(r"\{(zh|en):([a-z-]+)\.([\w-]+)\}")
_TABLE = re.compile(r'^import ([A-Z]+) from "\.{1,2}/words/([a-z-]+)\.js";$', re.MULTILINE)


def worded_page(text: str) -> str:
    """A page with its words."""
    text = _ELEMENT.sub(lambda it: f'data-en="{_escaped(it, 1).en}"{it[3]}>{_escaped(it, 1).zh}', text)
    text = _LABEL.sub(lambda it: f'data-en-label="{_escaped(it, 1).en}" aria-label="{_escaped(it, 1).zh}"', text)
    return _FIXED.sub(lambda it: _escaped(it, 2).of(it[1]), text)


def worded_script(text: str) -> str:
    """A script with its words."""
    return _TABLE.sub(lambda it: f"const {it[1]} = {_table(it[2])};", text)


def _table(name: str) -> str:
    return msgspec.json.encode({key: "|".join(it) for key, it in catalogue()[name].items()}).decode()


def _escaped(it: re.Match[str], group: int) -> Words:
    words = catalogue()[it[group]][it[group + 1]]
    return Words(*(html.escape(text, quote=False).replace('"', "&quot;") for text in words))
