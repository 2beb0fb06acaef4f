"""Topics of requests and of their answers."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import ForbiddenTopic, Malformed
from gateway.mqtt.topic import is_valid_filter, matches
from gateway.serving.broker.request_topic import Address, RequestTopics

TOPICS = RequestTopics("gw", "porch")
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/+#"), min_size=1)


def test_a_topic_names_a_model_and_perhaps_its_version() -> None:
    assert TOPICS.read("gw/porch/v2/models/cat/infer") == Address("cat")
    assert TOPICS.read("gw/porch/v2/models/cat/versions/7/infer") == Address("cat", "7")
    assert TOPICS.read("gw/porch/v2/models/versions/infer") == Address("versions")


@given(NAMES, st.none() | NAMES)
@example("infer", "infer")
def test_whatever_is_subscribed_to_is_read(model: str, version: str | None) -> None:
    topic = f"gw/porch/v2/models/{model}/{'' if version is None else f'versions/{version}/'}infer"
    assert sum(matches(filter_, topic) for filter_ in TOPICS.filters) == 1
    assert TOPICS.read(topic) == Address(model, version or "")


@given(
    st.text(max_size=60)
    | st.text("/infervsov2mdl", max_size=40).map(lambda tail: f"gw/porch/v2/models/{tail}")
)
@example("gw/porch/v2/models//infer")
@example("gw/porch/v2/models/cat/versions//infer")
@example("gw/porch/v2/models/cat/version/1/infer")
@example("gw/porch/v2/models/cat/versions/1/load")
@example("gw/other/v2/models/cat/infer")
def test_any_other_topic_is_refused(topic: str) -> None:
    try:
        address = TOPICS.read(topic)
    except Malformed:
        return
    versions = f"versions/{address.version}/" if address.version else ""
    assert topic == f"gw/porch/v2/models/{address.model}/{versions}infer"


def test_filters_are_filters() -> None:
    assert all(map(is_valid_filter, TOPICS.filters))


@pytest.mark.parametrize("topic", ["replies/me", "gwx/replies", "homes/gw/porch"])
def test_answers_go_to_plain_topics(topic: str) -> None:
    TOPICS.check_response(topic)


@pytest.mark.parametrize(
    "topic",
    [
        *("", "$SYS/broker", "$share/group/a", "replies/+", "replies/#", "a\0b", "a\nb", "x" * 513, "/" * 40),
        *("gw/porch/models/cmd", "gw/other/v2/models/cat/infer", "gw/hello", "gw/announce/cat/config", "gw/"),
    ],
)
def test_answers_never_go_to_topics_that_mean_something_else(topic: str) -> None:
    with pytest.raises(ForbiddenTopic):
        TOPICS.check_response(topic)
