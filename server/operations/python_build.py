"""Which Python runs this and how it was built: without profile-guided optimisation everything takes a third longer."""

import os
import platform
import sysconfig
from collections.abc import Collection

from server.operations.store_findings import Finding

_CURE = (
    "use one that was: Debian's and Ubuntu's python3, the official container images, or uv's; pyenv's with "
    "PYTHON_CONFIGURE_OPTS='--enable-optimizations --with-lto'"
)


def python_finding() -> Finding:
    """The Python of this process, and the cure where it is a slow build."""
    arguments = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    build, is_slow = build_of(arguments, sysconfig.get_scheme_names())
    what = f"{platform.python_implementation()} {platform.python_version()}, {build}"
    return Finding("note", f"{what}: requests take a third more CPU", _CURE) if is_slow else Finding("ok", what)


def build_of(arguments: str, schemes: Collection[str]) -> tuple[str, bool]:
    """How a Python was built, in words, and whether without profile-guided optimisation (PGO).

    Args:
        arguments: what its `configure` was given; nothing where that is not kept (Windows).
        schemes: names of its installation schemes. Debian, which names its own among them, trains its builds without
            saying so to `configure`.
    """
    if "--enable-optimizations" in arguments:
        return "built with PGO and LTO" if "--with-lto" in arguments else "built with PGO", False
    if "deb_system" in schemes:
        return "Debian's build, with PGO", False
    if os.name == "nt" or not arguments:
        return "how it was built is not told", False
    return "built WITHOUT PGO", True
