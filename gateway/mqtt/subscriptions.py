"""Which filters are wanted, what the broker was told, and who takes a message.

Pure.

1. Any number of subscribers may share a filter; the broker is asked once, for
   the most that any of them wants.
2. Calls only note the wish; ``plan`` says what to tell the broker, in few packets.
3. A broker without our session is told everything again. One with it is told
   what it never confirmed, and again what wants retained messages: they may
   have changed while nobody listened, and QoS 0 is not queued for us.
4. On MQTT 5 a message comes once for each filter that matches it. Identifiers
   tell the copies apart, so that each subscriber takes it once: filters without
   wildcards, of which one at most matches a topic, share an identifier; each
   other one has its own, made from its words so that it outlives a restart.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from gateway.mqtt.message import Message
from gateway.mqtt.topic import TopicTable, has_wildcard, matches, without_share

RETAINED_ALWAYS = 0
RETAINED_NEVER = 2
CHUNK_FILTERS = 100
# Long filters make small chunks, so that no SUBSCRIBE nears a broker's packet limit.
CHUNK_BYTES = 16_384
FAILURE_CODE = 0x80

EXACT_IDENTIFIER = 1
LAST_IDENTIFIER = 268_435_455


@dataclass(frozen=True, slots=True, eq=False)
class Subscription:
    """One subscriber's wish.

    Attributes:
        filter: Valid topic filter.
        qos: 0 or 1.
        handler: Takes each message; called by the event loop, so it must return at once.
        retain_handling: 0: retained messages at each subscribe; 1: only when new; 2: never.
        no_local: Not the messages that this connection itself publishes (MQTT 5).
        manual: QoS 1 messages are acknowledged by the subscriber, not on return of ``handler``.
    """

    filter: str
    qos: int
    handler: Callable[[Message], None]
    retain_handling: int = RETAINED_ALWAYS
    no_local: bool = False
    manual: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the broker is asked for."""

    filter: str
    qos: int
    retain_handling: int
    no_local: bool

    @property
    def identifier(self) -> int:
        """What the broker puts on the messages that it sends for this filter."""
        return identifier_of(self.filter)


def identifier_of(filter: str) -> int:
    """Return the subscription identifier of a filter; see rule 4."""
    if not has_wildcard(filter) and not filter.startswith("$share/"):
        return EXACT_IDENTIFIER
    return EXACT_IDENTIFIER + 1 + zlib.crc32(filter.encode()) % (LAST_IDENTIFIER - EXACT_IDENTIFIER)


@dataclass(frozen=True, slots=True)
class Plan:
    """Packets to send: each inner tuple is one UNSUBSCRIBE, or one SUBSCRIBE with one identifier."""

    unsubscribe: tuple[tuple[str, ...], ...]
    subscribe: tuple[tuple[Wanted, ...], ...]


