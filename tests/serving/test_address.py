"""Any text is an address or one clear refusal."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.serving.address import Descriptor, HostPort, UnixPath, format_address, is_open, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", HostPort("127.0.0.1", 8080)),
        ("localhost:0", HostPort("localhost", 0)),
        (":9000", HostPort("", 9000)),
        ("[::1]:65535", HostPort("::1", 65535)),
        ("fd://3", Descriptor(3)),
        ("unix:/run/gateway/door", UnixPath("/run/gateway/door")),
        ("unix:/" + "x" * 106, UnixPath("/" + "x" * 106)),
    ],
)
def test_the_documented_forms_are_read(text: str, address: HostPort | Descriptor) -> None:
    assert parse_address(text) == address


@given(text=st.text(max_size=30) | st.from_regex(r"unix:/?.*") | st.from_regex(r"\[?[a-f0-9:.]*\]?:[0-9]*"))
@example("127.0.0.1:65536")
@example("127.0.0.1")
@example("fd://")
@example("::1:80")
@example("unix:")
@example("unix:relative")
@example("unix:/folder/")
@example("unix:/a\0b")
@example("host:\u0663")
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        address = parse_address(text)
    except ValueError as error:
        assert "HOST:PORT" in str(error) or "too long" in str(error)
        return
    if isinstance(address, UnixPath):
        assert text == f"unix:{address.path}"
        assert address.path.startswith("/")
        assert "\0" not in address.path
    if isinstance(address, HostPort):
        assert 0 <= address.port <= 65_535
        assert parse_address(format_address(address.host, address.port)) == address


def test_a_path_that_no_socket_can_have_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 107 bytes"):
        parse_address("unix:/" + "\u00e4" * 54)


@pytest.mark.parametrize(
    ("text", "others_reach_it"),
    [
        *(("127.0.0.1:1", False), ("127.9.9.9:1", False), ("[::1]:1", False), ("LocalHost:1", False)),
        *(("[::ffff:127.0.0.1]:1", False), ("unix:/run/door", False), ("fd://3", False)),
        *((":1", True), ("0.0.0.0:1", True), ("[::]:1", True), ("192.0.2.7:1", True), ("orin:1", True)),
    ],
)
def test_an_address_that_others_may_reach_is_open(text: str, *, others_reach_it: bool) -> None:
    assert is_open(parse_address(text)) == others_reach_it
