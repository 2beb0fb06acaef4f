"""Reading and comparing version numbers, as far as the doctor needs it. Pure."""

from __future__ import annotations

import re

Version = tuple[int, ...]

_MOST_PARTS = 8


def version_of(text: str) -> Version:
    """Return the numbers at the beginning of ``text``: (5, 15) for ``5.15-tegra``; () if there are none."""
    found = re.match(r"v?(\d{1,9}(?:\.\d{1,9})*)", text.strip())
    return tuple(map(int, found[1].split(".")[:_MOST_PARTS])) if found else ()


def at_least(version: Version, least: Version) -> bool:
    """Say whether a version is ``least`` or newer; missing numbers count as 0, no numbers as too old."""
    length = max(len(version), len(least))
    return bool(version) and version + (0,) * (length - len(version)) >= least + (0,) * (length - len(least))


def unmet(requirement: str, installed: str | None) -> str:
    """Return what is wrong with an installed version in words; empty if it will do.

    Args:
        requirement: As a package states it: ``numpy>=1.24``; only ``>=`` counts, and none with a condition.
        installed: The version; None if it is absent.
    """
    if ";" in requirement:
        return ""
    found = re.match(r"\s*([A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*\(?\s*(?:>=\s*([0-9.]+))?", requirement)
    if found is None:
        return ""
    name, least = found[1], found[2]
    if installed is None:
        return f"{name} is not installed"
    if least and not at_least(version_of(installed), version_of(least)):
        return f"{name} {installed} is older than {least}"
    return ""


def name_of(requirement: str) -> str:
    """Return the name of the package that a requirement is for; empty if there is none."""
    found = re.match(r"\s*([A-Za-z0-9._-]+)", requirement)
    return found[1] if found else ""
