"""Hosts and expectations: what is one, and what is none."""

from __future__ import annotations

import pytest

from gateway.errors import Malformed, NotSupported
from gateway.serving.http.field_checks import check_expectation, check_host

HOSTS = (
    b"",
    b"x",
    b"x:80",
    b"x:",
    b"a-b_c.d.",
    b"1.2.3.4:5",
    b"[::1]",
    b"[fe80::1%25eth0]:80",
    b"%2Frun%2Fsock",
)
NO_HOSTS = (
    b"x y",
    b"x/y",
    b"x@y",
    b"x:y",
    b"x:80:80",
    b"[::1",
    b"::1",
    b"x#y",
    b"x?y",
    b"x\\y",
    b"\xe4",
    b"x\t",
)


@pytest.mark.parametrize("value", HOSTS)
def test_names_and_addresses_are_hosts(value: bytes) -> None:
    check_host(value)


@pytest.mark.parametrize("value", NO_HOSTS)
def test_what_could_be_taken_for_another_host_is_none(value: bytes) -> None:
    with pytest.raises(Malformed):
        check_host(value)


@pytest.mark.parametrize("value", [b"", b"tea", b"100-continue, tea", b"100-continue;q=1", b"100"])
def test_no_expectation_but_one_is_met(value: bytes) -> None:
    with pytest.raises(NotSupported) as refused:
        check_expectation(value)
    assert refused.value.attributes == {"expected": value.decode()}


def test_a_client_may_expect_to_be_told_to_go_on() -> None:
    check_expectation(b"100-Continue")
