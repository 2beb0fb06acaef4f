"""How files look: sizes, first lines, names, empty packages."""

from __future__ import annotations

import ast
import re
from typing import Final

from tests.rules.tree import ROOT, files, read, sources

MAX_MODULE_LINES: Final = 400
MAX_FUNCTION_LINES: Final = 50
VAGUE: Final = re.compile(r"(?:^|_)(?:util|utils|helper|helpers|manager|common|misc|base|stuff)(?:$|_)")
SENTENCE: Final = re.compile(r".{12,}[.?!]")

CODE: Final = sources("gateway", "tests", "scripts")
FILLED: Final = tuple(source for source in CODE if source.text)


def test_no_module_is_longer_than_can_be_held_in_mind() -> None:
    sizes = {str(source.path): source.text.count("\n") for source in CODE}
    assert {path: lines for path, lines in sizes.items() if lines > MAX_MODULE_LINES} == {}


def test_no_function_is_longer_than_a_screen() -> None:
    sizes = {
        f"{source.path}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for source in CODE
        for node in ast.walk(source.tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno is not None
    }
    assert {place: lines for place, lines in sizes.items() if lines > MAX_FUNCTION_LINES} == {}


def test_the_first_line_of_a_module_says_its_job_in_a_sentence() -> None:
    firsts = {str(source.path): source.docstring.split("\n")[0] for source in FILLED}
    assert {path: first for path, first in firsts.items() if not SENTENCE.fullmatch(first)} == {}


def test_no_name_is_too_vague_to_say_what_is_inside() -> None:
    vague = [str(path) for path in files() if VAGUE.search(path.stem.lower())]
    classes = [
        f"{source.path}: {node.name}"
        for source in CODE
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef) and re.search(r"(Manager|Helper|Util|Utils)$", node.name)
    ]
    assert vague + classes == []


def test_packages_are_empty_so_that_importing_one_module_imports_one_module() -> None:
    full = [str(path) for path in files() if path.name == "__init__.py" and path.parts[0] == "gateway"]
    assert [name for name in full if (ROOT / name).stat().st_size] == []


def test_every_module_defers_its_annotations() -> None:
    """Python 3.10 needs it for what the newer ones do by themselves."""
    missing = [
        str(source.path) for source in FILLED if "from __future__ import annotations" not in source.text
    ]
    assert missing == []


def test_scripts_can_be_run_and_say_what_for() -> None:
    for path in files():
        if len(path.parts) == 2 and path.parts[0] == "scripts":
            assert (ROOT / path).stat().st_mode & 0o111, f"{path} is not executable"
            first, second = read(path).split("\n")[:2]
            assert first.startswith("#!/usr/bin/env "), path
            assert second.startswith(("# ", '"""')), path
