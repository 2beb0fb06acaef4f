"""Options of a step, read strictly from plain values into the step's dataclass.

Every departure from the declaration (unknown key, wrong type, impossible value)
is one ``PipelineMisfit`` that names step and key. A single value is taken for a
list of one, so that ``mean: 127`` means the same as ``mean: [127]``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from gateway.configuration.option import Option
from gateway.configuration.shape import Key, Leaf, ListOf, MapOf, Maybe, Section, Shape, section_of
from gateway.errors import PipelineMisfit
from gateway.frames.steps import nearest

_MAX_ITEMS = 4096


def read_options(cls: type[Any], options: Mapping[str, object], path: str) -> Any:
    """Return an instance of the step class ``cls`` with ``options`` filled in.

    Raises:
        PipelineMisfit: An option is unknown, missing, of the wrong type or outside its limits.
    """
    return _section(section_of(cls), options, path)


def _section(section: Section, options: Mapping[str, object], path: str) -> Any:
    keys = {key.name: key for key in section.keys}
    for name in options:
        if name not in keys:
            raise PipelineMisfit(path, f"unknown option {str(name)[:60]!r}{nearest(str(name), tuple(keys))}")
    missing = [key.name for key in section.keys if key.required and key.name not in options]
    if missing:
        raise PipelineMisfit(path, f"needs the option {missing[0]}: {keys[missing[0]].option.doc}")
    return section.cls(
        **{name: _keyed(keys[name], value, f"{path}.{name}") for name, value in options.items()}
    )


def _keyed(key: Key, value: object, path: str) -> object:
    return _value(key.shape, key.option, value, path)


def _value(shape: Shape, option: Option, value: object, path: str) -> object:
    match shape:
        case Maybe(inner):
            return None if value is None else _value(inner, option, value, path)
        case ListOf(item):
            items = value if isinstance(value, list | tuple) else [value]
            if len(items) > _MAX_ITEMS:
                raise PipelineMisfit(path, f"holds {len(items)} items, at most {_MAX_ITEMS} are taken")
            return tuple(_value(item, option, one, f"{path}[{index}]") for index, one in enumerate(items))
        case MapOf(item):
            return {
                key: _value(item, option, one, f"{path}.{key}") for key, one in _mapping(value, path).items()
            }
        case Section():
            return _section(shape, _mapping(value, path), path)
        case Leaf():
            return _leaf(shape, option, value, path)


def _mapping(value: object, path: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise PipelineMisfit(path, f"needs a mapping, not {_shown(value)}")
    return value


def _leaf(leaf: Leaf, option: Option, value: object, path: str) -> object:
    if leaf is Leaf.TRUTH:
        if isinstance(value, bool):
            return value
        raise PipelineMisfit(path, f"needs true or false, not {_shown(value)}")
    if leaf is Leaf.WHOLE:
        if isinstance(value, int) and not isinstance(value, bool):
            return _within(option, value, path)
        raise PipelineMisfit(path, f"needs a whole number, not {_shown(value)}")
    if leaf is Leaf.NUMBER:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _within(option, value, path)
        raise PipelineMisfit(path, f"needs a number, not {_shown(value)}")
    if leaf is Leaf.TEXT:
        return _text(option, value, path)
    return value


def _within(option: Option, value: float, path: str) -> float:
    if isinstance(value, float) and not math.isfinite(value):
        raise PipelineMisfit(path, f"needs a finite number, not {value}")
    if option.minimum is not None and value < option.minimum:
        raise PipelineMisfit(path, f"must be at least {option.minimum:g}, not {value}")
    if option.maximum is not None and value > option.maximum:
        raise PipelineMisfit(path, f"must be at most {option.maximum:g}, not {value}")
    return value


def _text(option: Option, value: object, path: str) -> str:
    if not isinstance(value, str):
        raise PipelineMisfit(path, f"needs a text, not {_shown(value)}")
    if option.choices and value not in option.choices:
        known = tuple(choice or "''" for choice in option.choices)
        raise PipelineMisfit(path, f"{value[:60]!r} is not a choice{nearest(value, known)}")
    if option.pattern is not None and re.fullmatch(option.pattern, value) is None:
        raise PipelineMisfit(path, f"{value[:60]!r} does not match {option.pattern}")
    return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
