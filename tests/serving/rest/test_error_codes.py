"""The table of statuses: complete, and of the family that each error belongs to."""

from __future__ import annotations

import math

import pytest

from gateway import errors
from gateway.error_words import leaves
from gateway.serving.rest.error_codes import STATUSES, error_headers, status_of


def test_every_leaf_has_a_status_of_its_own() -> None:
    assert set(leaves()) - set(STATUSES) == set()


def test_what_the_client_did_is_4xx_and_what_it_did_not_is_5xx() -> None:
    for error, status in STATUSES.items():
        if issubclass(error, errors.RequestRefused):
            assert 400 <= status < 500, error
        if issubclass(error, errors.Unavailable):
            assert status in {429, 503}, error
        if issubclass(error, errors.DeadlineExceeded):
            assert status == 504


def test_an_error_that_is_not_listed_has_its_ancestors_status() -> None:
    class Newer(errors.WrongShape):
        """One that came later."""

    assert status_of(Newer("x")) == 400
    assert status_of(errors.GatewayError("x")) == 500


@pytest.mark.parametrize(
    ("wait_s", "said"), [(None, b"1"), (0.1, b"1"), (2.5, b"3"), (math.inf, b"1"), ("soon", b"1")]
)
def test_who_must_wait_is_told_how_long(wait_s: float | str | None, said: bytes) -> None:
    assert error_headers(errors.RateLimited("x", retry_after_s=wait_s)) == ((b"retry-after", said),)


def test_who_must_say_who_he_is_is_told_how() -> None:
    ((name, value),) = error_headers(errors.Unauthenticated("x"))
    assert name == b"www-authenticate"
    assert value.startswith(b"Bearer ")
    assert error_headers(errors.WrongShape("x")) == ()
