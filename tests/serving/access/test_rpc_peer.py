"""A peer of gRPC is read out of the strings and bytes that its server gives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.serving.access.peer import Peer
from gateway.serving.access.rpc_peer import rpc_peer


@pytest.mark.parametrize(
    ("text", "address", "is_local"),
    [
        ("ipv4:127.0.0.1:50123", "127.0.0.1", True),
        ("ipv6:[::1]:50123", "::1", True),
        ("ipv6:%5B::1%5D:50123", "::1", True),
        ("ipv6:%5B::ffff:127.0.0.1%5D:50123", "127.0.0.1", True),
        ("ipv6:%5Bfe80::1%25eth0%5D:50123", "fe80::1", False),
        ("ipv4:192.0.2.7:50123", "192.0.2.7", False),
        ("unix:", "", True),
        ("unix:/run/client.sock", "", True),
        ("unix-abstract:client", "", True),
    ],
)
def test_where_a_call_comes_from_is_read(text: str, address: str, is_local: bool) -> None:
    assert rpc_peer(text, [], {}) == Peer(address, is_local=is_local)


@pytest.mark.parametrize("text", ["", "ipv4:", "vsock:1:2", "127.0.0.1:1", "ipv4:127.0.0.1.evil:1"])
def test_what_cannot_be_read_is_not_local(text: str) -> None:
    assert not rpc_peer(text, [], {}).is_local


def test_metadata_holds_the_token_and_tells_of_proxies() -> None:
    peer = rpc_peer("ipv4:127.0.0.1:1", [("authorization", "Bearer abc"), ("x-forwarded-for", "::1")], {})
    assert (peer.authorization, peer.is_forwarded) == ("Bearer abc", True)
    twice: list[tuple[str, str | bytes]] = [("authorization", "Bearer a"), ("authorization", b"Bearer b")]
    assert rpc_peer("ipv4:127.0.0.1:1", twice, {}).authorization == "Bearer a, Bearer b"


def test_a_certificate_is_that_of_the_encrypted_connection() -> None:
    context = {
        "transport_security_type": [b"ssl"],
        "x509_common_name": [b"camera-7"],
        "x509_subject_alternative_name": [b"camera-7.example", b"camera-7"],
    }
    peer = rpc_peer("ipv4:192.0.2.7:1", [], context)
    assert (peer.is_encrypted, peer.certificate) == (True, ("camera-7.example", "camera-7"))
    clear = rpc_peer("ipv4:192.0.2.7:1", [], {**context, "transport_security_type": [b"insecure"]})
    assert (clear.is_encrypted, clear.certificate) == (False, ())


@given(st.text(max_size=80))
def test_any_text_gives_a_peer_and_only_loopback_and_unix_are_local(text: str) -> None:
    peer = rpc_peer(text, [], {})
    assert not peer.is_local or peer.address.startswith(("127.", "::1")) or text.startswith("unix")
