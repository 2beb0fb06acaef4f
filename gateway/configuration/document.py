"""YAML text to a tree of nodes that know their places; the only importer of yaml.

The parser's events are folded into nodes by a loop, never by recursion, and
stop at the first one beyond the limits: a nest or an alias bomb costs no more
than an honest file. Rules:

1. One document, UTF-8, at most ``MAX_BYTES``.
2. Nodes are counted as if every alias were written out, at most ``MAX_NODES``.
3. Keys are scalars and stand once; merge keys (``<<``) fill in what is not written.
4. Explicit tags are refused: types come from the declarations alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from gateway.config_issue import ConfigIssue
from gateway.configuration.place import START, Place

MAX_BYTES = 1_048_576
MAX_NODES = 100_000
MAX_DEPTH = 32

_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text without parts.

    Attributes:
        place: Where it starts.
        text: Its characters, quotes and escapes resolved.
        plain: True if it was written without quotes, so that it may mean a number, a truth value or null.
    """

    place: Place
    text: str
    plain: bool


@dataclass(frozen=True, slots=True)
class ListNode:
    """An ordered list of nodes."""

    place: Place
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping and its value."""

    key: Scalar
    value: Node


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in a mapping that is no key of it.

    Attributes:
        place: Where it stands.
        key: The key it concerns; empty if it has no name.
        what: What is wrong.
    """

    place: Place
    key: str
    what: str


@dataclass(frozen=True, slots=True)
class MapNode:
    """Keys, each once, in the order written; what else was written there are its faults."""

    place: Place
    entries: tuple[Entry, ...]
    faults: tuple[Fault, ...] = ()


Node = Scalar | ListNode | MapNode


def parse(text: str | bytes, file: str) -> Node | ConfigIssue:
    """Parse one YAML document.

    Args:
        text: The file's content.
        file: Its path, for the issue.

    Returns:
        The root, or why the text is not YAML that is taken here.
    """
    try:
        return _root(_characters(text))
    except _Stopped as stop:
        return ConfigIssue(file, stop.place.line, stop.place.column, "(file)", stop.what)


def place_of(text: str, index: int) -> Place:
    """Return the place of the character at ``index``."""
    line, start = 1, 0
    for match in _BREAK.finditer(text, 0, index):
        line, start = line + 1, match.end()
    return Place(line, index - start + 1)


def text_from(text: str, place: Place) -> str:
    """Return the rest of the line at ``place``."""
    lines = _BREAK.split(text.removeprefix("\ufeff"))
    return lines[place.line - 1][place.column - 1 :] if place.line <= len(lines) else ""


class _Stopped(Exception):
    """The text is not read any further."""

    def __init__(self, place: Place, what: str) -> None:
        super().__init__(what)
        self.place = place
        self.what = what


def _characters(text: str | bytes) -> str:
    """Decode and check the characters, or raise ``_Stopped``."""
    size = len(text)
    if size > MAX_BYTES:
        raise _Stopped(START, f"{size} bytes; at most {MAX_BYTES} are read")
    characters = (_decoded(text) if isinstance(text, bytes) else text).removeprefix("\ufeff")
    bad = _FORBIDDEN.search(characters)
    if bad is not None:
        what = f"character U+{ord(bad.group()):04X} is not allowed in YAML"
        raise _Stopped(place_of(characters, bad.start()), what)
    return characters


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        raise _Stopped(place_of(before, len(before)), "not UTF-8; save the file as UTF-8") from None


