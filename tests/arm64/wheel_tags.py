"""How pip is told to pick packages for an arm64 machine that is not this one."""

from __future__ import annotations

import configparser
import re
from importlib import metadata
from typing import Final

from tests.rules.tree import ROOT

# The oldest C library that pip knows by number, and what the emulated Debian has.
_OLDEST, _NEWEST = 17, 36

EMULATED_PYTHON: Final = "3.11"


def options(python: str = EMULATED_PYTHON, glibc: int = _NEWEST) -> list[str]:
    """Return pip's options for a Python, ``3.11``, on an arm64 machine with the C library 2.``glibc``."""
    abi = "cp" + python.replace(".", "")
    platforms = ["manylinux2014_aarch64", *(f"manylinux_2_{n}_aarch64" for n in range(_OLDEST, glibc + 1))]
    words = ["--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    for name in (abi, "abi3", "none"):
        words += ["--abi", name]
    for name in platforms:
        words += ["--platform", name]
    return words


def requirements(*extras: str) -> list[str]:
    """Return what setup.cfg requires, with the extras named."""
    parsed = configparser.ConfigParser()
    parsed.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = parsed["options"]["install_requires"].splitlines()
    for extra in extras:
        lines += parsed["options.extras_require"][extra].splitlines()
    return [line.strip() for line in lines if line.strip()]


def as_here() -> list[str]:
    """Return the requirements at the versions that are installed here: what differs is the processor's."""
    names = [re.split(r"[<>=!~; ]", line, maxsplit=1)[0] for line in requirements()]
    return [f"{name}=={metadata.version(name)}" for name in names]
