"""What Prometheus reads is what was counted, read back by Prometheus' own parsers."""

from __future__ import annotations

import pytest
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.samples import Sample

from gateway.operations.build import VERSION
from gateway.operations.exposition import Exposition
from gateway.operations.metrics import Metrics
from gateway.operations.series import Example

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def counted() -> Metrics:
    metrics = Metrics()
    metrics.frames_received.add(3, 'cam "one"\n', "frame")
    metrics.request_duration.at("net", "door", "total").observe(0.003)
    metrics.request_duration.at("net", "door", "total").observe(99.0)
    metrics.queue_rows.read_from(lambda: [(("net",), 4)])
    metrics.model_info.read_from(lambda: [(("net", "1", "sha256:ab", "litert"), 1)])
    metrics.mqtt_received_bytes.read_from(lambda: [(("data",), 1e9)])
    return metrics


def samples(text: str, *, strict: bool) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = (
        openmetrics_parser.text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        if strict
        else parser.text_string_to_metric_families(text)
    )
    found: list[Sample] = [sample for family in families for sample in family.samples]
    return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in found}


@pytest.mark.parametrize(("accept", "strict"), [("", False), (OPENMETRICS, True)])
def test_prometheus_reads_back_what_was_counted(accept: str, strict: bool) -> None:
    body, content_type = Exposition(counted()).render(accept)
    assert content_type.startswith("application/openmetrics-text" if strict else "text/plain")
    found = samples(body.decode(), strict=strict)
    door = {("model", "net"), ("pipeline", "door"), ("stage", "total")}
    assert (
        found["gateway_frames_received_total", frozenset({("sensor", 'cam "one"\n'), ("stream", "frame")})]
        == 3
    )
    assert found["gateway_request_duration_seconds_bucket", frozenset(door | {("le", "0.0025")})] == 0
    assert found["gateway_request_duration_seconds_bucket", frozenset(door | {("le", "0.005")})] == 1
    assert found["gateway_request_duration_seconds_bucket", frozenset(door | {("le", "+Inf")})] == 2
    assert found["gateway_request_duration_seconds_count", frozenset(door)] == 2
    assert found["gateway_request_duration_seconds_sum", frozenset(door)] == pytest.approx(99.003)
    assert found["gateway_queue_rows", frozenset({("model", "net")})] == 4
    assert found["gateway_mqtt_received_bytes_total", frozenset({("connection", "data")})] == 1e9
    builds = [dict(labels) for name, labels in found if name == "gateway_build_info"]
    assert [build["version"] for build in builds] == [VERSION]


@pytest.mark.parametrize(
    ("accept", "given"),
    [
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3", "openmetrics"),
        ("application/openmetrics-text;q=0.3, text/plain;version=0.0.4;q=0.5,*/*;q=0.1", "plain"),
        ("application/openmetrics-text; version=1.0.0; q=0", "plain"),
        ("application/openmetrics-text;version=9.9.9, application/openmetrics-text;q=0.9", "openmetrics"),
        ("image/png, */*", "plain"),
        (",;q=,", "plain"),
    ],
)
def test_the_format_is_the_one_that_is_wanted_most(accept: str, given: str) -> None:
    _, content_type = Exposition(Metrics()).render(accept)
    assert given in content_type.partition(";")[0]


def test_the_process_itself_is_measured() -> None:
    body, _ = Exposition(Metrics()).render("")
    found = samples(body.decode(), strict=False)
    assert found["process_resident_memory_bytes", frozenset()] > 1e6
    assert ("process_cpu_seconds_total", frozenset()) in found


def test_reading_twice_counts_nothing_twice() -> None:
    exposition = Exposition(counted())
    first, _ = exposition.render("")
    second, _ = exposition.render("")
    ours = [
        [line for line in body.decode().splitlines() if line.startswith("gateway_")]
        for body in (first, second)
    ]
    assert ours[0] == ours[1]


def test_openmetrics_shows_one_trace_a_bucket_and_the_plain_text_none() -> None:
    metrics, trace = counted(), "0af7651916cd43dd8448eb211c80319c"
    cell = metrics.request_duration.at("net", "door", "total")
    for value, trace_id in ((0.004, "f" * 32), (0.003, trace), (99.0, "e" * 32)):
        cell.exemplify(Example(trace_id, value, 1_700_000_000.5))
    body, _ = Exposition(metrics).render(OPENMETRICS)
    families = openmetrics_parser.text_string_to_metric_families(body.decode())  # type: ignore[no-untyped-call]
    found = {
        sample.labels["le"]: (sample.exemplar.labels["trace_id"], sample.exemplar.value)
        for family in families
        for sample in family.samples
        if sample.exemplar is not None
    }
    assert found == {"0.005": (trace, 0.003), "+Inf": ("e" * 32, 99.0)}
    plain, _ = Exposition(metrics).render("")
    assert samples(plain.decode(), strict=False)
    assert trace not in plain.decode()
