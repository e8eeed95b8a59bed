"""A language that nobody speaks, read from right to left: English with its letters turned round (Android's ar-XB).

It shows what a fourth language is: a folder, and nothing else.
"""

import re
import shutil
from pathlib import Path

from babel.messages.pofile import read_po

from tests.support.serving import REPO

TAG = "ar-XB"
_FILES = ("common", "dates", "messages", "plain", "problems", "resident")
_AS_THEY_ARE = re.compile(r"date\.(day|full|until-day)")  # patterns, not words
_OWN = {
    "language.own-name": "XB",
    "language.tag": TAG,
    "language.regional": "ar-u-nu-latn",
    "language.direction": "rtl",
}
# What is filled in stays.
_PARTS = re.compile(r"(\{[^}]*\})")
_TURNED, _BACK = "\u202e", "\u202c"  # right-to-left override, and its end


def mirrored(text: str) -> str:
    """A text as it is read from right to left."""
    return "".join(it if it.startswith("{") or not it.strip() else _turned(it) for it in _PARTS.split(text))


def _turned(text: str) -> str:
    inner = text.strip()
    return text.replace(inner, f"{_TURNED}{inner}{_BACK}")


def product_with_it(folder: Path) -> Path:
    """A copy of the product that has the language, by a folder of files; where a server starts from."""
    for name in ("server", "lua"):
        shutil.copytree(REPO / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    wording = folder / "server" / "core" / "wording"
    (wording / TAG).mkdir()
    for name in _FILES:
        with (wording / "en" / f"{name}.po").open("rb") as f:
            entries = [(str(it.id), str(it.string)) for it in read_po(f) if it.id]
        lines = [
            'msgid ""',
            'msgstr ""',
            f'"Language: {TAG.replace("-", "_")}\\n"',
            '"Content-Type: text/plain; charset=UTF-8\\n"',
            "",
        ]
        for key, text in entries:
            said = _OWN.get(key) or (text if _AS_THEY_ARE.match(key) else mirrored(text))
            quoted = said.replace("\\", "\\\\").replace('"', '\\"')
            lines += [f'msgid "{key}"', f'msgstr "{quoted}"', ""]
        (wording / TAG / f"{name}.po").write_text("\n".join(lines), encoding="utf-8")
    return folder
