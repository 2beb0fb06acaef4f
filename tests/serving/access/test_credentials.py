"""Tokens are read strictly, compared whole and in constant time, and kept as digests alone."""

from __future__ import annotations

import contextlib
import hmac
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Unauthenticated
from gateway.serving.access.credentials import Token, digest_of, find, is_sendable, presented

SECRETS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=64)


def token(name: str, secret: str) -> Token:
    return Token(name, digest_of(secret), frozenset({"infer"}))


@given(SECRETS, st.sampled_from(["Bearer ", "bearer ", "BEARER   "]))
def test_a_token_in_a_header_is_found_again(secret: str, scheme: str) -> None:
    known = (token("other", secret + "x"), token("ops", secret))
    found = find(presented(scheme + secret), known)
    assert found is not None
    assert found.name == "ops"
    assert is_sendable(secret)


@given(SECRETS, SECRETS)
def test_no_other_token_is(secret: str, other: str) -> None:
    found = find(presented(f"Bearer {other}"), (token("ops", secret),))
    assert (found is not None) == (secret == other)


@pytest.mark.parametrize(
    "header",
    [
        *("Bearer", "Bearer ", "Bearer two words", "Basic b3BzOnNlY3JldA==", "secret", " Bearer secret"),
        *("Bearer a, Bearer b", "Bearer secret\n", "Bearer sécret", "Bearer\tsecret", f"Bearer {'x' * 8193}"),
    ],
)
def test_a_header_that_holds_no_token_is_refused(header: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        presented(header)
    assert refused.value.attributes["reason"] == "no_bearer"
    assert "cret" not in refused.value.message


@given(st.text(max_size=100))
def test_any_header_gives_a_digest_or_that_error(header: str) -> None:
    with contextlib.suppress(Unauthenticated):
        assert len(presented(header)) == 32


def test_every_known_token_is_compared_in_constant_time_whichever_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[tuple[bytes, bytes]] = []
    constant_time = hmac.compare_digest

    def watched(first: bytes, second: bytes) -> bool:
        compared.append((first, second))
        return constant_time(first, second)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    known = tuple(token(name, name * 20) for name in "abc")
    for shown in ("a" * 20, "b" * 20, "c" * 20, "z", "a" * 19):
        compared.clear()
        find(digest_of(shown), known)
        assert compared == list(product([digest_of(shown)], [each.digest for each in known]))


def test_a_token_does_not_show_its_digest() -> None:
    shown = repr(token("ops", "0123456789abcdef"))
    assert "digest" not in shown
    assert "0123456789abcdef" not in shown
