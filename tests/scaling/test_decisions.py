"""Operators can look up every word that the policy may say, and the examples for clusters can be read."""

from __future__ import annotations

import math
import re
from typing import Any, Final

import pytest
import yaml

from gateway.scaling.decisions import Reason
from tests.rules.tree import ROOT

PAGE: Final = (ROOT / "docs/scaling.md").read_text(encoding="utf-8")


def documents() -> list[Any]:
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


def test_every_reason_has_its_line_in_the_table_and_no_other_has() -> None:
    assert re.findall(r"^\| `([a-z_]+)` \| (?:grow|shrink|hold|resume)", PAGE, re.MULTILINE) == [
        each.value for each in Reason
    ]


def test_the_examples_read_the_metrics_that_there_are_with_the_same_weights() -> None:
    keda, adapter, autoscaler = documents()
    query = keda["spec"]["triggers"][0]["metadata"]["query"]
    rule = adapter["rules"][0]
    for text in (query, rule["seriesQuery"] + rule["metricsQuery"]):
        assert {"gateway_scale_out_wanted", "gateway_scale_in_possible"} == set(
            re.findall(r"gateway_\w+", text)
        )
    assert (
        re.findall(r"[\d.]+ \*", query)
        == re.findall(r"[\d.]+ \*", rule["metricsQuery"])
        == ["0.25 *", "0.5 *"]
    )
    assert autoscaler["spec"]["metrics"][0]["pods"]["metric"]["name"] == rule["name"]["as"]
    assert keda["spec"]["scaleTargetRef"]["name"] == autoscaler["spec"]["scaleTargetRef"]["name"]


@pytest.mark.parametrize(
    ("replicas", "wanting", "spare", "asked"),
    [(1, 1, 0, 2), (4, 4, 0, 5), (2, 0, 2, 1), (1, 0, 1, 1), (12, 12, 0, 15), (12, 1, 0, 12), (5, 0, 0, 5)],
)
def test_what_the_examples_ask_for_is_what_the_page_says(
    replicas: int, wanting: int, spare: int, asked: int
) -> None:
    worth = replicas + 0.25 * wanting - 0.5 * spare
    # As the autoscaler reckons: a tenth more or less is as many as there are.
    wanted = replicas if abs(worth / replicas - 1) <= 0.1 else math.ceil(worth)
    assert wanted == asked
