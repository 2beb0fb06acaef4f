"""Which dialect reads which topic, and everything that discovery is subscribed to because of that.

Several parts may want one filter; it is subscribed to once, for the first, and
ended with the last. State topics have no reader here: they are known one by one.
"""

from __future__ import annotations

from gateway.mqtt.topic import TopicTable
from gateway.sensors.actions import Unwatch, Watch
from gateway.sensors.dialect import Dialect, Subscription

_Watches = list[Watch]
_Unwatches = list[Unwatch]


class Routes:
    """Readers and subscriptions."""

    def __init__(self) -> None:
        self._readers: TopicTable[Dialect] = TopicTable()
        self._ordered: TopicTable[str] = TopicTable()
        self._asked: dict[str, dict[str, Subscription]] = {}
        self._wanted: dict[str, list[Subscription]] = {}

    def subscriptions(self) -> tuple[Subscription, ...]:
        """Return everything that is subscribed to."""
        return tuple(wanted[0] for wanted in self._wanted.values())

    def readers(self, topic: str) -> tuple[Dialect, ...]:
        """Return the dialects that read a topic, each once."""
        found = self._readers.match(topic)
        return found if len(found) < 2 else tuple(dict.fromkeys(found))

    def latest_only(self, topic: str) -> bool:
        """Return whether of several waiting messages on a topic only the newest matters."""
        return not self._ordered.match(topic)

    def ask(self, dialect: Dialect, wanted: Subscription) -> _Watches:
        """Let a dialect read a filter."""
        asked = self._asked.setdefault(dialect.name, {})
        if wanted.filter in asked:
            return []
        asked[wanted.filter] = wanted
        self._readers.add(wanted.filter, dialect)
        return self.watch(wanted)

    def unask(self, dialect: Dialect, filter: str) -> _Unwatches:
        """Let a dialect read a filter no longer."""
        wanted = self._asked.get(dialect.name, {}).pop(filter, None)
        if wanted is None:
            return []
        self._readers.remove(filter, dialect)
        return self.unwatch(wanted)

    def remove(self, dialect: Dialect) -> _Unwatches:
        """Let a dialect read nothing any more."""
        ended: _Unwatches = []
        for filter_ in list(self._asked.get(dialect.name, {})):
            ended += self.unask(dialect, filter_)
        return ended

    def watch(self, wanted: Subscription) -> _Watches:
        """Want a subscription; say so if it is the first to want its filter."""
        others = self._wanted.setdefault(wanted.filter, [])
        others.append(wanted)
        if not wanted.latest_only:
            self._ordered.add(wanted.filter, wanted.filter)
        return [Watch(wanted.filter, wanted.qos)] if len(others) == 1 else []

    def unwatch(self, wanted: Subscription) -> _Unwatches:
        """Undo one ``watch``; say so if nobody wants the filter any more."""
        others = self._wanted.get(wanted.filter, [])
        if wanted not in others:
            return []
        others.remove(wanted)
        if not wanted.latest_only:
            self._ordered.remove(wanted.filter, wanted.filter)
        if others:
            return []
        del self._wanted[wanted.filter]
        return [Unwatch(wanted.filter)]
