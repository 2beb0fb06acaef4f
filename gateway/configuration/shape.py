"""What a settings dataclass accepts, read from its annotations once.

The reader, the JSON Schema, the documented default file and the key table all
walk these shapes, so that none of them can disagree with the declarations.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any

from gateway.configuration.option import MISSING, Option
from gateway.configuration.secret import Secret
from gateway.configuration.settings import StepSettings


class Leaf(Enum):
    """A value without parts."""

    TEXT = "text"
    WHOLE = "whole number"
    NUMBER = "number"
    TRUTH = "true or false"
    SECRET = "secret"  # noqa: S105 - the word, not a password
    STEP = "step"
    ANY = "any plain value"


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list, read as a tuple."""

    item: Shape


@dataclass(frozen=True, slots=True)
class MapOf:
    """A mapping from free keys."""

    item: Shape


@dataclass(frozen=True, slots=True)
class Maybe:
    """A value or null."""

    inner: Shape


@dataclass(frozen=True, slots=True)
class Key:
    """One declared key.

    Attributes:
        name: The key as written.
        shape: What its value is.
        option: Its words and limits.
        default: Its value when absent; ``MISSING`` if the key is required.
    """

    name: str
    shape: Shape
    option: Option
    default: Any

    @property
    def required(self) -> bool:
        """Whether the key must be written."""
        return self.default is MISSING


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping from declared keys, read as a dataclass.

    Attributes:
        cls: The dataclass.
        doc: Its first line of documentation.
        keys: Its keys, in order.
    """

    cls: type[Any]
    doc: str
    keys: tuple[Key, ...]


Shape = Leaf | ListOf | MapOf | Maybe | Section

_LEAVES: dict[Any, Leaf] = {
    str: Leaf.TEXT,
    int: Leaf.WHOLE,
    float: Leaf.NUMBER,
    bool: Leaf.TRUTH,
    Secret: Leaf.SECRET,
    StepSettings: Leaf.STEP,
    object: Leaf.ANY,
}


def section_of(cls: type[Any]) -> Section:
    """Return the shape of a dataclass whose fields are declared with ``option()``."""
    known: Section = _section(cls)
    return known


def _read_section(cls: type[Any]) -> Section:
    hints = typing.get_type_hints(cls)
    keys = tuple(_key(field, hints[field.name]) for field in dataclasses.fields(cls))
    return Section(cls, (cls.__doc__ or cls.__name__).partition("\n")[0].strip(), keys)


_section: Any = cache(_read_section)


def _key(field: dataclasses.Field[Any], hint: Any) -> Key:
    default = field.default
    if field.default_factory is not MISSING:
        default = field.default_factory()
    declared = field.metadata.get("option") or Option(field.metadata.get("doc", ""))
    return Key(field.name, _shape(hint), declared, default)


def _shape(hint: Any) -> Shape:
    if hint in _LEAVES:
        return _LEAVES[hint]
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return section_of(hint)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return ListOf(_shape(arguments[0]))
    if origin is Mapping and arguments[0] is str:
        return MapOf(_shape(arguments[1]))
    if origin in (types.UnionType, typing.Union) and len(arguments) == 2 and arguments[1] is type(None):
        return Maybe(_shape(arguments[0]))
    raise TypeError(f"a configuration key cannot be declared as {hint}")
