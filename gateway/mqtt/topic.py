"""Topic grammar: what a topic and a filter may be, which match, and a table from topics to subscribers.

Pure. The rules are those of MQTT 5 §4.7:

1. Levels are parted by ``/``; an empty level is a level.
2. ``+`` stands for exactly one level and fills it; ``#`` stands for any number
   of last levels, none included, and fills the last one.
3. A filter that begins with a wildcard matches no topic that begins with ``$``.
4. Neither may be empty, hold NUL, or be longer than 65,535 bytes of UTF-8.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.errors import ForbiddenTopic

MAX_TOPIC_BYTES = 65_535
CACHED_TOPICS = 4096

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class TopicLimits:
    """What a topic that a sensor names may measure.

    Attributes:
        max_bytes: Longest topic, in bytes of UTF-8.
        max_levels: Most levels.
    """

    max_bytes: int = 512
    max_levels: int = 32


DEFAULT_LIMITS = TopicLimits()


def is_valid_topic(topic: str) -> bool:
    """Tell whether a message may be published on ``topic``."""
    return _is_sound(topic) and "+" not in topic and "#" not in topic


def is_valid_filter(filter: str) -> bool:
    """Tell whether ``filter`` may be subscribed to; shared subscriptions included."""
    if not _is_sound(filter):
        return False
    if filter.startswith("$share/"):
        _, group, *rest = filter.split("/", 2)
        if not group or not rest or not rest[0] or "+" in group or "#" in group:
            return False
        levels = rest[0].split("/")
    else:
        levels = filter.split("/")
    if any(len(level) > 1 and ("+" in level or "#" in level) for level in levels):
        return False
    return "#" not in levels[:-1]


def has_wildcard(filter: str) -> bool:
    """Tell whether a valid filter can match more than one topic."""
    return "+" in filter or "#" in filter


def without_share(filter: str) -> str:
    """Return the filter that a shared subscription matches by; any other as it is."""
    return filter.split("/", 2)[2] if filter.startswith("$share/") else filter


def matches(filter: str, topic: str) -> bool:
    """Tell whether a valid filter matches a valid topic."""
    if topic.startswith("$") and filter[:1] in ("+", "#"):
        return False
    wanted = filter.split("/")
    levels = topic.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index == len(levels) or level not in ("+", levels[index]):
            return False
    return len(wanted) == len(levels)


def check_sensor_topic(topic: str, limits: TopicLimits = DEFAULT_LIMITS) -> None:
    """Refuse a topic that a sensor must not make the gateway subscribe to.

    Raises:
        ForbiddenTopic: It holds a wildcard, NUL or another control character,
            begins with ``$``, is empty, too long or too deep.
    """
    # A topic has at least as many bytes as characters: the cheap test bounds the others.
    if not 0 < len(topic) <= limits.max_bytes:
        raise ForbiddenTopic(f"topic of {len(topic)} characters; 1 to {limits.max_bytes} bytes are allowed")
    if not _is_sound(topic) or len(topic.encode()) > limits.max_bytes:
        raise ForbiddenTopic(
            f"topic {topic!r} is no UTF-8 text of at most {limits.max_bytes} bytes without NUL"
        )
    if topic.startswith("$"):
        raise ForbiddenTopic(f"topic {topic!r} begins with $, which is the broker's own")
    if "+" in topic or "#" in topic:
        raise ForbiddenTopic(f"topic {topic!r} holds a wildcard")
    if not topic.isprintable() and any(
        ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in topic
    ):
        raise ForbiddenTopic(f"topic {topic!r} holds a control character")
    if topic.count("/") >= limits.max_levels:
        raise ForbiddenTopic(f"topic {topic!r} has more than {limits.max_levels} levels")


def _is_sound(text: str) -> bool:
    if not 0 < len(text) <= MAX_TOPIC_BYTES or "\0" in text:
        return False
    try:
        return len(text.encode()) <= MAX_TOPIC_BYTES
    except UnicodeEncodeError:  # a lone surrogate: no UTF-8 says it
        return False


class _Node(Generic[Value]):
    """One level of the tree of wildcard filters."""

    __slots__ = ("children", "values")

    def __init__(self) -> None:
        self.children: dict[str, _Node[Value]] = {}
        self.values: list[Value] = []


class TopicTable(Generic[Value]):
    """Maps topics to the values whose filters match them.

    A filter without wildcards is one entry of a dict; the others stand in a
    tree, walked once per topic: the answers for the last few thousand topics
    are kept until the table changes. A filter may have several values.
    """

    def __init__(self) -> None:
        self._exact: dict[str, list[Value]] = {}
        self._root: _Node[Value] = _Node()
        self._cached: dict[str, tuple[Value, ...]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, filter: str, value: Value) -> None:
        """Let topics that match ``filter`` find ``value`` as well.

        Raises:
            ForbiddenTopic: The filter is not valid.
        """
        if not is_valid_filter(filter):
            raise ForbiddenTopic(f"{filter!r} is not a valid topic filter")
        path = without_share(filter)
        if has_wildcard(path):
            node = self._root
            for level in path.split("/"):
                node = node.children.setdefault(level, _Node())
            node.values.append(value)
        else:
            self._exact.setdefault(path, []).append(value)
        self._size += 1
        self._cached.clear()

    def remove(self, filter: str, value: Value) -> bool:
        """Undo one ``add``; tell whether there was one."""
        path = without_share(filter) if is_valid_filter(filter) else ""
        removed = self._remove_wild(path, value) if has_wildcard(path) else self._remove_exact(path, value)
        if removed:
            self._size -= 1
            self._cached.clear()
        return removed

    def match(self, topic: str) -> tuple[Value, ...]:
        """Return the values for a topic, exact filters first."""
        found = self._cached.get(topic)
        if found is None:
            found = tuple(self._search(topic))
            if len(self._cached) >= CACHED_TOPICS:
                self._cached.clear()
            self._cached[topic] = found
        return found

    def _search(self, topic: str) -> Iterator[Value]:
        yield from self._exact.get(topic, ())
        levels = topic.split("/")
        # (node, how many levels it stands for); a stack, as a topic may have 65,000 levels
        open_nodes = [(self._root, 0)]
        while open_nodes:
            node, depth = open_nodes.pop()
            wild = depth > 0 or not topic.startswith("$")
            if wild and (rest := node.children.get("#")) is not None:
                yield from rest.values
            if depth == len(levels):
                yield from node.values
                continue
            if wild and (any_level := node.children.get("+")) is not None:
                open_nodes.append((any_level, depth + 1))
            if (level := levels[depth]) not in ("+", "#") and (same := node.children.get(level)) is not None:
                open_nodes.append((same, depth + 1))

    def _remove_exact(self, path: str, value: Value) -> bool:
        values = self._exact.get(path, [])
        if value not in values:
            return False
        values.remove(value)
        if not values:
            del self._exact[path]
        return True

    def _remove_wild(self, path: str, value: Value) -> bool:
        node = self._root
        way: list[tuple[_Node[Value], str]] = []
        for level in path.split("/"):
            child = node.children.get(level)
            if child is None:
                return False
            way.append((node, level))
            node = child
        if value not in node.values:
            return False
        node.values.remove(value)
        for parent, level in reversed(way):  # branches that lead nowhere now
            child = parent.children[level]
            if child.values or child.children:
                break
            del parent.children[level]
        return True
