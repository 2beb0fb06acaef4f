"""Values and limits as a person would write them: for the default file and the key table."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from gateway.configuration.document import Scalar
from gateway.configuration.option import Option
from gateway.configuration.place import START
from gateway.configuration.scalars import as_plain
from gateway.configuration.schema import plain

# Words that YAML 1.1 parsers take for truth values are quoted for their sake.
_OLD_BOOLS = frozenset({"y", "n", "yes", "no", "on", "off"})
_WORD = re.compile(r"[A-Za-z0-9/._-]([A-Za-z0-9/._:+-]*[A-Za-z0-9/._+-])?")


def yaml_value(value: object) -> str:
    """Return a default as YAML on one line."""
    value = plain(value)
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return number(value)
        case str():
            return _text(value)
        case list():
            return "[" + ", ".join(yaml_value(item) for item in value) + "]"
        case Mapping():
            return "{" + ", ".join(f"{_text(key)}: {yaml_value(item)}" for key, item in value.items()) + "}"
        case _:
            raise TypeError(f"{type(value).__name__} is not a plain value")


def number(value: float) -> str:
    """Return a number in full, whole ones without a fraction."""
    return str(int(value)) if value == int(value) else repr(value)


def limits(option: Option) -> str:
    """Return what an option allows, in a few words; empty if anything."""
    if option.choices:
        return "one of " + ", ".join(choice or '""' for choice in option.choices)
    low, high = option.minimum, option.maximum
    if low is not None and high is not None:
        return f"{number(low)} to {number(high)}"
    if low is not None:
        return f"{number(low)} or more"
    if high is not None:
        return f"{number(high)} or less"
    return ""


def _text(text: str) -> str:
    is_word = _WORD.fullmatch(text) is not None and text.lower() not in _OLD_BOOLS
    if is_word and not text.startswith("-") and as_plain(Scalar(START, text, plain=True)) == text:
        return text
    return json.dumps(text, ensure_ascii=False)
