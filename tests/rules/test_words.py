"""The tree speaks of the project alone, and keeps no promise for later in a comment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tests.rules.tree import files, read

# Each pattern with what it finds; the brackets keep it from finding itself.
FORBIDDEN: Final = {
    "a path of one machine": re.compile(r"/(?:wor[k]|roo[t]|hom[e])/[a-z]"),
    "a tracker's number": re.compile(r"\b(?:[Ii]ssu[e]|[Tt]icke[t]|P[R]) #?[0-9]+\b|\(#[0-9]+\)"),
    "a package registry": re.compile(r"pyp[i]\.org|pythonhoste[d]|npmj[s]\.com|deb\.debia[n]\.org"),
    "who typed it": re.compile(r"\b(?:claud[e]|anthropi[c]|chatgp[t]|copilo[t])\b", re.IGNORECASE),
    "work not done": re.compile(r"\b(?:TOD[O]|FIXM[E]|XX[X]|HAC[K])\b"),
}


def test_no_file_says_what_does_not_belong_to_the_project() -> None:
    found = [
        f"{path}:{number}: {reason}: {match[0]}"
        for path in files()
        for number, line in enumerate(read(path).split("\n"), 1)
        for reason, pattern in FORBIDDEN.items()
        for match in [pattern.search(line)]
        if match is not None
    ]
    assert found == []


def test_the_licence_is_the_whole_apache_licence() -> None:
    text = read(Path("LICENSE"))
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