def _root(text: str) -> Node:
    """Fold the events of a text into its root, or raise ``_Stopped``."""
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Composer().run(yaml.parse(text, Loader=loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark is not None else START
        raise _Stopped(_inside(place, text), _words(error, text)) from None
    except yaml.YAMLError as error:
        raise _Stopped(START, f"not YAML: {str(error).splitlines()[0][:200]}") from None


def _inside(place: Place, text: str) -> Place:
    """Move a place beyond the last character back to the end of the text."""
    end = place_of(text, len(text))
    return min(place, end)


def _words(error: yaml.MarkedYAMLError, text: str) -> str:
    """Say what the parser says, with the likely cause."""
    if "maximum nesting depth" in (error.problem or ""):  # PyYAML has had a limit of its own since 6.0.4
        return f"nested deeper than {MAX_DEPTH} levels"
    what = "not YAML: " + ", ".join(part for part in (error.problem, error.context) if part)
    mark = error.problem_mark
    lines = _BREAK.split(text)
    line = lines[mark.line] if mark is not None and mark.line < len(lines) else ""
    if "\t" in line[: mark.column + 1 if mark is not None else 0]:
        return what + "; indent with spaces, not tabs"
    if (error.problem or "").startswith("mapping values are not allowed"):
        return what + '; put quotes around a text that holds ": ", and check the indentation'
    if re.search(r":\s+[{@`%*&!]", line):
        return what + "; put quotes around a text that starts with such a character"
    return what


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet."""

    place: Place
    anchor: str | None
    is_map: bool
    counted: int
    children: list[Node] = field(default_factory=list)
    height: int = 1


@dataclass(frozen=True, slots=True)
class _Anchored:
    """A finished node under a name, with what writing it out once more would cost."""

    node: Node
    nodes: int
    height: int


class _Composer:
    """Folds parser events into nodes."""

    def __init__(self) -> None:
        self._root: Node | None = None
        self._open: list[_Open] = []
        self._anchors: dict[str, _Anchored] = {}
        self._nodes = 0

    def run(self, events: Iterator[Any]) -> Node:
        """Take every event and return the root; raises ``_Stopped`` or the parser's own errors."""
        documents = 0
        for event in events:
            mark = event.start_mark
            place = Place(mark.line + 1, mark.column + 1)
            match event:
                case yaml.DocumentStartEvent():
                    documents += 1
                    if documents > 1:
                        raise _Stopped(place, "a second document starts here; one file holds one document")
                case yaml.AliasEvent():
                    self._alias(event.anchor, place)
                case yaml.ScalarEvent() | yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                    self._start(event, place)
                case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                    self._end()
        root = self._root
        if root is None or (isinstance(root, Scalar) and root.plain and not root.text):
            raise _Stopped(START, "the file is empty")
        return root

    def _start(self, event: Any, place: Place) -> None:
        if event.tag is not None:
            raise _Stopped(place, f"tag {event.tag[:80]!r} is not allowed; write the plain value")
        self._count(1, place)
        if isinstance(event, yaml.ScalarEvent):
            node = Scalar(place, event.value, not event.style)
            self._name(event.anchor, _Anchored(node, 1, 0))
            self._add(node, 0)
            return
        if len(self._open) >= MAX_DEPTH:
            raise _Stopped(place, f"nested deeper than {MAX_DEPTH} levels")
        # An anchor that is being written must not be found by an alias inside it.
        if event.anchor is not None:
            self._anchors.pop(event.anchor, None)
        self._open.append(_Open(place, event.anchor, isinstance(event, yaml.MappingStartEvent), self._nodes))

    def _end(self) -> None:
        done = self._open.pop()
        node: Node
        if done.is_map:
            node = _map_node(done.place, done.children)
        else:
            node = ListNode(done.place, tuple(done.children))
        self._name(done.anchor, _Anchored(node, self._nodes - done.counted + 1, done.height))
        self._add(node, done.height)

    def _alias(self, name: Any, place: Place) -> None:
        known = self._anchors.get(name)
        if known is None:
            raise _Stopped(place, f"alias *{name[:80]} has no anchor before it")
        self._count(known.nodes, place)
        if len(self._open) + known.height > MAX_DEPTH:
            raise _Stopped(place, f"nested deeper than {MAX_DEPTH} levels")
        self._add(known.node, known.height)

    def _count(self, nodes: int, place: Place) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise _Stopped(place, f"more than {MAX_NODES} values, aliases written out")

    def _name(self, anchor: str | None, known: _Anchored) -> None:
        if anchor is not None:
            self._anchors[anchor] = known

    def _add(self, node: Node, height: int) -> None:
        if self._open:
            parent = self._open[-1]
            parent.children.append(node)
            parent.height = max(parent.height, height + 1)
        else:
            self._root = node


def _map_node(place: Place, children: list[Node]) -> MapNode:
    """Pair keys with values; duplicates and odd keys become faults."""
    entries: dict[str, Entry] = {}
    merged: list[Entry] = []
    faults: list[Fault] = []
    for key, value in zip(children[::2], children[1::2], strict=True):
        if not isinstance(key, Scalar):
            what = "a key must be a single word; quote text that holds { } [ ] or ,"
            faults.append(Fault(key.place, "", what))
        elif key.plain and key.text == "<<":
            _merge(value, merged, faults)
        elif key.text in entries:
            first = entries[key.text].key.place
            faults.append(Fault(key.place, key.text, f"duplicate key, first written on line {first.line}"))
        else:
            entries[key.text] = Entry(key, value)
    for entry in merged:
        entries.setdefault(entry.key.text, entry)
    return MapNode(place, tuple(entries.values()), tuple(faults))


def _merge(value: Node, merged: list[Entry], faults: list[Fault]) -> None:
    for part in value.items if isinstance(value, ListNode) else (value,):
        if isinstance(part, MapNode):
            merged.extend(part.entries)
        else:
            what = "a merge key (<<) takes a mapping or a list of mappings"
            faults.append(Fault(part.place, "<<", what))
