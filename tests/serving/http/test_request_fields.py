"""Fields of HTTP/2 requests: well-formed or not, the authority is the host, and there are not too many."""

from __future__ import annotations

import random

import pytest
from h2.exceptions import ProtocolError
from h2.utilities import HeaderValidationFlags, validate_headers

from gateway.errors import Malformed, NotSupported, TooLarge
from gateway.serving.http.request_fields import (
    Headers,
    flaw_of_request,
    flaw_of_trailers,
    request_fields,
)

PSEUDO = [(b":method", b"GET"), (b":path", b"/a?b"), (b":scheme", b"https"), (b":authority", b"x:1")]


def test_the_authority_is_the_host() -> None:
    fields = [*PSEUDO, (b"host", b"y"), (b"a", b"b")]
    assert request_fields(fields, 9) == ("GET", b"/a?b", [(b"host", b"x:1"), (b"a", b"b")])


def test_a_host_without_an_authority_stays() -> None:
    assert request_fields([*PSEUDO[:3], (b"host", b"y")], 9)[2] == [(b"host", b"y")]


def test_too_many_are_refused() -> None:
    with pytest.raises(TooLarge):
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


@pytest.mark.parametrize("path", [b"a", b"http://x/a", b"?a"])
def test_a_target_that_is_no_path_is_refused(path: bytes) -> None:
    with pytest.raises(Malformed):
        request_fields([PSEUDO[0], (b":path", path), *PSEUDO[2:]], 9)


SOUND: tuple[Headers, ...] = (
    PSEUDO,
    [*PSEUDO, (b"a", b""), (b"a", b"b c\td"), (b"b", b"\xe4"), (b"te", b"Trailers")],
    [*PSEUDO, (b"host", b"x:1"), (b"content-length", b"3"), (b"cookie", b"a"), (b"cookie", b"b")],
    [*PSEUDO[:3], (b"host", b"y")],
    [(b":method", b"CONNECT"), (b":authority", b"x:1")],
    [(b":method", b"OPTIONS"), (b":path", b"*"), *PSEUDO[2:]],
)
NAMES = (
    b":path",
    b":status",
    b":a",
    b"",
    b":",
    b"A",
    b"a b",
    b"a:b",
    b"a\0",
    b"\xff",
    b"te",
    b"host",
    b"upgrade",
)
VALUES = (b"", b" ", b"a ", b"\ta", b"a\nb", b"a\rb", b"\0", b"x:1", b"CONNECT", b"trailers", b"close", b"3")


@pytest.mark.parametrize("fields", SOUND)
def test_sound_fields_have_no_flaw(fields: Headers) -> None:
    assert flaw_of_request(fields) == ""
    assert flaw_of_trailers([field for field in fields if not field[0].startswith(b":")]) == ""


def _spoiled(chance: random.Random) -> Headers:
    fields = list(chance.choice(SOUND))
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(fields))
        kind = chance.randrange(5)
        if kind == 0 and len(fields) > 1:
            del fields[at]
        elif kind == 1:
            fields.insert(chance.randrange(len(fields) + 1), fields[at])
        elif kind == 2:
            fields[at] = (chance.choice(NAMES), fields[at][1])
        elif kind == 3:
            fields[at] = (fields[at][0], chance.choice(VALUES))
        else:
            chance.shuffle(fields)
    return fields


def _is_sound_to_library(fields: Headers, *, are_trailers: bool) -> bool:
    flags = HeaderValidationFlags(
        is_client=False, is_trailer=are_trailers, is_response_header=False, is_push_promise=False
    )
    try:
        list(validate_headers(fields, flags))
    except (ProtocolError, IndexError):
        return False
    return True


def test_what_the_library_would_refuse_has_a_flaw() -> None:
    chance = random.Random(5)
    sound = 0
    for _ in range(20_000):
        fields = _spoiled(chance)
        for flaw_of, are_trailers in ((flaw_of_request, False), (flaw_of_trailers, True)):
            # Of a tunnel, which is not served, its versions think differently.
            if not flaw_of(fields) and (b":method", b"CONNECT") not in fields:
                sound += 1
                assert _is_sound_to_library(fields, are_trailers=are_trailers), fields
    assert 2000 < sound < 38_000
