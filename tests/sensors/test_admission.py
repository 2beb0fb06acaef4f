"""Admission rules: the first that matches a stream decides on it."""

from __future__ import annotations

import pytest

from gateway.configuration.settings import AdmissionRule
from gateway.sensors.admission import Admission, AdmissionRules, Verdict
from gateway.sensors.sensor import LEARNED, Sensor, Stream
from gateway.sensors.topic_policy import TopicPolicy
from tests.sensors.examples import sensor

PIPELINES = ("person", "shake", "other")
TWO = Sensor(
    id="cam-1",
    dialect="announce",
    kind="camera",
    streams={"frame": Stream("frame", "yard/cam-1/frame"), "imu": Stream("imu", "yard/cam-1/imu")},
    labels={"site": "yard"},
    pipeline_hint="person",
)


def allow(*pipelines: str, **match: object) -> AdmissionRule:
    return AdmissionRule(action="allow", pipelines=pipelines, **match)  # type: ignore[arg-type]


def deny(**match: object) -> AdmissionRule:
    return AdmissionRule(action="deny", **match)  # type: ignore[arg-type]


def decide(*rules: AdmissionRule, of: Sensor = TWO) -> Verdict:
    return AdmissionRules(rules, PIPELINES).decide(of)


def test_what_no_rule_matches_is_pending() -> None:
    assert decide() == Verdict(Admission.PENDING, "no admission rule matches")


@pytest.mark.parametrize(
    "match",
    [
        {"dialect": "announce"},
        {"id": "cam-*"},
        {"kind": "camera"},
        {"topic": "yard/+/frame"},
        {"labels": {"site": "y*"}},
        {"stream": "frame"},
    ],
)
def test_each_part_of_a_rule_matches(match: dict[str, object]) -> None:
    assert decide(allow("shake", **match)).pipelines["frame"] == ("shake",)


@pytest.mark.parametrize(
    "match",
    [
        {"dialect": "homeassistant"},
        {"id": "CAM-*"},
        {"id": "cam"},
        {"kind": "microphone"},
        {"topic": "house/#"},
        {"labels": {"site": "house"}},
        {"labels": {"room": "*"}},
        {"stream": "sound"},
    ],
)
def test_each_part_of_a_rule_keeps_others_out(match: dict[str, object]) -> None:
    assert decide(allow("shake", **match)).admission is Admission.PENDING


def test_the_first_rule_that_matches_decides() -> None:
    assert decide(deny(id="cam-*"), allow("person")) == Verdict(
        Admission.DENIED, "denied by admission rule 1"
    )
    assert decide(allow("person"), deny()).admission is Admission.ADMITTED
    assert decide(deny(stream="imu")).admission is Admission.PENDING
    kept = decide(AdmissionRule(action="pending", id="cam-1"), allow("person"))
    assert kept == Verdict(Admission.PENDING, "kept waiting by admission rule 1")


def test_streams_of_one_sensor_may_be_decided_by_different_rules() -> None:
    verdict = decide(allow("person", stream="frame"), allow("shake", topic="yard/+/imu"))
    assert verdict.pipelines == {"frame": ("person",), "imu": ("shake",)}
    assert decide(deny(stream="imu"), allow("person")).pipelines == {"frame": ("person",)}


def test_the_sensors_own_hint_is_used_only_where_a_rule_allows_without_naming_pipelines() -> None:
    assert decide(allow()).pipelines == {"frame": ("person",), "imu": ("person",)}
    assert decide(allow("shake")).pipelines == {"frame": ("shake",), "imu": ("shake",)}
    assert decide().pipelines == {}


def test_a_hint_of_an_unknown_pipeline_waits_with_the_reason() -> None:
    verdict = decide(allow(), of=sensor(pipeline_hint="nonsense"))
    assert verdict == Verdict(Admission.PENDING, "pipeline 'nonsense' is not configured")


def test_allowed_without_any_pipeline_waits_with_the_reason() -> None:
    verdict = decide(allow(), of=sensor())
    assert verdict.reason == "admission rule 1 allows it, but neither names a pipeline"


def test_only_pipelines_that_fit_are_bound_unless_the_rule_names_the_stream() -> None:
    def fits(stream: Stream, pipeline: str) -> bool:
        return (stream.name, pipeline) in {("frame", "person"), ("imu", "shake")}

    both = AdmissionRules([allow("person", "shake")], PIPELINES, fits)
    assert both.decide(TWO).pipelines == {"frame": ("person",), "imu": ("shake",)}
    none = AdmissionRules([allow("other")], PIPELINES, fits)
    assert none.decide(TWO).reason == "no pipeline of admission rule 1 takes its payloads"
    named = AdmissionRules([allow("other", stream="frame")], PIPELINES, fits)
    assert named.decide(TWO).pipelines == {"frame": ("other",)}
    assert both.declared(TWO, ("person", "shake")).pipelines == {"frame": ("person",), "imu": ("shake",)}


def test_a_learned_topic_waits_for_a_person_whatever_the_rules_say() -> None:
    assert decide(allow("person"), of=sensor(dialect=LEARNED)).admission is Admission.PENDING


def test_a_topic_of_our_own_is_never_bound() -> None:
    rules = AdmissionRules([allow("person")], PIPELINES, policy=TopicPolicy("gw", "jetson-1"))
    verdict = rules.decide(sensor(topic="gw/jetson-1/results/cam/person"))
    assert verdict.admission is Admission.DENIED


def test_a_sensor_without_streams_waits() -> None:
    verdict = decide(allow("person"), of=Sensor("cam", "announce", {}))
    assert verdict == Verdict(Admission.PENDING, "it has no streams")
