"""A peer is what the listener saw of the connection, whatever the headers claim."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.serving.access.http_peer import http_peer
from gateway.serving.access.peer import Peer


def scope(
    client: tuple[str, int] | None, *headers: tuple[bytes, bytes], **extensions: object
) -> dict[str, Any]:
    named = {name.replace("_", "."): value for name, value in extensions.items()}
    return {"type": "http", "client": client, "headers": list(headers), "extensions": named}


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_a_loopback_address_is_local_in_every_spelling(address: str) -> None:
    peer = http_peer(scope((address, 4711), (b"host", b"localhost")))
    assert peer.is_local
    assert peer.address == address.removeprefix("::ffff:")
    assert peer.host == "localhost"


def test_another_machine_is_not() -> None:
    assert http_peer(scope(("::ffff:192.0.2.7", 4711))) == Peer("192.0.2.7")


def test_a_unix_socket_has_no_address_and_perhaps_a_user() -> None:
    assert http_peer(scope(None, gateway_local={"uid": 1000})) == Peer(is_local=True, uid=1000)
    assert http_peer(scope(None, gateway_local={})) == Peer(is_local=True)
    assert http_peer(scope(("", 0), gateway_local=True)) == Peer(is_local=True)


def test_a_connection_of_which_nothing_is_known_is_not_local() -> None:
    assert http_peer({"type": "http", "headers": []}) == Peer()
    assert http_peer(scope(None, gateway_local=False)) == Peer()


def test_no_extension_makes_another_machine_local() -> None:
    assert not http_peer(scope(("192.0.2.7", 1), gateway_local={"uid": 0})).is_local
    assert http_peer(scope(("192.0.2.7", 1), gateway_local={"uid": 0})).uid is None


@pytest.mark.parametrize(
    "header", [b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"x-client-ip", b"via"]
)
def test_what_a_proxy_says_of_its_client_is_not_believed_but_noticed(header: bytes) -> None:
    peer = http_peer(scope(("192.0.2.7", 1), (header, b"127.0.0.1")))
    assert peer == Peer("192.0.2.7", is_forwarded=True)
    assert http_peer(scope(("127.0.0.1", 1), (header, b""))).is_forwarded


def test_a_header_that_comes_twice_counts_as_neither() -> None:
    twice = ((b"authorization", b"Bearer one"), (b"authorization", b"Bearer two"))
    assert http_peer(scope(("127.0.0.1", 1), *twice)).authorization == "Bearer one, Bearer two"


def test_a_certificate_speaks_only_if_it_was_verified() -> None:
    tls = {"tls_version": 0x0304, "client_cert_name": "CN=camera-7", "client_cert_error": None}
    peer = http_peer(scope(("192.0.2.7", 1), tls=tls))
    assert (peer.is_encrypted, peer.certificate) == (True, ("CN=camera-7",))
    named = {**tls, "client_cert_names": ["camera-7.example", "camera-7"]}
    assert http_peer(scope(("192.0.2.7", 1), tls=named)).certificate == ("camera-7.example", "camera-7")
    wrong = {**named, "client_cert_error": "expired"}
    assert http_peer(scope(("192.0.2.7", 1), tls=wrong)).certificate == ()


def test_tls_without_a_certificate_is_encrypted_and_anonymous() -> None:
    peer = http_peer(scope(("192.0.2.7", 1), tls={}))
    assert (peer.is_encrypted, peer.certificate) == (True, ())


@given(
    st.lists(st.tuples(st.sampled_from([b"host", b"origin", b"authorization", b"x"]), st.binary(max_size=50)))
)
def test_any_headers_give_a_peer(headers: list[tuple[bytes, bytes]]) -> None:
    peer = http_peer(scope(("192.0.2.7", 1), *headers))
    assert (peer.address, peer.is_local, peer.is_encrypted) == ("192.0.2.7", False, False)
