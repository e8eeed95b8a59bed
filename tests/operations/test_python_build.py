"""Python's build is named wherever figures are, and a slow one comes with its cure."""

import pytest

from loadtests.report.host import python_build
from server.operations.python_build import build_of, python_finding

DEBIAN = ["deb_system", "posix_home", "posix_local", "posix_prefix"]
OTHERS = ["nt", "posix_home", "posix_prefix", "venv"]


@pytest.mark.parametrize(
    ("arguments", "schemes", "words", "is_slow"),
    [
        # As seen: pyenv's default, Debian 12's own, the official image's, and one that tells nothing.
        ("'--prefix=/x' '--enable-shared' '--libdir=/x/lib'", OTHERS, "built WITHOUT PGO", True),
        ("'--enable-shared' '--prefix=/usr' '--with-computed-gotos'", DEBIAN, "Debian's build, with PGO", False),
        ("'--enable-optimizations' '--with-lto' '--enable-shared'", OTHERS, "built with PGO and LTO", False),
        ("'--enable-optimizations'", DEBIAN, "built with PGO", False),
        ("", OTHERS, "how it was built is not told", False),
    ],
)
def test_a_build_is_told_by_what_it_was_configured_with(
    arguments: str, schemes: list[str], words: str, is_slow: bool
) -> None:
    assert build_of(arguments, schemes) == (words, is_slow)


def test_reports_and_doctor_say_the_same_and_a_slow_build_has_its_cure() -> None:
    finding = python_finding()
    assert finding.what.startswith(python_build())
    assert (finding.level == "note") == ("WITHOUT PGO" in finding.what) == ("--enable-optimizations" in finding.cure)
