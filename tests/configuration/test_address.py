"""The broker's address."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.configuration.address import Address, BadAddress, broker_address


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://127.0.0.1", Address("127.0.0.1", 1883)),
        ("mqtt://broker:1884", Address("broker", 1884)),
        ("mqtts://broker.example.org.", Address("broker.example.org.", 8883, tls=True)),
        ("mqtts://[fd00::1]:8884/", Address("fd00::1", 8884, tls=True)),
        ("mqtt://home_assistant.local", Address("home_assistant.local", 1883)),
    ],
)
def test_a_broker_address_has_host_port_and_tls(url: str, address: Address) -> None:
    assert broker_address(url) == address


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "mqtt://HOST"),
        ("broker:1883", "mqtt://HOST"),
        ("tcp://broker", "mqtt://HOST"),
        ("mqtt://me:hush@broker", "keys of their own"),
        ("mqtt://broker/path", "nothing may follow"),
        ("mqtt://broker?x=1", "nothing may follow"),
        ("mqtt://", "host name"),
        ("mqtt://a b", "host name"),
        ("mqtt://-a", "host name"),
        ("mqtt://broker:0", "port 0"),
        ("mqtt://broker:65536", "not a broker address"),
        ("mqtt://[::1", "not a broker address"),
    ],
)
def test_what_is_no_broker_address_is_refused(url: str, words: str) -> None:
    with pytest.raises(BadAddress) as caught:
        broker_address(url)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [("127.9.9.9", True), ("::1", True), ("LocalHost", True), ("10.0.0.1", False), ("b", False)],
)
def test_only_this_machine_is_loopback(host: str, is_loopback: bool) -> None:
    assert Address(host, 1).is_loopback is is_loopback


@given(st.one_of(st.text(max_size=40), st.text(max_size=30).map(lambda rest: "mqtt://" + rest)))
def test_any_text_is_an_address_or_refused(url: str) -> None:
    with contextlib.suppress(BadAddress):
        address = broker_address(url)
        assert address.host
        assert 1 <= address.port <= 65_535