class Subscriptions:
    """The filters of one connection, across all its network connections."""

    def __init__(self) -> None:
        self._by_filter: dict[str, list[Subscription]] = {}
        self._by_identifier: dict[int, list[str]] = {}  # those that are not exact
        self._table: TopicTable[Subscription] = TopicTable()
        self._changed: dict[str, None] = {}  # a set that keeps its order
        self._told: dict[str, Wanted] = {}
        self._unsettled: dict[int, tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self._by_filter)

    def __contains__(self, filter: object) -> bool:
        return filter in self._by_filter

    @property
    def settled(self) -> bool:
        """Whether the broker has confirmed or refused everything wanted."""
        return not self._changed and not self._unsettled

    def add(self, subscription: Subscription) -> None:
        """Note a wish.

        Raises:
            ForbiddenTopic: Its filter is not valid.
        """
        self._table.add(subscription.filter, subscription)
        if subscription.filter not in self._by_filter:
            self._by_filter[subscription.filter] = []
            identifier = identifier_of(subscription.filter)
            if identifier != EXACT_IDENTIFIER:
                self._by_identifier.setdefault(identifier, []).append(subscription.filter)
        self._by_filter[subscription.filter].append(subscription)
        self._changed[subscription.filter] = None
        if subscription.retain_handling == RETAINED_ALWAYS:
            # Whoever joins an old filter wants its retained messages too.
            self._told.pop(subscription.filter, None)

    def remove(self, filter: str, handler: Callable[[Message], None] | None = None) -> None:
        """Give a filter up, for one subscriber or for all of them."""
        for one in tuple(self._by_filter.get(filter, ())):
            if handler is None or one.handler == handler:
                self._table.remove(filter, one)
                self._by_filter[filter].remove(one)
        if filter in self._by_filter:
            self._changed[filter] = None
            if not self._by_filter[filter]:
                del self._by_filter[filter]
                identifier = identifier_of(filter)
                if identifier != EXACT_IDENTIFIER:
                    self._by_identifier[identifier].remove(filter)

    def match(self, topic: str, identifiers: tuple[int, ...] = ()) -> Sequence[Subscription]:
        """Return who takes a message of a topic that came with these identifiers; all that match for none."""
        if not identifiers:
            return self._table.match(topic)
        if identifiers == (EXACT_IDENTIFIER,):
            return tuple(self._by_filter.get(topic, ()))
        takers: list[Subscription] = []
        for identifier in dict.fromkeys(identifiers):
            paths = [topic] if identifier == EXACT_IDENTIFIER else self._by_identifier.get(identifier, ())
            for path in paths:
                # Two filters may have one identifier by chance: the grammar decides.
                if matches(without_share(path), topic):
                    takers += self._by_filter.get(path, ())
        return takers

    def plan(self) -> Plan:
        """Return what the broker has to be told now; it counts as told."""
        dropped: list[str] = []
        wanted: list[Wanted] = []
        for path in self._changed:
            now, before = self._wanted(path), self._told.get(path)
            if now is None:
                if self._told.pop(path, None) is not None:
                    dropped.append(path)
            elif now != before:
                self._told[path] = now
                wanted.append(now)
        self._changed.clear()
        # One packet has one identifier: that of all exact filters, or of a single other one.
        exact = [one for one in wanted if one.identifier == EXACT_IDENTIFIER]
        others = [(one,) for one in wanted if one.identifier != EXACT_IDENTIFIER]
        told = {one.filter: one for one in exact}
        chunks = (tuple(told[path] for path in chunk) for chunk in _chunks(told))
        return Plan(tuple(_chunks(dropped)), (*chunks, *others))

    def asked(self, mid: int, filters: Iterable[str]) -> None:
        """Note that a packet of the plan was sent under this identifier."""
        self._unsettled[mid] = tuple(filters)

    def answered(self, mid: int, codes: Sequence[int]) -> tuple[tuple[str, int], ...]:
        """Note an answer; return the filters that were refused, with the broker's reason codes."""
        filters = self._unsettled.pop(mid, ())
        refused = tuple(
            (path, code) for path, code in zip(filters, codes, strict=False) if code >= FAILURE_CODE
        )
        for path, _ in refused:
            self._told.pop(path, None)
        return refused

    def connected(self, session_present: bool) -> None:
        """Note a new network connection, and whether the broker still has our session."""
        self.lost()
        if session_present:
            self._told = {
                path: told for path, told in self._told.items() if told.retain_handling != RETAINED_ALWAYS
            }
        else:
            self._told.clear()
        self._changed.update(dict.fromkeys(self._told))
        self._changed.update(dict.fromkeys(self._by_filter))

    def lost(self) -> None:
        """Note that the network connection ended: what it had not confirmed was not told."""
        for filters in self._unsettled.values():
            for path in filters:
                self._told.pop(path, None)
                self._changed[path] = None
        self._unsettled.clear()

    def _wanted(self, filter: str) -> Wanted | None:
        subscriptions = self._by_filter.get(filter)
        if not subscriptions:
            return None
        return Wanted(
            filter,
            qos=max(one.qos for one in subscriptions),
            retain_handling=min(one.retain_handling for one in subscriptions),
            no_local=all(one.no_local for one in subscriptions),
        )


def _chunks(filters: Iterable[str]) -> Iterator[tuple[str, ...]]:
    chunk: list[str] = []
    size = 0
    for path in filters:
        if chunk and (len(chunk) == CHUNK_FILTERS or size + len(path) > CHUNK_BYTES):
            yield tuple(chunk)
            chunk, size = [], 0
        chunk.append(path)
        size += len(path)
    if chunk:
        yield tuple(chunk)
