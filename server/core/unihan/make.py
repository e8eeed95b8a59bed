"""Makes `same_letters.txt` of the Unicode Character Database.

Use it as `python -m server.core.unihan.make FOLDER > same_letters.txt`.

FOLDER has `Unihan_Variants.txt` and `EquivalentUnifiedIdeograph.txt` (https://www.unicode.org/Public/UCD/latest/, or a
distribution's package `unicode-data`), plain or as `.bz2`.
"""

import bz2
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

# Not the semantic variants (峯 and 峰): whoever chose one of these for a child did not mean the other.
_FIELDS = ("kSimplifiedVariant", "kTraditionalVariant", "kZVariant")


def main(folder: Path) -> None:
    """Print the classes: letters that stand for one another, each class a line."""
    root: dict[str, str] = {}

    def root_of(letter: str) -> str:
        while (up := root.setdefault(letter, letter)) != letter:
            letter = up
        return letter

    for one, other in _variants(folder):
        root[root_of(one)] = root_of(other)
    classes = defaultdict(list)
    for letter in sorted(root):
        classes[root_of(letter)].append(letter)
    for letters in sorted(classes.values()):
        sys.stdout.write("".join(letters) + "\n")
    for radical, letter in _radicals(folder):
        sys.stdout.write(f"{radical}>{letter}\n")


def _lines(file: Path) -> Iterator[str]:
    packed = file.with_name(file.name + ".bz2")
    text = bz2.open(packed, "rt", encoding="utf-8").read() if packed.exists() else file.read_text("utf-8")
    return (line.partition("#")[0].strip() for line in text.splitlines())


def _variants(folder: Path) -> Iterator[tuple[str, str]]:
    for line in filter(None, _lines(folder / "Unihan_Variants.txt")):
        letter, field, variants = line.split("\t")
        if field in _FIELDS:
            for variant in variants.split():
                yield chr(int(letter[2:], 16)), chr(int(variant.partition("<")[0][2:], 16))


def _radicals(folder: Path) -> Iterator[tuple[str, str]]:
    """Of the CJK Radicals Supplement; the Kangxi radicals are made letters by NFKC."""
    for line in filter(None, _lines(folder / "EquivalentUnifiedIdeograph.txt")):
        radicals, letter = (part.strip() for part in line.split(";"))
        first, _, last = radicals.partition("..")
        for code in range(int(first, 16), int(last or first, 16) + 1):
            if 0x2E80 <= code <= 0x2EFF:
                yield chr(code), chr(int(letter, 16))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
