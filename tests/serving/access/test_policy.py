"""Who is who: programs of this machine, tokens, certificates, everybody; pages and proxies are none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.configuration.secret import Secret
from gateway.configuration.serving_settings import AccessSettings, TokenSettings
from gateway.errors import AccessRefused, Forbidden, Unauthenticated
from gateway.serving.access.caller import ADMIN, INFER, READ, Caller
from gateway.serving.access.credentials import Token, digest_of
from gateway.serving.access.peer import Peer
from gateway.serving.access.policy import Policy, allow, identify, policy_of

USE = frozenset({INFER, READ})
ALL = frozenset({INFER, READ, ADMIN})
LOOPBACK = Peer("127.0.0.1", is_local=True, host="127.0.0.1:8080")
UNIX = Peer(is_local=True, uid=1000)
OUTSIDE = Peer("192.0.2.7", host="orin:8080")
OPS = Token("ops", digest_of("0123456789abcdef"), ALL)
EYES = Token("eyes", digest_of("fedcba9876543210"), frozenset({READ}))

CLOSED = Policy()
WITH_TOKENS = Policy(tokens=(OPS, EYES))
WITH_CERTIFICATES = Policy(takes_certificates=True, is_exposed=True)
OPEN = Policy(is_open=True, is_exposed=True)


def refused(policy: Policy, peer: Peer) -> tuple[type[AccessRefused], object]:
    with pytest.raises(AccessRefused) as error:
        identify(policy, peer)
    return type(error.value), error.value.attributes["reason"]


def test_programs_of_this_machine_may_do_everything_while_nobody_has_credentials() -> None:
    assert identify(CLOSED, LOOPBACK) == Caller("127.0.0.1", ALL, is_local=True)
    assert identify(CLOSED, UNIX) == Caller("uid:1000", ALL, is_local=True)


@pytest.mark.parametrize("policy", [WITH_TOKENS, WITH_CERTIFICATES, OPEN])
def test_then_administration_over_loopback_wants_credentials_and_a_unix_socket_does_not(
    policy: Policy,
) -> None:
    assert identify(policy, LOOPBACK).scopes == USE
    assert identify(policy, LOOPBACK._replace(address="::1")).scopes == USE
    assert identify(policy, UNIX).scopes == ALL


def test_other_machines_are_strangers() -> None:
    assert refused(CLOSED, OUTSIDE) == (Forbidden, "not_local")
    assert refused(WITH_TOKENS, OUTSIDE) == (Unauthenticated, "no_credentials")
    assert refused(WITH_CERTIFICATES, OUTSIDE) == (Unauthenticated, "no_credentials")


def test_who_shows_a_token_is_what_it_says_even_on_this_machine() -> None:
    assert identify(WITH_TOKENS, OUTSIDE, OPS) == Caller("token:ops", ALL, is_local=False)
    assert identify(WITH_TOKENS, LOOPBACK, EYES) == Caller("token:eyes", frozenset({READ}), is_local=True)
    assert identify(WITH_TOKENS, UNIX, EYES) == Caller("token:eyes", frozenset({READ}), is_local=True)


def test_a_certificate_allows_what_is_configured_and_adds_to_a_token() -> None:
    shown = OUTSIDE._replace(certificate=("camera-7", "CN=camera-7"), is_encrypted=True)
    assert identify(WITH_CERTIFICATES, shown) == Caller("certificate:camera-7", USE, is_local=False)
    both = replace(WITH_CERTIFICATES, tokens=(EYES,), certificate_scopes=frozenset({INFER}))
    assert identify(both, shown, EYES) == Caller("token:eyes", USE, is_local=False)


def test_a_certificate_that_nobody_asked_for_is_nothing() -> None:
    assert refused(CLOSED, OUTSIDE._replace(certificate=("camera-7",))) == (Forbidden, "not_local")


def test_an_open_gateway_serves_everybody_but_lets_nobody_administer() -> None:
    assert identify(OPEN, OUTSIDE) == Caller("192.0.2.7", USE, is_local=False)
    with pytest.raises(Forbidden, match="scope admin"):
        allow(identify(OPEN, OUTSIDE), OUTSIDE, ADMIN)


@pytest.mark.parametrize(
    ("host", "origin", "reason"),
    [
        ("evil.example:8080", "", "host"),
        ("evil.example:8080", "http://evil.example:8080", "host"),
        ("127.0.0.1:8080", "https://evil.example", "page"),
        ("127.0.0.1:8080", "null", "page"),
        ("localhost:8080", "http://localhost:3000", "page"),
        ("", "https://evil.example", "page"),
    ],
)
def test_a_page_in_a_browser_of_this_machine_borrows_no_trust(host: str, origin: str, reason: str) -> None:
    """The first two are DNS rebinding, the others requests across sites."""
    for policy in (CLOSED, WITH_TOKENS):
        assert refused(policy, LOOPBACK._replace(host=host, origin=origin)) == (Forbidden, reason)
    shown = identify(WITH_TOKENS, LOOPBACK._replace(host=host, origin=origin), OPS)
    assert shown.name == "token:ops"


def test_a_page_reaches_no_open_gateway_and_uses_no_certificate_across_sites() -> None:
    page = OUTSIDE._replace(origin="https://evil.example", is_encrypted=True)
    assert refused(OPEN, page) == (Forbidden, "page")
    assert refused(WITH_CERTIFICATES, page._replace(certificate=("ops",))) == (Forbidden, "page")


def test_our_own_pages_are_programs_of_this_machine() -> None:
    for host in ("127.0.0.1:8080", "localhost:8080", "[::1]:8080", "orin:8080", "orin.local:8080"):
        own = LOOPBACK._replace(host=host, origin=f"http://{host}")
        policy = replace(CLOSED, own_names=frozenset({"orin", "orin.local"}))
        assert identify(policy, own).scopes == ALL


@pytest.mark.parametrize("peer", [LOOPBACK, UNIX])
def test_who_comes_through_a_proxy_is_no_program_of_this_machine(peer: Peer) -> None:
    through = peer._replace(is_forwarded=True)
    assert refused(CLOSED, through) == (Forbidden, "not_local")
    assert refused(WITH_TOKENS, through) == (Unauthenticated, "no_credentials")
    assert identify(OPEN, through) == Caller("proxy", USE, is_local=False)
    assert identify(WITH_TOKENS, through, OPS) == Caller("token:ops", ALL, is_local=False)


def test_administration_from_another_machine_needs_an_encrypted_connection() -> None:
    caller = identify(WITH_TOKENS, OUTSIDE, OPS)
    with pytest.raises(Forbidden) as error:
        allow(caller, OUTSIDE, ADMIN)
    assert error.value.attributes["reason"] == "clear_text"
    allow(caller, OUTSIDE, INFER)
    allow(caller, OUTSIDE._replace(is_encrypted=True), ADMIN)
    allow(identify(WITH_TOKENS, LOOPBACK, OPS), LOOPBACK, ADMIN)


def test_a_missing_scope_is_named_with_those_that_are_there() -> None:
    with pytest.raises(Forbidden, match="token:eyes may do this only with the scope infer; it has read"):
        allow(identify(WITH_TOKENS, UNIX, EYES), UNIX, INFER)


def test_a_policy_is_made_of_the_configuration() -> None:
    access = AccessSettings(
        tokens=(TokenSettings("ops", Secret("0123456789abcdef"), ("infer", "read", "admin")),)
    )
    made = policy_of(
        access, takes_certificates=False, is_exposed=True, host_names=["Orin", "", "orin.example"]
    )
    assert made.tokens == (OPS,)
    assert made.own_names == {"orin", "orin.local", "orin.example"}
    assert (made.is_exposed, made.is_open, made.has_credentials) == (True, False, True)
    assert not policy_of(AccessSettings(), takes_certificates=False, is_exposed=False).has_credentials


PEERS = st.builds(
    Peer,
    address=st.sampled_from(["", "127.0.0.1", "::1", "192.0.2.7", "2001:db8::1"]),
    is_local=st.booleans(),
    certificate=st.sampled_from([(), ("camera-7",)]),
    uid=st.sampled_from([None, 0, 1000]),
    is_encrypted=st.booleans(),
    is_forwarded=st.booleans(),
    host=st.sampled_from(["", "localhost", "127.0.0.1:8080", "evil.example"]),
    origin=st.sampled_from(["", "null", "http://localhost", "http://evil.example"]),
).map(lambda peer: peer._replace(is_local=peer.address in {"", "127.0.0.1", "::1"}))
POLICIES = st.builds(
    Policy,
    tokens=st.sampled_from([(), (EYES,), (OPS, EYES)]),
    takes_certificates=st.booleans(),
    is_open=st.booleans(),
    is_exposed=st.booleans(),
)


@given(POLICIES, PEERS, st.sampled_from([None, OPS, EYES]))
def test_nobody_administers_without_credentials_unless_it_is_a_program_of_this_machine(
    policy: Policy, peer: Peer, token: Token | None
) -> None:
    try:
        caller = identify(policy, peer, token)
        allow(caller, peer, ADMIN)
    except AccessRefused:
        return
    if peer.is_local:
        program = (
            not peer.is_forwarded
            and peer.host != "evil.example"
            and peer.origin in {"", f"http://{peer.host}"}
        )
        assert token is OPS or not peer.address or (program and not policy.is_exposed)
    else:
        assert token is OPS
        assert peer.is_encrypted


@given(POLICIES, PEERS)
def test_shared_memory_is_for_programs_of_this_machine(policy: Policy, peer: Peer) -> None:
    try:
        caller = identify(policy, peer)
    except AccessRefused:
        return
    assert not caller.is_local or (peer.is_local and not peer.is_forwarded)
