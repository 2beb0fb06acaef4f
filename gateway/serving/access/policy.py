"""Who a peer is and what it may do. Pure.

Programs of this machine are trusted: over a Unix socket with everything (the file's mode says
who reaches it), over loopback with inference and status, and with administration as long as
nobody has credentials and no door is open to others. Whoever shows credentials is what these
say, and nothing more. Trust that comes without credentials can be borrowed by a page in a
browser of this machine or by a proxy on it, so it is refused to both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.configuration.serving_settings import SCOPES, AccessSettings
from gateway.errors import Forbidden, Unauthenticated
from gateway.serving.access.caller import ADMIN, INFER, READ, Caller
from gateway.serving.access.credentials import Token, digest_of
from gateway.serving.access.networks import is_own_page, names_this_machine
from gateway.serving.access.peer import Peer, place_of

_USE = frozenset({INFER, READ})
_EVERYTHING = frozenset(SCOPES)


@dataclass(frozen=True, slots=True)
class Policy:
    """What was configured.

    Attributes:
        tokens: Tokens that are known.
        certificate_scopes: What a client certificate allows.
        takes_certificates: Clients are asked for certificates.
        is_open: Everybody may infer and read.
        is_exposed: A door listens where other machines reach it.
        own_names: Names of this machine, in small letters.
    """

    tokens: tuple[Token, ...] = ()
    certificate_scopes: frozenset[str] = _USE
    takes_certificates: bool = False
    is_open: bool = False
    is_exposed: bool = False
    own_names: frozenset[str] = frozenset()

    @property
    def has_credentials(self) -> bool:
        """Whether anybody has credentials."""
        return bool(self.tokens) or self.takes_certificates


def policy_of(
    access: AccessSettings, *, takes_certificates: bool, is_exposed: bool, host_names: Iterable[str] = ()
) -> Policy:
    """Return the policy that a configuration means.

    Args:
        access: What is configured.
        takes_certificates: Clients are asked for certificates.
        is_exposed: A door listens where other machines reach it.
        host_names: Names of this machine, as its programs may use them.
    """
    names = {name.lower() for name in host_names if name}
    return Policy(
        tokens=tuple(
            Token(each.name, digest_of(each.token.value), frozenset(each.scopes)) for each in access.tokens
        ),
        certificate_scopes=frozenset(access.certificate_scopes),
        takes_certificates=takes_certificates,
        is_open=access.open_to_everybody,
        is_exposed=is_exposed,
        own_names=frozenset({*names, *(f"{name}.local" for name in names if "." not in name)}),
    )


def identify(policy: Policy, peer: Peer, token: Token | None = None) -> Caller:
    """Return who a peer is.

    Args:
        policy: What was configured.
        peer: Who asks.
        token: What it showed, if that is known here; who shows a wrong one does not get this far.

    Raises:
        Unauthenticated: It shows no credentials and needs some.
        Forbidden: Only programs of this machine are served, or a page or proxy asks in its place.
    """
    is_local = peer.is_local and not peer.is_forwarded
    certificate = peer.certificate if policy.takes_certificates else ()
    if token is not None:
        extra = policy.certificate_scopes if certificate else frozenset()
        return Caller(f"token:{token.name}", token.scopes | extra, is_local)
    if certificate:
        _refuse_foreign_page(peer)
        return Caller(f"certificate:{certificate[0]}", policy.certificate_scopes, is_local)
    if is_local and _is_program(policy, peer):
        return Caller(place_of(peer), _local_scopes(policy, peer), is_local=True)
    if policy.is_open:
        _refuse_foreign_page(peer)
        return Caller("proxy" if peer.is_local else place_of(peer), _USE, is_local=False)
    raise _stranger(policy, peer)


def allow(caller: Caller, peer: Peer, need: str) -> None:
    """Check that a caller may do what it asks for.

    Raises:
        Forbidden: It may not, or not over this connection.
    """
    if need not in caller.scopes:
        has = ", ".join(scope for scope in SCOPES if scope in caller.scopes) or "nothing"
        what = f"{caller.name} may do this only with the scope {need}; it has {has}"
        raise Forbidden(what, reason="scope", need=need)
    if need == ADMIN and not (peer.is_local or peer.is_encrypted):
        what = "administration from another machine needs TLS: set serving.tls, or come from this machine"
        raise Forbidden(what, reason="clear_text", need=need)


def _is_program(policy: Policy, peer: Peer) -> bool:
    """Return whether a local peer is a program and no page of a browser; browsers open no Unix sockets."""
    if not peer.address:
        return True
    return names_this_machine(peer.host, policy.own_names) and is_own_page(peer.origin, peer.host)


def _local_scopes(policy: Policy, peer: Peer) -> frozenset[str]:
    if not peer.address or not (policy.has_credentials or policy.is_exposed):
        return _EVERYTHING
    return _USE


def _refuse_foreign_page(peer: Peer) -> None:
    # A browser shows its user's certificate, and reaches its user's network, for any page that asks.
    if not is_own_page(peer.origin, peer.host):
        raise Forbidden(f"a page of {_shown(peer.origin)} asks, which is not of this gateway", reason="page")


def _stranger(policy: Policy, peer: Peer) -> Unauthenticated | Forbidden:
    if peer.is_local and not peer.is_forwarded:
        if not names_this_machine(peer.host, policy.own_names):
            what = (
                f"{_shown(peer.host)} is no name of this machine, so a page of a browser may be asking; "
                "use localhost, an IP address, or a token"
            )
            return Forbidden(what, reason="host")
        what = f"a page of {_shown(peer.origin)} asks, which is not of this gateway; programs use a token"
        return Forbidden(what, reason="page")
    if policy.has_credentials:
        how = "a bearer token" if policy.tokens else "a client certificate"
        return Unauthenticated(f"this gateway wants {how}", reason="no_credentials")
    who = "a proxy asks for somebody else, and" if peer.is_forwarded else "this address is another machine's:"
    what = f"{who} only programs of this machine are served; give it a token in serving.access.tokens"
    return Forbidden(what, reason="not_local")


def _shown(text: str) -> str:
    return repr(text[:80])
