"""ASGI's scope: the path is decoded once, whole URLs are understood, nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Malformed
from gateway.serving.http.scope import Ends, build_scope

ENDS = Ends(("1.2.3.4", 5), ("6.7.8.9", 10), "http", {"gateway.local": {}})


@pytest.mark.parametrize(
    ("target", "path", "raw", "query"),
    [
        (b"/", "/", b"/", b""),
        (b"/a%20b?c=%20", "/a b", b"/a%20b", b"c=%20"),
        (b"/a%2Fb", "/a/b", b"/a%2Fb", b""),
        (b"/a?b?c", "/a", b"/a", b"b?c"),
        (b"/a#b", "/a", b"/a", b""),
        (b"//a/b", "//a/b", b"//a/b", b""),
        (b"http://x", "/", b"/", b""),
        (b"HTTP://x:80/a?b", "/a", b"/a", b"b"),
        (b"https://x?b/c", "/", b"/", b"b/c"),
    ],
)
def test_a_target_gives_path_and_query(target: bytes, path: str, raw: bytes, query: bytes) -> None:
    scope = build_scope(ENDS, "1.1", "GET", target, [])
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == (path, raw, query)


@pytest.mark.parametrize(
    "target",
    [b"", b"a", b"*", b"ftp://x/", b"x:80", b"http:///a", b"http://:80/", b"http://x@y/", b"http://?a"],
)
def test_what_is_no_path_is_refused(target: bytes) -> None:
    with pytest.raises(Malformed):
        build_scope(ENDS, "1.1", "GET", target, [])


def test_the_host_of_a_url_takes_the_place_of_the_header() -> None:
    headers = [(b"a", b"b"), (b"host", b"y")]
    assert build_scope(ENDS, "1.1", "GET", b"/", headers)["headers"] == headers
    scope = build_scope(ENDS, "1.1", "GET", b"http://x:80/c", headers)
    assert scope["headers"] == [(b"host", b"x:80"), (b"a", b"b")]


def test_options_may_ask_for_everything() -> None:
    assert build_scope(ENDS, "1.1", "OPTIONS", b"*", [])["path"] == "*"


def test_what_an_application_writes_into_a_scope_the_next_does_not_see() -> None:
    first = build_scope(ENDS, "2", "GET", b"/", [])
    first["extensions"]["gateway.mine"] = {}
    assert build_scope(ENDS, "2", "GET", b"/", [])["extensions"] == {"gateway.local": {}}


@given(st.binary(max_size=60))
def test_any_target_gives_a_scope_or_an_error(target: bytes) -> None:
    try:
        build_scope(ENDS, "1.1", "GET", b"/" + target, [])
        build_scope(ENDS, "1.1", "GET", target, [])
    except Malformed:
        pass
