"""Topics that a sensor may name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ForbiddenTopic
from gateway.sensors.topic_policy import ResultTopic, TopicPolicy

STANDARD = ResultTopic("{prefix}/{gateway}/results/{sensor}/{pipeline}", "person-detect", "blazeface")
BARE = ResultTopic("{sensor}/{pipeline}", "person-detect", "blazeface")
POLICY = TopicPolicy("gw", "jetson-1", [STANDARD])


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "#",
        "yard/#",
        "yard/+/frame",
        "$SYS/broker/uptime",
        "$share/gw/yard",
        "yard/\x00",
        "yard/\n",
        "yard/\ud800",
        "x" * 5000,
        "gw/jetson-1",
        "gw/jetson-1/state",
        "gw/jetson-1/results/cam/person-detect",
        "gw/hello",
    ],
)
def test_a_forbidden_topic_is_refused_for_streams_and_states(topic: str) -> None:
    with pytest.raises(ForbiddenTopic):
        POLICY.check_stream(topic)
    with pytest.raises(ForbiddenTopic):
        POLICY.check_state(topic)


def test_announcements_are_no_frames_but_may_carry_states() -> None:
    with pytest.raises(ForbiddenTopic):
        POLICY.check_stream("gw/announce/cam/frame")
    assert POLICY.check_state("gw/announce/cam/state") == "gw/announce/cam/state"


@pytest.mark.parametrize(
    "topic", ["yard/cam/frame", "gw/jetson-2/results/cam/p", "gw/jetson-10", "/", "a//b"]
)
def test_other_topics_are_allowed(topic: str) -> None:
    assert POLICY.check_stream(topic) == topic


def test_results_under_any_template_are_guarded_and_no_more_than_they() -> None:
    policy = TopicPolicy("gw", "jetson-1", [BARE])
    with pytest.raises(ForbiddenTopic):
        policy.check_stream("cam-1/person-detect")
    assert policy.check_stream("cam-1/frame") == "cam-1/frame"
    assert policy.check_stream("yard/cam-1/person-detect") == "yard/cam-1/person-detect"


def test_a_reload_moves_the_guard() -> None:
    policy = TopicPolicy("gw", "jetson-1", [BARE])
    policy.reconfigure([ResultTopic("out/{sensor}", "person-detect", "blazeface")])
    assert policy.check_stream("cam-1/person-detect") == "cam-1/person-detect"
    with pytest.raises(ForbiddenTopic):
        policy.check_stream("out/cam-1")


@given(st.text(max_size=60))
def test_any_text_is_allowed_or_forbidden(topic: str) -> None:
    try:
        assert POLICY.check_stream(topic) == topic
    except ForbiddenTopic:
        return
    assert not set("+#\0") & set(topic)
    assert not topic.startswith(("$", "gw/jetson-1/"))
