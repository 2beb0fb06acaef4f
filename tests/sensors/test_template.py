"""Value templates: the part of Jinja that is understood, and that nothing else is."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Malformed, MalformedAnnouncement
from gateway.sensors.template import Filter, Template, parse_template

MESSAGE = b'{"a": {"b": [{"c": "21.46"}]}, "n": 3, "s": "On", "t": true, "z": null, "list": []}'


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ value_json.a.b[0]['c'] }}", "21.46"),
        ('{{value_json["a"].b[0].c|float}}', 21.46),
        ("{{ value_json.a.b[-1].c | float | round(1) }}", 21.5),
        ("{{ value_json.a.b[0].c | float | round }}", 21.0),
        ("{{- value_json.n | int -}}", 3),
        ("{{ value_json.a.b[0].c | int }}", 21),
        ("{{ value_json.t }}", True),
        ("{{ value_json.s | lower }}", "on"),
        ("{{ value_json.s | upper }}", "ON"),
        ("{{ value_json.missing | default(7) }}", 7),
        ("{{ value_json.missing | default('x') }}", "x"),
        ("{{ value_json.n | default(7) }}", 3),
        ("{{ value_json.s | float(0) }}", 0),
        ("{{ value_json.n | is_defined }}", 3),
        ("  {{ value_json.n }}\n", 3),
    ],
)
def test_the_documented_part_is_evaluated_as_jinja_would(source: str, expected: object) -> None:
    value = parse_template(source).evaluate(MESSAGE)
    assert value == expected
    assert type(value) is type(expected)


def test_the_whole_payload_is_the_value_of_value() -> None:
    assert parse_template("{{ value }}").evaluate(b"21.5") == "21.5"
    assert parse_template("{{ value | float }}").evaluate(b" 21.5 ") == 21.5


def test_text_is_written_as_jinja_writes_it() -> None:
    assert parse_template("{{ value_json.t }}").text(MESSAGE) == "True"
    assert parse_template("{{ value_json.z }}").text(MESSAGE) == "None"


def test_a_template_is_kept_as_its_parts() -> None:
    expected = Template(whole=False, path=("a", 0), filters=(Filter("round", (2,)),))
    assert parse_template("{{ value_json['a'][0] | round(2) }}") == expected


@pytest.mark.parametrize(
    "source",
    [
        "",
        "21",
        "{{ }}",
        "{{ value_json.a * 10 }}",
        "{{ value_json.a.__class__() }}",
        "{{ states('sensor.x') }}",
        "{% if value %}1{% endif %}",
        "{{ value_json.a }} °C",
        "{{ value_json.a | eval }}",
        "{{ value_json.a | round(1, 'floor') }}",
        "{{ value_json[value] }}",
        "{{ value_json[1.5] }}",
        "{{ value_json[True] }}",
        "{{ value_json. }}",
        "{{ value_json[0 }}",
        "{{ value.a }}",
        "{{ value_json" + ".a" * 40 + " }}",
        "{{ value_json." + "a" * 600 + " }}",
        "{{ 'unclosed }}",
    ],
)
def test_anything_else_is_refused(source: str) -> None:
    with pytest.raises(MalformedAnnouncement):
        parse_template(source)


@pytest.mark.parametrize(
    ("source", "payload"),
    [
        ("{{ value_json.missing }}", MESSAGE),
        ("{{ value_json.missing | is_defined }}", MESSAGE),
        ("{{ value_json.a }}", MESSAGE),
        ("{{ value_json.list[0] }}", MESSAGE),
        ("{{ value_json.a.b[-2] }}", MESSAGE),
        ("{{ value_json.s | float }}", MESSAGE),
        ("{{ value_json.z | float }}", MESSAGE),
        ("{{ value_json.n | round(99) }}", MESSAGE),
        ("{{ value_json.n }}", b"not json"),
        ("{{ value_json.n | int }}", b'{"n": 1e999}'),
        ("{{ value_json.n | float }}", b'{"n": 1' + b"0" * 400 + b"}"),
        ("{{ value_json.n }}", b'{"n": NaN}'),
        ("{{ value_json.n }}", b"[" * 60_000),
        ("{{ value }}", b"\xff"),
    ],
)
def test_a_message_without_the_value_is_malformed(source: str, payload: bytes) -> None:
    with pytest.raises(Malformed):
        parse_template(source).evaluate(payload)


@given(
    st.text(max_size=80) | st.from_regex(r"\{\{ ?value_json[.\[\]a'0|(),\" -]{0,20} ?\}\}", fullmatch=True)
)
def test_any_text_is_a_template_or_malformed(source: str) -> None:
    with contextlib.suppress(MalformedAnnouncement):
        assert isinstance(parse_template(source), Template)


KEY = st.sampled_from([".a", "['a b']", "[0]", "[-1]", ".n"])
FILTER = st.sampled_from([" | float", " | int", " | int(2)", " | round(1)", " | default(1)", " | lower"])


@given(st.lists(KEY, max_size=3), st.lists(FILTER, max_size=3), st.binary(max_size=40))
def test_any_payload_gives_a_scalar_or_is_malformed(
    keys: list[str], filters: list[str], payload: bytes
) -> None:
    template = parse_template("{{ value_json" + "".join(keys) + "".join(filters) + " }}")
    for data in (payload, b'{"a": [' + payload + b"]}", MESSAGE):
        try:
            value = template.evaluate(data)
        except Malformed:
            continue
        assert value is None or isinstance(value, str | int | float)
