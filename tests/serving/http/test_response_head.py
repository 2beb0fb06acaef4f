"""Heads of HTTP/1.1 responses: the end of a body is always known, and nothing can be slipped in."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayBug
from gateway.serving.http.response_head import Framing, Head, response_head

DATE = b"Thu, 01 Jan 1970 00:00:00 GMT"


def head(status: int = 200, *headers: tuple[bytes, bytes], method: str = "GET", version: str = "1.1") -> Head:
    return response_head(status, headers, DATE, wants=(method, version), closes=False)


@pytest.mark.parametrize(
    ("made", "framing", "closes"),
    [
        (head(200, (b"content-length", b"5")), Framing.LENGTH, False),
        (head(200), Framing.CHUNKED, False),
        (head(200, version="1.0"), Framing.CLOSE, True),
        (head(200, (b"content-length", b"5"), version="1.0"), Framing.LENGTH, False),
        (head(204), Framing.NONE, False),
        (head(200, (b"Content-Length", b"5"), method="HEAD"), Framing.NONE, False),
        (head(200, (b"content-length", b"5"), (b"connection", b"close")), Framing.LENGTH, True),
    ],
)
def test_the_end_of_the_body_is_known(made: Head, framing: Framing, closes: bool) -> None:
    assert (made.framing, made.closes) == (framing, closes)
    assert (b"connection: close" in made.data) == closes


def test_an_answer_without_a_body_names_no_length_and_head_names_the_one_of_get() -> None:
    assert b"content-length" not in head(204, (b"content-length", b"0")).data
    assert b"content-length: 5" in head(200, (b"content-length", b"5"), method="HEAD").data


def test_an_application_cannot_frame_its_body_by_itself() -> None:
    data = head(200, (b"transfer-encoding", b"gzip"), (b"content-length", b"5"), (b"upgrade", b"x")).data
    assert b"transfer-encoding" not in data
    assert b"upgrade" not in data


@pytest.mark.parametrize(
    "header",
    [
        (b"a", b"b\r\nset-cookie: c"),
        (b"a\r\nb", b"c"),
        (b"a", b"b\n"),
        (b"a", b"\rb"),
        (b"a", b"\0"),
        (b"content-length", b"-1"),
        (b"content-length", b"x"),
    ],
)
def test_headers_that_would_be_read_as_something_else_are_refused(header: tuple[bytes, bytes]) -> None:
    with pytest.raises(GatewayBug):
        head(200, header)


@pytest.mark.parametrize("status", [99, 100, 101, 600])
def test_a_status_that_ends_nothing_is_refused(status: int) -> None:
    with pytest.raises(GatewayBug):
        head(status)


TEXT = st.text("abc-", min_size=1, max_size=8).map(str.encode)


@given(st.integers(200, 599), st.lists(st.tuples(TEXT, TEXT), max_size=5), st.sampled_from(("GET", "HEAD")))
def test_h11_reads_every_head(status: int, headers: list[tuple[bytes, bytes]], method: str) -> None:
    made = head(status, *headers, method=method)
    machine = h11.Connection(h11.CLIENT)
    machine.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    machine.send(h11.EndOfMessage())
    machine.receive_data(made.data)
    response = machine.next_event()
    assert isinstance(response, h11.Response)
    assert response.status_code == status
    assert set(headers) <= set(response.headers)
