"""JSON Schema (2020-12) of a configuration file, for editors; made from the declarations.

The reader decides; the schema is as strict as JSON Schema can say: it knows
types, limits, patterns, choices and names, not what keys mean to each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.configuration.option import Option
from gateway.configuration.scalars import MAX_TEXT
from gateway.configuration.secret import Secret
from gateway.configuration.settings import NAME, Settings
from gateway.configuration.shape import Key, Leaf, ListOf, MapOf, Maybe, Section, Shape, section_of

Json = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MAX_KEY = 256

_TYPES = {
    Leaf.TEXT: "string",
    Leaf.WHOLE: "integer",
    Leaf.NUMBER: "number",
    Leaf.TRUTH: "boolean",
    Leaf.SECRET: "string",
}


def schema(cls: type[Any] = Settings, title: str = "Configuration of the gateway") -> Json:
    """Return the schema of a dataclass declared with ``option()``."""
    definitions: dict[str, Json] = {}
    _define(section_of(cls), definitions)
    root = definitions.pop(cls.__name__)
    return {"$schema": DIALECT, "title": title, **root, "$defs": dict(sorted(definitions.items()))}


def plain(value: object) -> object:
    """Return a default as JSON would hold it."""
    match value:
        case Secret():
            return value.value
        case tuple():
            return [plain(item) for item in value]
        case Mapping():
            return {key: plain(item) for key, item in value.items()}
        case _:
            return value


def _define(section: Section, definitions: dict[str, Json]) -> Json:
    """Add a section under its class's name, once, and return a reference to it."""
    name = section.cls.__name__
    if name not in definitions:
        definitions[name] = {}
        required = [key.name for key in section.keys if key.required]
        # A block in which everything is commented out is null to a YAML parser.
        definition: Json = {"type": "object" if required else ["object", "null"], "description": section.doc}
        definition["properties"] = {key.name: _keyed(key, definitions) for key in section.keys}
        if required:
            definition["required"] = required
        definition["additionalProperties"] = False
        definitions[name] = definition
    return {"$ref": f"#/$defs/{name}"}


def _keyed(key: Key, definitions: dict[str, Json]) -> Json:
    known = _shape(key.shape, key.option, definitions)
    if isinstance(key.shape, ListOf | MapOf) and not key.required:
        known["type"] = [known["type"], "null"]
    known["description"] = key.option.doc
    if not key.required and not isinstance(key.shape, Section):
        known["default"] = plain(key.default)
    return known


def _shape(shape: Shape, option: Option, definitions: dict[str, Json]) -> Json:
    match shape:
        case Section():
            return _define(shape, definitions)
        case Maybe(inner):
            known = _shape(inner, option, definitions)
            return {**known, "type": [known["type"], "null"]}
        case ListOf(item):
            items = _shape(item, option, definitions)
            if isinstance(item, Section):
                items["type"] = "object"
            return {"type": "array", "items": items}
        case MapOf(item):
            names: Json = {"maxLength": _MAX_KEY}
            if option.keys is not None:
                names["pattern"] = _whole(option.keys)
            values = _shape(item, Option(""), definitions)
            return {"type": "object", "propertyNames": names, "additionalProperties": values}
        case Leaf.STEP:
            return _step()
        case Leaf.ANY:
            return {}
        case _:
            return _leaf(shape, option)


def _step() -> Json:
    options = {"type": ["object", "null"]}
    return {
        "anyOf": [
            {"type": "string", "pattern": _whole(NAME)},
            {
                "type": "object",
                "minProperties": 1,
                "maxProperties": 1,
                "propertyNames": {"pattern": _whole(NAME)},
                "additionalProperties": options,
            },
        ]
    }


def _leaf(leaf: Leaf, option: Option) -> Json:
    known: Json = {"type": _TYPES[leaf]}
    if known["type"] == "string":
        known["maxLength"] = MAX_TEXT
    if leaf is Leaf.SECRET:
        known["writeOnly"] = True
    if option.choices:
        # `version: 5` is a number to a YAML parser, and means the choice "5".
        numbers = [int(choice) for choice in option.choices if choice.isdecimal()]
        known = {"enum": [*option.choices, *numbers]}
    if option.minimum is not None:
        known["minimum"] = option.minimum
    if option.maximum is not None:
        known["maximum"] = option.maximum
    if option.pattern is not None:
        known["pattern"] = _whole(option.pattern)
    return known


def _whole(pattern: str) -> str:
    return f"^(?:{pattern})$"
