"""Writes the metrics in the formats of Prometheus: the only importer of prometheus_client."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from gateway.operations.metrics import Metrics
from gateway.operations.series import Counters, Distribution, Family, Gauges, Histograms

_QUALITY: Final = re.compile(r";\s*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*(?:;|$)", re.IGNORECASE)


class Exposition:
    """Renders one ``Metrics`` whenever it is asked."""

    def __init__(self, metrics: Metrics) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Reader(metrics))
        ProcessCollector(registry=self._registry)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return body and content type in the best format that the client accepts.

        Args:
            accept: The client's Accept header; empty for the plain text format.
        """
        encode, content_type = _encoder_for(accept)
        return encode(self._registry), content_type


def format_of(accept: str) -> str:
    """Return the content type that an Accept header gets: one of a few."""
    return _encoder_for(accept)[1]


def _encoder_for(accept: str) -> tuple[Callable[[Collector], bytes], str]:
    for wish in _by_preference(accept):
        found, found_type = choose_encoder(wish)
        if found_type.partition(";")[0] == wish.partition(";")[0].strip().lower():
            return found, found_type
    return choose_encoder("")


def _by_preference(accept: str) -> list[str]:
    """Return what an Accept header lists, the most wanted first: the library does not look at that."""
    weighed: list[tuple[float, str]] = []
    for wish in accept.split(","):
        found = _QUALITY.search(wish)
        quality = float(found[1]) if found else 1.0
        if quality > 0.0:
            weighed.append((quality, wish))
    return [wish for _, wish in sorted(weighed, key=lambda pair: -pair[0])]


class _Reader(Collector):
    """Turns plain series into the library's families at the moment of reading."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def describe(self) -> Iterable[Metric]:
        """Say nothing: registering must not read the sources."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield every family with its series of now."""
        for family in self._metrics.families():
            yield _metric(family)


def _metric(family: Family) -> Metric:
    if isinstance(family, Histograms):
        return _histogram(family)
    if isinstance(family, Counters):
        return _counter(family)
    return _info(family) if family.kind.type == "info" else _gauge(family)


def _counter(family: Counters) -> Metric:
    kind = family.kind
    metric = CounterMetricFamily(kind.name, kind.doc, labels=kind.labels)
    for labels, value in family.values():
        metric.add_metric(labels, value)
    return metric


def _gauge(family: Gauges) -> Metric:
    kind = family.kind
    metric = GaugeMetricFamily(kind.name, kind.doc, labels=kind.labels)
    for labels, value in family.values():
        metric.add_metric(labels, value)
    return metric


def _info(family: Gauges) -> Metric:
    kind = family.kind
    metric = InfoMetricFamily(kind.name, kind.doc)
    for labels, _ in family.values():
        metric.add_metric((), dict(zip(kind.labels, labels, strict=True)))
    return metric


def _histogram(family: Histograms) -> Metric:
    kind = family.kind
    metric = HistogramMetricFamily(kind.name, kind.doc, labels=kind.labels)
    for labels, distribution in family.cells():
        metric.add_metric(labels, buckets=_buckets(distribution), sum_value=distribution.sum)
    return metric


def _buckets(distribution: Distribution) -> list[tuple[str, float] | tuple[str, float, Exemplar]]:
    """Return the buckets, and an example in those that have one; only OpenMetrics has words for it."""
    bounds = (*(str(bound) for bound in distribution.bounds), "+Inf")
    buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
    for place, (bound, count) in enumerate(zip(bounds, accumulate(distribution.counts), strict=True)):
        found = distribution.examples.get(place)
        if found is None:
            buckets.append((bound, count))
        else:
            exemplar = Exemplar({"trace_id": found.trace_id}, found.value, found.unix_s)
            buckets.append((bound, count, exemplar))
    return buckets
