"""Says a prediction in a few words, for a table on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_MOST_LETTERS = 60


def in_words(result: Mapping[str, Any] | None) -> str:
    """Return the gist of a result: best class, objects, speech, or values; a dash for none."""
    if result is None:
        return "-"
    prediction = result.get("prediction", result)
    if not isinstance(prediction, Mapping):
        return "-"
    for key, say in _SAYINGS.items():
        if key in prediction:
            return printable(say(prediction[key]))[:_MOST_LETTERS]
    return printable(str(prediction.get("kind", "-")))[:_MOST_LETTERS]


def printable(text: str) -> str:
    """Return the text without control characters: a sensor must not draw on the user's terminal."""
    return text if text.isprintable() else "".join(letter for letter in text if letter.isprintable())


def _classes(found: Any) -> str:
    return _entry(found[0]) if _is_list(found) and found else "no class"


def _objects(found: Any) -> str:
    if not _is_list(found) or not found:
        return "nothing found"
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return _entry(found[0]) + more


def _speech(found: Any) -> str:
    return "speech" if found is True else "silence"


def _values(found: Any) -> str:
    if not isinstance(found, Mapping):
        return "-"
    return ", ".join(f"{name} {_figure(value)}" for name, value in list(found.items())[:4])


def _anomaly(found: Any) -> str:
    return "anomaly" if found is True else "normal"


def _entry(entry: Any) -> str:
    if not isinstance(entry, Mapping):
        return "-"
    label = entry.get("label") or entry.get("index", "object")
    return f"{label} {_figure(entry.get('score'))}"


def _figure(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, int | float) else str(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


_SAYINGS = {
    "classes": _classes,
    "objects": _objects,
    "speech": _speech,
    "anomaly": _anomaly,
    "values": _values,
}
