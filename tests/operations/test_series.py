"""Series count exactly, and a flood of label values neither grows them nor is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.operations.series import OTHER, Counters, Distribution, Gauges, Histograms, MetricKind

DROPPED = MetricKind("dropped", "counter", "Dropped.", ("sensor", "reason"), closed=1)


@given(
    events=st.lists(st.tuples(st.integers(0, 30).map(str), st.sampled_from(("late", "full"))), max_size=200)
)
def test_a_full_family_counts_the_rest_under_other_and_keeps_our_own_labels(
    events: list[tuple[str, str]],
) -> None:
    counters = Counters(DROPPED, max_series=5)
    for labels in events:
        counters.add(1, *labels)
    values = dict(counters.values())
    assert len(values) <= 5 + 2
    for reason in ("late", "full"):
        counted = sum(value for (_, found), value in values.items() if found == reason)
        assert counted == sum(found == reason for _, found in events)


def test_a_series_may_be_kept_and_added_to() -> None:
    counters = Counters(DROPPED)
    cell = counters.at("cam1", "late")
    cell.value += 2
    counters.add(1, "cam1", "late")
    assert list(counters.values()) == [(("cam1", "late"), 3)]


def test_a_forgotten_sensor_takes_all_its_series_along() -> None:
    counters = Counters(DROPPED)
    counters.add(1, "cam1", "late")
    counters.add(1, "cam1", "full")
    counters.add(1, "cam2", "full")
    counters.forget("cam1")
    assert list(counters.values()) == [(("cam2", "full"), 1)]


def test_the_wrong_number_of_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="has the labels"):
        Counters(DROPPED).add(1, "cam1")


def test_numbers_counted_elsewhere_are_read_when_asked() -> None:
    counters = Counters(MetricKind("bytes", "counter", "Bytes.", ("connection",)))
    gauges = Gauges(MetricKind("rows", "gauge", "Rows."))
    assert list(gauges.values()) == []
    counters.read_from(lambda: [(("data",), 7.0)])
    gauges.read_from(lambda: [((), 3.0)])
    assert list(counters.values()) == [(("data",), 7.0)]
    assert list(gauges.values()) == [((), 3.0)]


@given(values=st.lists(st.floats(-1.0, 10.0), max_size=50))
def test_a_distribution_counts_each_value_under_the_least_bound_that_holds_it(values: list[float]) -> None:
    bounds = (0.0, 1.0, 5.0)
    distribution = Distribution(bounds)
    for value in values:
        distribution.observe(value)
    below = [sum(value <= bound for value in values) for bound in (*bounds, float("inf"))]
    assert [sum(distribution.counts[: place + 1]) for place in range(4)] == below
    assert distribution.sum == pytest.approx(sum(values))


def test_histograms_are_bounded_too() -> None:
    histograms = Histograms(MetricKind("took", "histogram", "Took.", ("model",)), (1.0,), max_series=1)
    for name in ("a", "b", "c"):
        histograms.at(name).observe(0.5)
    assert [(labels, cell.counts) for labels, cell in histograms.cells()] == [
        (("a",), [1, 0]),
        ((OTHER,), [2, 0]),
    ]
