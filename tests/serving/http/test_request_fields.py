"""Fields of HTTP/2 requests: the authority is the host, and there are not too many."""

from __future__ import annotations

import pytest

from gateway.errors import Malformed, NotSupported
from gateway.serving.http.request_fields import request_fields

PSEUDO = [(b":method", b"GET"), (b":path", b"/a?b"), (b":scheme", b"https"), (b":authority", b"x:1")]


def test_the_authority_is_the_host() -> None:
    fields = [*PSEUDO, (b"host", b"y"), (b"a", b"b")]
    assert request_fields(fields, 9) == ("GET", b"/a?b", [(b"host", b"x:1"), (b"a", b"b")])


def test_a_host_without_an_authority_stays() -> None:
    assert request_fields([*PSEUDO[:3], (b"host", b"y")], 9)[2] == [(b"host", b"y")]


def test_too_many_are_refused() -> None:
    with pytest.raises(Malformed):
        request_fields([*PSEUDO, *[(b"a", b"b")] * 10], 9)


def test_a_tunnel_is_refused() -> None:
    with pytest.raises(NotSupported):
        request_fields([(b":method", b"CONNECT"), (b":authority", b"x:1")], 9)


def test_an_authority_with_a_user_is_refused() -> None:
    with pytest.raises(Malformed):
        request_fields([*PSEUDO[:3], (b":authority", b"y@x")], 9)


def test_an_expectation_that_nobody_knows_is_refused() -> None:
    with pytest.raises(NotSupported) as refused:
        request_fields([*PSEUDO, (b"expect", b"tea")], 9)
    assert refused.value.attributes == {"expected": "tea"}
    assert request_fields([*PSEUDO, (b"expect", b"100-Continue")], 9)[0] == "GET"
