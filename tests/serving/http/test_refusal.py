"""Refusals: JSON with one sentence and a label, and the status that fits."""

from __future__ import annotations

import json

import pytest

from gateway.errors import Malformed, NotSupported, RequestRefused, TooLarge, WrongShape
from gateway.serving.http.refusal import TOO_MANY_CONNECTIONS, phrase, refusal_of


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Malformed("m"), 400),
        (TooLarge("m"), 431),
        (NotSupported("m"), 501),
        (NotSupported("m", expected="tea"), 417),
        (WrongShape("m"), 400),
    ],
)
def test_an_error_is_told_with_the_fitting_status(error: RequestRefused, status: int) -> None:
    refusal = refusal_of(error)
    assert refusal.status == status
    assert json.loads(refusal.body()) == {"error": "m", "label": error.label}
    assert dict(refusal.headers())[b"content-length"] == str(len(refusal.body())).encode()
    assert dict(refusal.headers())[b"content-type"] == b"application/json"


def test_who_may_come_again_is_told_when() -> None:
    assert (b"retry-after", b"1") in TOO_MANY_CONNECTIONS.headers()


def test_a_status_without_words_has_none() -> None:
    assert (phrase(200), phrase(299)) == (b"OK", b"")
