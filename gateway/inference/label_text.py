"""Labels out of the texts in which converters write them down: JSON, Python literals, one a line. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

MOST_LABEL_BYTES: Final = 4_194_304
MOST_LABELS: Final = 100_000
_ENTRY: Final = re.compile(
    r"""\s*(?:(\d{1,6})\s*:\s*)?('[^'\\\n]*(?:\\.[^'\\\n]*)*'|"[^"\\\n]*(?:\\.[^"\\\n]*)*")\s*(,|[\]})])"""
)
_END: Final = re.compile(r"\s*[\]})]?\s*")
_ESCAPED: Final = re.compile(r"\\(.)")


def labels_of_text(text: str) -> tuple[str, ...]:
    """Return labels by class index; empty if the text is no list of labels that leaves no doubt.

    Taken are JSON (``["cat", "dog"]``, ``{"0": "cat"}``), Python literals (``{0: 'cat', 1: 'dog'}``), and
    several lines with a label each.
    """
    text = text.strip()
    if len(text) > MOST_LABEL_BYTES:
        return ()
    if not text.startswith(("[", "{", "(")):
        return labels_of_lines(text) if "\n" in text else ()
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return _literal(text)
    if isinstance(found, Mapping):
        return _by_index({str(key): value for key, value in found.items()})
    return _all_texts(found)


def labels_of_lines(text: str) -> tuple[str, ...]:
    """Return a label for each line, blank ones at the end apart; empty if there are too many."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    return tuple(lines) if len(lines) <= MOST_LABELS else ()


def _literal(text: str) -> tuple[str, ...]:
    """Return the labels of a Python list, tuple or dict of strings, read without a Python parser."""
    at = 1
    values: dict[str, object] = {}
    while entry := _ENTRY.match(text, at):
        index, quoted, after = entry.groups()
        values[index if index is not None else str(len(values))] = _ESCAPED.sub(r"\1", quoted[1:-1])
        at = entry.end()
        if after != ",":
            return _by_index(values) if not text[at:].strip() else ()
        if len(values) > MOST_LABELS:
            return ()
    # A comma may stand before the end.
    return _by_index(values) if values and at < len(text) and _END.fullmatch(text, at) else ()


def _by_index(values: Mapping[str, object]) -> tuple[str, ...]:
    """Return values in order of their keys, if those are 0, 1, 2 and so on."""
    if len(values) > MOST_LABELS:
        return ()
    return _all_texts([values.get(str(index)) for index in range(len(values))])


def _all_texts(found: object) -> tuple[str, ...]:
    if not isinstance(found, list) or len(found) > MOST_LABELS:
        return ()
    if not all(isinstance(each, str) for each in found):
        return ()
    return tuple(" ".join(each.split()) for each in found)
