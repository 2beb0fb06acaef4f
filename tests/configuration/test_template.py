"""Topic templates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.configuration.template import PLACEHOLDERS, BadTemplate, check_template, fill, template_filter
from gateway.mqtt.topic import is_valid_filter, is_valid_topic, matches

VALUES = {name: name.upper() for name in PLACEHOLDERS}
TEMPLATES = st.lists(
    st.one_of(st.text(max_size=6), st.sampled_from([f"{{{name}}}" for name in PLACEHOLDERS]), st.just("/")),
    max_size=8,
).map("".join)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("", "empty"),
        ("a/{", "not a template"),
        ("a/}", "not a template"),
        ("a/{}", "unknown placeholder"),
        ("a/{sensor.id}", "unknown placeholder"),
        ("a/{sensor!r}", "unknown placeholder"),
        ("a/{sensor:>9999999999}", "unknown placeholder"),
        ("a/+/b", "no +, #"),
        ("a/\0", "control character"),
        ("$SYS/{sensor}", "broker's own"),
        ("a" * 1025, "longer"),
    ],
)
def test_a_template_that_cannot_be_filled_in_is_refused(template: str, words: str) -> None:
    with pytest.raises(BadTemplate) as caught:
        check_template(template)
    assert words in str(caught.value)


def test_a_template_is_filled_in() -> None:
    template = "{{home}}/{prefix}/{gateway}-{sensor}/{pipeline}"
    check_template(template)
    assert fill(template, VALUES) == "{home}/PREFIX/GATEWAY-SENSOR/PIPELINE"


def test_a_value_cannot_add_a_level_or_a_wildcard() -> None:
    assert fill("a/{sensor}", VALUES | {"sensor": "x/../#+\0"}) == "a/x_..____"


def test_a_filter_knows_the_levels_that_are_known() -> None:
    known = {"prefix": "gw", "pipeline": "p"}
    assert template_filter("{prefix}/{gateway}/x-{sensor}/{pipeline}", known) == "gw/+/+/p"


@given(TEMPLATES, st.fixed_dictionaries({name: st.text(min_size=1, max_size=5) for name in PLACEHOLDERS}))
def test_a_checked_template_gives_valid_topics_that_its_filter_matches(
    template: str, values: dict[str, str]
) -> None:
    try:
        check_template(template)
    except BadTemplate:
        return
    topic = fill(template, values)
    if topic.startswith("$"):
        return
    each = template_filter(template, {})
    assert is_valid_topic(topic)
    assert is_valid_filter(each)
    assert matches(each, topic)
