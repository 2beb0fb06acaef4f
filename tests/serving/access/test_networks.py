"""Addresses have one spelling, loopback is known in each, and no outside name passes for this machine."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.serving.access.networks import (
    client_of,
    is_loopback,
    is_own_page,
    names_this_machine,
    one_spelling,
)

OWN = frozenset({"orin", "orin.local"})


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.8.9.10", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::1%lo"],
)
def test_loopback_is_known_in_every_spelling(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "0.0.0.0",
        "::",
        "128.0.0.1",
        "::ffff:10.0.0.1",
        "fe80::1%eth0",
        "localhost",
        "127.0.0.1.evil",
        "127.1",
    ],
)
def test_nothing_else_is_loopback(address: str) -> None:
    assert not is_loopback(address)


def test_an_address_of_version_4_inside_version_6_is_the_one_of_version_4() -> None:
    assert one_spelling("::ffff:192.0.2.7") == "192.0.2.7"
    assert one_spelling("FE80::0:1%eth0") == "fe80::1"
    assert one_spelling("(none)") == "(none)"


def test_a_network_of_version_6_is_one_client_and_loopback_is_another() -> None:
    assert client_of("2001:db8:1:2::1") == client_of("2001:db8:1:2:ffff::9") == "2001:db8:1:2::/64"
    assert client_of("2001:db8:1:3::1") != client_of("2001:db8:1:2::1")
    assert client_of("::1") == "::1"
    assert client_of("192.0.2.7") == "192.0.2.7" != client_of("192.0.2.8")


@pytest.mark.parametrize(
    "host",
    [
        *("", "localhost", "LOCALHOST:8080", "localhost.", "gateway.localhost:1", "127.0.0.1:8080"),
        *("[::1]:8080", "[::1]", "192.168.1.5:8080", "orin", "Orin.local:8080", "board:8080", "app.internal"),
    ],
)
def test_names_that_no_page_can_make_its_own_are_taken(host: str) -> None:
    assert names_this_machine(host, OWN)


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example"),
        *("evil.local", "orin.evil.example", "user@localhost", "localhost, evil.example", "[::1", "[zz]"),
        *("localhost:8080:1", "127.0.0.1:port", " localhost", "localhost\n", "a" * 301, "[127.0.0.1]x"),
    ],
)
def test_names_that_somebody_else_can_lead_here_are_not(host: str) -> None:
    assert not names_this_machine(host, OWN)


def test_a_page_is_our_own_if_it_came_from_where_it_asks() -> None:
    assert is_own_page("", "127.0.0.1:8080")
    assert is_own_page("http://127.0.0.1:8080", "127.0.0.1:8080")
    assert is_own_page("https://Orin:8080", "orin:8080")


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("null", "127.0.0.1:8080"),
        ("http://evil.example", "127.0.0.1:8080"),
        ("http://127.0.0.1:3000", "127.0.0.1:8080"),
        ("http://127.0.0.1:8080, http://evil.example", "127.0.0.1:8080"),
        ("file://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://", ""),
    ],
)
def test_every_other_page_is_foreign(origin: str, host: str) -> None:
    assert not is_own_page(origin, host)


@given(st.ip_addresses())
def test_loopback_is_what_the_standard_says(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    assert is_loopback(str(address)) == (mapped or address).is_loopback
    assert one_spelling(one_spelling(str(address))) == one_spelling(str(address))


@given(st.text(max_size=400), st.text(max_size=400))
def test_any_text_gives_an_answer(first: str, second: str) -> None:
    one_spelling(first)
    client_of(first)
    assert names_this_machine(first, OWN) in {True, False}
    assert is_own_page(first, second) in {True, False}
