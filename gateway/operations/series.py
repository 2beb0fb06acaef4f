"""Counters, gauges and histograms as plain objects: what a frame costs is an addition.

``gateway.operations.metrics`` declares them and ``gateway.operations.exposition``
reads them when Prometheus asks. They are used from the event loop alone.

The label values of sensors come from outside, so each family keeps a bounded
number of series; what finds no room is counted under ``other``, never lost.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

OTHER: Final = "other"
MAX_SERIES: Final = 1000

Labels = tuple[str, ...]
Reading = Iterable[tuple[Labels, float]]


@dataclass(frozen=True, slots=True)
class MetricKind:
    """What is known of one metric.

    Attributes:
        name: Its name as a family: without ``_total`` or ``_bucket``.
        type: What it is.
        doc: One sentence for the operator.
        labels: Names of its labels.
        closed: Labels, from the right, whose values are ours; the others become
            ``other`` when the family is full.
    """

    name: str
    type: Literal["counter", "gauge", "histogram", "info"]
    doc: str
    labels: Labels = ()
    closed: int = 0


class Count:
    """One counter: add to ``value``."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0


@dataclass(frozen=True, slots=True)
class Example:
    """One observation that can be looked up elsewhere.

    Attributes:
        trace_id: The trace that it belongs to.
        value: What was observed.
        unix_s: When, in seconds since 1970.
    """

    trace_id: str
    value: float
    unix_s: float


class Distribution:
    """One histogram: how many observations fell under each bound, their sum, and an example under each."""

    __slots__ = ("bounds", "counts", "examples", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.examples: dict[int, Example] = {}
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value; a bound includes its own value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def exemplify(self, example: Example) -> None:
        """Keep one of the values that were counted, in place of the one before it under the same bound."""
        self.examples[bisect_left(self.bounds, example.value)] = example


Cell = TypeVar("Cell")


class _Family(Generic[Cell]):
    """The series of one metric, by label values."""

    def __init__(self, kind: MetricKind, make: Callable[[], Cell], max_series: int = MAX_SERIES) -> None:
        self.kind = kind
        self._make = make
        self._max_series = max_series
        self._cells: dict[Labels, Cell] = {}

    def at(self, *labels: str) -> Cell:
        """Return the series with these label values, which the caller may keep.

        Raises:
            ValueError: Not as many values as the metric has labels.
        """
        cell = self._cells.get(labels)
        return cell if cell is not None else self._add(labels)

    def forget(self, first: str) -> None:
        """Drop the series whose first label is ``first``: its sensor or model is gone."""
        for labels in [labels for labels in self._cells if labels and labels[0] == first]:
            del self._cells[labels]

    def cells(self) -> Iterator[tuple[Labels, Cell]]:
        """Yield every series with its label values."""
        yield from self._cells.items()

    def _add(self, labels: Labels) -> Cell:
        if len(labels) != len(self.kind.labels):
            raise ValueError(f"{self.kind.name} has the labels {self.kind.labels}, not {labels}")
        if len(self._cells) >= self._max_series:
            kept = len(labels) - self.kind.closed
            labels = (OTHER,) * kept + labels[kept:]
        return self._cells.setdefault(labels, self._make())


class Counters(_Family[Count]):
    """The counters of one metric, or a reading of numbers that somebody else counts."""

    def __init__(self, kind: MetricKind, max_series: int = MAX_SERIES) -> None:
        super().__init__(kind, Count, max_series)
        self._source: Callable[[], Reading] | None = None

    def add(self, amount: float, *labels: str) -> None:
        """Add to the series with these label values."""
        self.at(*labels).value += amount

    def read_from(self, source: Callable[[], Reading]) -> None:
        """Take further series from ``source`` whenever the metrics are read."""
        self._source = source

    def values(self) -> Iterator[tuple[Labels, float]]:
        """Yield every series with its label values and its count."""
        for labels, cell in self.cells():
            yield labels, cell.value
        if self._source is not None:
            yield from self._source()


class Histograms(_Family[Distribution]):
    """The histograms of one metric."""

    def __init__(self, kind: MetricKind, bounds: tuple[float, ...], max_series: int = MAX_SERIES) -> None:
        super().__init__(kind, lambda: Distribution(bounds), max_series)


class Gauges:
    """Numbers that are read, when somebody asks, from those who know them."""

    def __init__(self, kind: MetricKind) -> None:
        self.kind = kind
        self._source: Callable[[], Reading] | None = None

    def read_from(self, source: Callable[[], Reading]) -> None:
        """Take the series from ``source`` whenever the metrics are read."""
        self._source = source

    def values(self) -> Iterator[tuple[Labels, float]]:
        """Yield every series with its label values and its number."""
        if self._source is not None:
            yield from self._source()


Family = Counters | Histograms | Gauges
