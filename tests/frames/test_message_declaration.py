"""What a message says of itself is laid over its stream, checked, and identifies the frame."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.errors import Malformed, RequestRefused, TooLarge, UnknownMedia
from gateway.frames.declaration import Declaration
from gateway.frames.message_declaration import MAX_PROPERTIES, FrameFacts, read_message

PLAIN = Declaration()
CAMERA = Declaration(media="image/jpeg", encoding="base64")


def said(*properties: tuple[str, str], content_type: str | None = None) -> Declaration:
    return read_message(PLAIN, content_type, properties).declared


def facts(*properties: tuple[str, str]) -> FrameFacts:
    return read_message(PLAIN, None, properties).facts


def test_a_message_that_says_nothing_leaves_its_stream_as_it_is() -> None:
    message = read_message(CAMERA, None, ())
    assert message.declared is CAMERA
    assert message.facts == FrameFacts()


def test_a_tensor_describes_itself_completely() -> None:
    declared = said(
        ("dtype", "FP16"),
        ("shape", "1,224, 224,3"),
        ("layout", "NHWC"),
        ("scale", "0.0078125"),
        ("zero", "-128"),
        ("encoding", "gzip"),
        ("name", "input_1"),
        content_type="application/vnd.gateway.tensor",
    )
    assert declared == Declaration(
        media="application/vnd.gateway.tensor",
        dtype="FP16",
        shape=(1, 224, 224, 3),
        layout="NHWC",
        scale=0.0078125,
        zero_point=-128,
        encoding="gzip",
        name="input_1",
    )


def test_sound_takes_rate_and_channels_from_its_content_type_or_its_properties() -> None:
    assert said(content_type="audio/L16; rate=16000; channels=2") == Declaration(
        media="audio/l16", rate_hz=16_000, channels=2
    )
    assert said(("rate", "8000.5"), ("channels", "1")) == Declaration(rate_hz=8000.5)


def test_gzip_as_content_type_is_a_wrapping_of_what_the_stream_declares() -> None:
    message = read_message(Declaration(media="application/json"), "application/gzip", ())
    assert message.declared == Declaration(media="application/json", encoding="gzip")


@pytest.mark.parametrize(
    "content_type", ["application/octet-stream", "text/plain; charset=utf-8", "TEXT/PLAIN"]
)
def test_content_types_that_clients_set_without_a_thought_change_nothing(content_type: str) -> None:
    assert read_message(CAMERA, content_type, ()).declared == CAMERA


def test_plain_text_counts_where_nothing_else_is_declared() -> None:
    assert said(content_type="text/plain").media == "text/plain"


def test_a_message_wins_over_its_stream() -> None:
    assert read_message(CAMERA, "image/png", [("encoding", "")]).declared == Declaration(media="image/png")


def test_a_frame_is_identified() -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    got = facts(
        ("id", "01JB3"),
        ("seq", "7"),
        ("ts", "1700000000123"),
        ("ttl_ms", "250"),
        ("src", "door"),
        ("traceparent", trace),
    )
    assert got == FrameFacts("01JB3", 7, 1_700_000_000_123, 250, "door", trace)


def test_cloudevents_names_are_understood() -> None:
    got = facts(
        ("specversion", "1.0"),
        ("type", "frame"),
        ("id", "a"),
        ("source", "/door"),
        ("time", "2023-11-14T22:13:20Z"),
    )
    assert got == FrameFacts(id="a", source="/door", time_ms=1_700_000_000_000)


@pytest.mark.parametrize(
    ("text", "time_ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2023-11-14t22:13:20.5z", 1_700_000_000_500),
        ("2023-11-15 00:13:20.123456789+02:00", 1_700_000_000_123.456789),
        ("2023-11-14T17:43:20-04:30", 1_700_000_000_000),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ("1700000000123.25", 1_700_000_000_123.25),
        ("1.7e12", 1_700_000_000_000),
    ],
)
def test_times_are_unix_milliseconds_or_rfc_3339(text: str, time_ms: float) -> None:
    assert facts(("ts", text)).time_ms == pytest.approx(time_ms, abs=1e-3)


@given(st.integers(0, 253_402_300_799_999))
def test_every_time_that_python_writes_is_read(time_ms: int) -> None:
    moment = dt.datetime.fromtimestamp(time_ms / 1000, tz=dt.timezone.utc)
    assert facts(("ts", moment.isoformat())).time_ms == pytest.approx(moment.timestamp() * 1000, abs=0.1)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("dtype", ""),
        ("dtype", "float 32"),
        ("shape", ""),
        ("shape", "a,b"),
        ("shape", "0,3"),
        ("shape", "-1,-1"),
        ("shape", "-2"),
        ("shape", "1,1,1,1,1,1,1,1,1"),
        ("shape", "99999999999"),
        ("layout", "nhwc"),
        ("scale", "0"),
        ("scale", "nan"),
        ("scale", "-1"),
        ("zero", "1.5"),
        ("zero", "99999999999"),
        ("name", "two words"),
        ("rate", "inf"),
        ("channels", "65"),
        ("id", ""),
        ("id", "x" * 129),
        ("id", "new\nline"),
        ("seq", "-1"),
        ("seq", "18446744073709551616"),
        ("seq", "\u0661"),
        ("ts", "yesterday"),
        ("ts", "-5"),
        ("ts", "1e99"),
        ("ts", "2023-02-30T00:00:00Z"),
        ("ts", "2023-11-14T22:13:20"),
        ("ttl_ms", "0"),
        ("ttl_ms", "1e3"),
        ("ttl_ms", "99999999999"),
    ],
)
def test_a_property_that_cannot_be_read_refuses_the_frame_by_its_name(key: str, text: str) -> None:
    with pytest.raises(Malformed, match=f"user property {key} "):
        said((key, text))


@pytest.mark.parametrize("content_type", ["image", "image/", "/jpeg", "a b/c", "image/jpeg/x", ";"])
def test_a_content_type_that_is_none_refuses_the_frame(content_type: str) -> None:
    with pytest.raises(Malformed):
        said(content_type=content_type)


def test_an_encoding_that_is_not_supported_is_named() -> None:
    with pytest.raises(UnknownMedia, match="zstd"):
        said(("encoding", "zstd"))


@pytest.mark.parametrize(
    "text",
    ["", "00-0-0-0", "ff-" + "a" * 32 + "-" + "b" * 16 + "-01", "00-" + "0" * 32 + "-" + "b" * 16 + "-01"],
)
def test_a_broken_trace_context_is_passed_over(text: str) -> None:
    assert facts(("traceparent", text), ("seq", "1")) == FrameFacts(seq=1)


def test_of_a_repeated_property_the_last_counts_and_unknown_ones_do_not() -> None:
    assert facts(("seq", "1"), ("mood", "good"), ("seq", "2")) == FrameFacts(seq=2)


def test_a_flood_of_properties_is_too_large() -> None:
    with pytest.raises(TooLarge):
        facts(*[("x", "y")] * (MAX_PROPERTIES + 1))


KEYS = (
    "dtype", "shape", "layout", "scale", "zero", "encoding", "name", "rate", "channels",
    "id", "seq", "ts", "time", "ttl_ms", "src", "source", "traceparent", "other",
)  # fmt: skip
texts = st.text(max_size=12) | st.text(alphabet="0123456789-:.TZe+, []", max_size=30)


@given(st.none() | texts, st.lists(st.tuples(st.sampled_from(KEYS), texts), max_size=5))
@example(None, [("ts", "9999-12-31T23:59:59-23:59")])
@example(None, [("ts", "1970-01-01T00:00:00+00:01")])
@settings(max_examples=200)
def test_any_message_gives_a_declaration_or_a_typed_error(
    content_type: str | None, properties: list[tuple[str, str]]
) -> None:
    try:
        message = read_message(CAMERA, content_type, properties)
    except RequestRefused:
        return
    assert Declaration.from_json(message.declared.to_json()) == message.declared
