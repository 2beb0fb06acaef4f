"""Strict reading: a YAML text to a tree of frozen dataclasses, or every issue at once.

Any dataclass whose fields are declared with ``option()`` can be read: the
gateway's settings and the cards of models are. Unknown and missing keys, wrong
types, limits, patterns and choices are collected with their places; nothing is
guessed, nothing is dropped silently.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from gateway.config_issue import ConfigIssue
from gateway.configuration import scalars
from gateway.configuration.document import Entry, ListNode, MapNode, Node, Scalar, parse
from gateway.configuration.nearest import nearest
from gateway.configuration.option import Option
from gateway.configuration.place import START, Place, Positions
from gateway.configuration.scalars import PlainValue, WrongType, shown
from gateway.configuration.secret import Secret
from gateway.configuration.secrets import SecretMissing, SecretSource, is_reference, literal
from gateway.configuration.settings import NAME, StepSettings
from gateway.configuration.shape import Key, Leaf, ListOf, MapOf, Maybe, Section, Shape, section_of
from gateway.errors import ConfigError

T = TypeVar("T")

MAX_ISSUES = 100
_MAX_KEY = 256


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """What a file said.

    Attributes:
        value: The dataclass.
        positions: Where each key stands, for checks that come later.
        warnings: What is unsafe but not wrong.
        issues: What is wrong, in the order of the file, at most ``MAX_ISSUES``. If there
            is anything, defaults stand in ``value`` where the file is wrong.
    """

    value: T
    positions: Positions
    warnings: tuple[ConfigIssue, ...] = ()
    issues: tuple[ConfigIssue, ...] = ()


def read(text: str | bytes, file: str, cls: type[T], *, secrets: SecretSource | None = None) -> T:
    """Read a text as ``cls``; see ``read_with_positions``.

    Raises:
        ConfigError: Something is wrong; every issue is in it.
    """
    return read_with_positions(text, file, cls, secrets=secrets).value


def read_with_positions(
    text: str | bytes, file: str, cls: type[T], *, secrets: SecretSource | None = None
) -> Reading[T]:
    """Read a text as ``cls`` and keep the place of every key.

    Raises:
        ConfigError: Something is wrong; every issue is in it, up to ``MAX_ISSUES``.
    """
    reading = read_leniently(text, file, cls, secrets=secrets)
    if reading.issues:
        raise ConfigError(reading.issues)
    return reading


def read_leniently(
    text: str | bytes, file: str, cls: type[T], *, secrets: SecretSource | None = None
) -> Reading[T]:
    """Read as much of a text as is right, so that later checks can find their issues as well.

    Args:
        text: The YAML text, or its bytes.
        file: Its path, for issues.
        cls: A frozen dataclass declared with ``option()``.
        secrets: Resolves ``${...}`` references; without it they are refused.

    Raises:
        ConfigError: The text is not YAML at all.
    """
    root = parse(text, file)
    if isinstance(root, ConfigIssue):
        raise ConfigError((root,))
    reader = _Reader(Positions(file), secrets)
    value = reader.section(root, section_of(cls), "")
    return Reading(cast(T, value), reader.positions, tuple(reader.warnings), in_order(reader.issues))


def read_word(text: str, key: Key, path: str, positions: Positions, secrets: SecretSource) -> object:
    """Read a text that somebody gave for one plain key, as if it stood in a file without quotes.

    Raises:
        ConfigError: It is not what the key takes.
    """
    reader = _Reader(positions, secrets)
    value = reader.value(Scalar(positions.at(path), text, plain=text != ""), key.shape, key.option, path)
    if reader.issues:
        raise ConfigError(tuple(reader.issues))
    return value


def in_order(issues: Iterable[ConfigIssue]) -> tuple[ConfigIssue, ...]:
    """Return issues by place, at most ``MAX_ISSUES``.

    What is wrong in an aliased block is found once for every alias, and kept once.
    """
    once: dict[tuple[int, int, str], ConfigIssue] = {}
    for issue in issues:
        once.setdefault((issue.line, issue.column, issue.what), issue)
    return tuple(once[key] for key in sorted(once)[:MAX_ISSUES])


class _Refused:
    """Stands for a value that has an issue, until a default takes its place."""


_REFUSED = _Refused()


class _Reader:
    """Walks a tree and a shape side by side; a value that has an issue is returned as ``_REFUSED``."""

    def __init__(self, positions: Positions, secrets: SecretSource | None) -> None:
        self.positions = positions
        self.issues: list[ConfigIssue] = []
        self.warnings: list[ConfigIssue] = []
        self._secrets = secrets

    def section(self, node: Node, section: Section, path: str) -> object:
        """Read declared keys into their dataclass."""
        self.positions.places.setdefault(path, START if not path else node.place)
        known = {key.name: key for key in section.keys}
        values: dict[str, object] = {}
        entries = self._entries(node, path)
        for entry in entries or ():
            key = known.get(entry.key.text)
            if key is None:
                self._unknown(entry.key, list(known), path)
            else:
                values[key.name] = self._keyed(entry, key.shape, key.option, _join(path, key.name))
        for key in section.keys:
            if entries is not None and key.required and values.get(key.name) is None:
                what = f"missing; {_lower(key.option.doc)}"
                self._refuse(self.positions.at(_join(path, key.name)), _join(path, key.name), what)
        return section.cls(
            **{key.name: _settled(key, values.get(key.name, _REFUSED)) for key in section.keys}
        )

    def _unknown(self, key: Scalar, known: list[str], path: str) -> None:
        # Looking for near names is the one costly step: not for thousands of keys.
        if len(self.issues) <= MAX_ISSUES:
            self._refuse(key.place, _join(path, key.text), f"unknown key; {nearest(key.text, known)}")

    def _keyed(self, entry: Entry, shape: Shape, option: Option, path: str) -> object:
        """Read the value of one key; a key with nothing after it stands for its default."""
        empty = isinstance(entry.value, Scalar) and scalars.is_null(entry.value)
        # A block has no start of its own that anyone would look for: its key is its place.
        leafy = isinstance(entry.value, Scalar) and not (empty and not entry.value.text)
        self.positions.places[path] = entry.value.place if leafy else entry.key.place
        if empty and isinstance(shape, ListOf | MapOf):
            return None
        if empty and isinstance(shape, Section):
            return self.section(MapNode(entry.key.place, ()), shape, path)
        return self.value(entry.value, shape, option, path)

    def value(self, node: Node, shape: Shape, option: Option, path: str) -> object:
        """Read a value of any shape."""
        match shape:
            case Section():
                return self.section(node, shape, path)
            case ListOf():
                return self._list(node, shape, option, path)
            case MapOf():
                return self._map(node, shape, option, path)
            case Maybe():
                if isinstance(node, Scalar) and scalars.is_null(node):
                    return None
                return self.value(node, shape.inner, option, path)
            case Leaf.STEP:
                return self._step(node, path)
            case Leaf.ANY:
                return self._plain(node, path)
            case _:
                return self._leaf(node, shape, option, path)

    def _list(self, node: Node, shape: ListOf, option: Option, path: str) -> object:
        if not isinstance(node, ListNode):
            return self._refuse(node.place, path, f"needs a list{_one_item_hint(node)}")
        values = []
        for index, item in enumerate(node.items):
            at = f"{path}[{index}]"
            self.positions.places[at] = item.place
            values.append(self.value(item, shape.item, option, at))
        return tuple(value for value in values if value is not _REFUSED)

    def _map(self, node: Node, shape: MapOf, option: Option, path: str) -> object:
        entries = self._entries(node, path)
        if entries is None:
            return _REFUSED
        values: dict[str, object] = {}
        for entry in entries:
            name, at = entry.key.text, _join(path, entry.key.text)
            if option.keys is not None and not re.fullmatch(option.keys, name):
                self._refuse(entry.key.place, at, f"the name {shown(name)} does not match {option.keys}")
            elif not name.isprintable():
                self._refuse(entry.key.place, at, f"the name {shown(name)} holds a control character")
            elif len(name) > _MAX_KEY:
                self._refuse(entry.key.place, at, f"a name has at most {_MAX_KEY} characters")
            values[name] = self._keyed(entry, shape.item, option, at)
            if values[name] is None and shape.item is not Leaf.ANY:
                values[name] = self._refuse(entry.key.place, at, "needs a value")
        return {name: value for name, value in values.items() if value is not _REFUSED}

    def _step(self, node: Node, path: str) -> object:
        """Read ``name`` or ``{name: {options}}``."""
        if isinstance(node, Scalar) and not scalars.is_null(node):
            entry, name = None, node
        elif isinstance(node, MapNode) and len(node.entries) == 1:
            entry = node.entries[0]
            name = entry.key
        else:
            return self._refuse(node.place, path, "a step is written `- name` or `- name: {option: value}`")
        at = _join(path, name.text)
        self.positions.places[at] = name.place
        if not re.fullmatch(NAME, name.text):
            return self._refuse(name.place, path, f"{shown(name.text)} is not the name of a step")
        if entry is None or (isinstance(entry.value, Scalar) and scalars.is_null(entry.value)):
            return StepSettings(name.text, {})
        if not isinstance(entry.value, MapNode):
            what = "the options of a step are written `{option: value}`"
            return self._refuse(entry.value.place, at, what)
        options = self._plain(entry.value, at)
        return StepSettings(name.text, options) if isinstance(options, dict) else _REFUSED

    def _plain(self, node: Node, path: str) -> object:
        """Read an undeclared value by the rules of YAML 1.2."""
        values: dict[str, object] | list[object]
        if isinstance(node, Scalar):
            return self._converted(scalars.as_plain, node, path)
        if isinstance(node, ListNode):
            values = []
            for index, item in enumerate(node.items):
                self.positions.places[f"{path}[{index}]"] = item.place
                values.append(self._plain(item, f"{path}[{index}]"))
            return _REFUSED if any(value is _REFUSED for value in values) else values
        values = {}
        for entry in self._entries(node, path) or ():
            at = _join(path, entry.key.text)
            leafy = isinstance(entry.value, Scalar)
            self.positions.places[at] = entry.value.place if leafy else entry.key.place
            values[entry.key.text] = self._plain(entry.value, at)
        return _REFUSED if any(value is _REFUSED for value in values.values()) else values

    def _leaf(self, node: Node, leaf: Leaf, option: Option, path: str) -> object:
        if not isinstance(node, Scalar):
            found = "a list" if isinstance(node, ListNode) else "a mapping"
            return self._refuse(node.place, path, f"needs one value ({leaf.value}), not {found}")
        if leaf in (Leaf.TEXT, Leaf.SECRET):
            return self._text(node, leaf, option, path)
        value = self._converted(_CONVERSIONS[leaf], node, path)
        if value is not _REFUSED and leaf is not Leaf.TRUTH:
            what = _beyond(cast(float, value), option)
            if what:
                return self._refuse(node.place, path, what)
        return value

    def _text(self, node: Scalar, leaf: Leaf, option: Option, path: str) -> object:
        value = self._converted(scalars.as_text, node, path)
        if not isinstance(value, str):
            return _REFUSED
        takes_references = leaf is Leaf.SECRET or option.references
        if is_reference(value):
            if not takes_references:
                return self._refuse(node.place, path, "${...} references are taken for secrets only")
            value = self._resolved(value, node.place, path)
            if not isinstance(value, str):
                return _REFUSED
        elif takes_references:
            value = literal(value)
        if leaf is Leaf.SECRET:
            return Secret(value)
        if option.choices and value not in option.choices:
            return self._refuse(node.place, path, _not_chosen(value, option.choices))
        if option.pattern is not None and not re.fullmatch(option.pattern, value):
            return self._refuse(node.place, path, f"{shown(value)} does not match {option.pattern}")
        return value

    def _resolved(self, reference: str, place: Place, path: str) -> object:
        if self._secrets is None:
            return self._refuse(place, path, "${...} references are not taken in this file")
        try:
            resolved = self._secrets.resolve(reference)
        except SecretMissing as missing:
            return self._refuse(place, path, str(missing))
        if resolved.warning:
            self.warnings.append(self._issue(place, path, resolved.warning))
        return resolved.value

    def _entries(self, node: Node, path: str) -> tuple[Entry, ...] | None:
        if isinstance(node, MapNode):
            for fault in node.faults:
                self._refuse(fault.place, _join(path, fault.key) if fault.key else path, fault.what)
            return node.entries
        found = "a list" if isinstance(node, ListNode) else shown(node.text)
        self._refuse(node.place, path, f"needs keys and values, not {found}")
        return None

    def _converted(self, conversion: Callable[[Scalar], PlainValue], node: Scalar, path: str) -> object:
        try:
            return conversion(node)
        except WrongType as wrong:
            return self._refuse(node.place, path, str(wrong))

    def _refuse(self, place: Place, path: str, what: str) -> _Refused:
        self.issues.append(self._issue(place, path, what))
        return _REFUSED

    def _issue(self, place: Place, path: str, what: str) -> ConfigIssue:
        return ConfigIssue(self.positions.file, place.line, place.column, _short(path) or "(file)", what)


_CONVERSIONS: dict[Leaf, Callable[[Scalar], PlainValue]] = {
    Leaf.WHOLE: scalars.as_int,
    Leaf.NUMBER: scalars.as_float,
    Leaf.TRUTH: scalars.as_bool,
}


_STAND_INS: dict[Leaf, object] = {
    Leaf.TEXT: "",
    Leaf.WHOLE: 0,
    Leaf.NUMBER: 0.0,
    Leaf.TRUTH: False,
    Leaf.SECRET: Secret(""),
    Leaf.STEP: StepSettings("", {}),
}


def _settled(key: Key, value: object) -> object:
    """Return a value, or what stands for it: its default, or something of its type."""
    # An empty block is read as None; where None is no value, it stands for the default.
    if value is not _REFUSED and (value is not None or isinstance(key.shape, Maybe)):
        return value
    return _stand_in(key.shape) if key.required else key.default


def _stand_in(shape: Shape) -> object:
    match shape:
        case Section():
            return shape.cls(**{key.name: _settled(key, _REFUSED) for key in shape.keys})
        case ListOf():
            return ()
        case MapOf():
            return {}
        case Leaf():
            return _STAND_INS.get(shape)
        case _:
            return None


def _not_chosen(value: str, choices: tuple[str, ...]) -> str:
    named = ", ".join(choice or '""' for choice in choices)
    return f"{shown(value)} is not one of {named}"


def _beyond(value: float, option: Option) -> str:
    if option.minimum is not None and value < option.minimum:
        return f"{value} is less than {option.minimum:g}"
    if option.maximum is not None and value > option.maximum:
        return f"{value} is more than {option.maximum:.15g}"
    return ""


def _one_item_hint(node: Node) -> str:
    return f"; write [{node.text}]" if isinstance(node, Scalar) and len(node.text) <= 60 else ""


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _short(path: str) -> str:
    # Keys come from the file: they must not draw on the terminal of whoever reads the issue.
    path = path if path.isprintable() else path.encode("unicode_escape").decode()
    return path if len(path) <= 200 else path[:197] + "..."


def _lower(doc: str) -> str:
    """Return a doc sentence for use inside a message."""
    text = doc.removesuffix(".")
    return text if text[:2].isupper() else text[:1].lower() + text[1:]
