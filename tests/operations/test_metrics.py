"""The table of metrics keeps OpenMetrics' rules, so that every reader understands it."""

from __future__ import annotations

import re

from gateway.operations.metrics import Metrics
from gateway.operations.series import Counters

TRITONS = {
    "nv_gpu_utilization",
    "nv_gpu_memory_total_bytes",
    "nv_gpu_memory_used_bytes",
    "nv_gpu_power_usage",
}


def test_names_are_unique_and_ours_but_for_the_four_that_others_dashboards_read() -> None:
    names = [family.kind.name for family in Metrics().families()]
    assert len(names) == len(set(names))
    assert {name for name in names if not re.fullmatch(r"gateway_[a-z]+(_[a-z]+)*", name)} == TRITONS


def test_names_carry_base_units_and_no_suffix_that_the_format_adds() -> None:
    for family in Metrics().families():
        assert not re.search(
            r"_(total|count|sum|bucket|info|ms|milliseconds|kb|mb|percent)$", family.kind.name
        )
        words = re.search(r"\b(duration|age|memory|bytes)\b", family.kind.name.replace("_", " "))
        if words is not None:
            assert re.search(r"_(seconds|bytes|ratio|pages|kills)$", family.kind.name), family.kind.name


def test_every_metric_says_in_one_sentence_what_it_means() -> None:
    for family in Metrics().families():
        assert family.kind.doc.endswith(".")
        assert family.kind.closed <= len(family.kind.labels)


def test_a_gone_sensor_leaves_no_series_behind() -> None:
    metrics = Metrics()
    families = [
        family
        for family in metrics.families()
        if isinstance(family, Counters) and family.kind.labels[:1] == ("sensor",)
    ]
    assert families
    for family in families:
        family.add(1, *("cam1" for _ in family.kind.labels))
    metrics.forget_sensor("cam1")
    assert all(list(family.values()) == [] for family in families)
