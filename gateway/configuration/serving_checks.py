"""What the keys of the doors cannot know of each other: who reaches them, who may use them.

Pure: the files of TLS are looked at by ``tls_checks``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from gateway.configuration.checks import Finding
from gateway.configuration.nearest import nearest
from gateway.configuration.scalars import shown
from gateway.configuration.serving_settings import SCOPES, ServingSettings, TokenSettings
from gateway.configuration.settings import Settings
from gateway.serving.address import Descriptor, HostPort, UnixPath, is_open, parse_address

LEAST_TOKEN = 16
MOST_TOKEN = 4096
# What passes through headers of HTTP and metadata of gRPC unchanged.
_SENDABLE = re.compile(r"[\x21-\x7e]*")


def check_serving(settings: Settings) -> Iterator[Finding]:
    """Yield everything that is wrong or unwise about the doors for applications."""
    for one in _CHECKS:
        yield from one(settings)


def why_not_open(serving: ServingSettings) -> str:
    """Return why no door may listen where other machines reach it; empty if it may.

    The check of the configuration asks for addresses that it names; whoever takes over sockets
    that somebody else bound has to ask for those.
    """
    access = serving.access
    if not serving.enabled or access.open_to_everybody or access.tokens or serving.tls.client_ca_file:
        return ""
    return (
        "other machines reach this address and nobody is asked who they are: "
        "listen on 127.0.0.1 or unix:/PATH; "
        "or set serving.access.tokens (with serving.tls) or serving.tls.client_ca_file; "
        "or, for status alone, serving.enabled: false; "
        "or, if everybody may infer and read here, serving.access.open_to_everybody: true"
    )


def why_in_clear(serving: ServingSettings) -> str:
    """Return why tokens must not be shown at an address that other machines reach; empty if they may."""
    if not serving.enabled or not serving.access.tokens or serving.tls.certificate_file:
        return ""
    return (
        "whoever listens on the way to an address that other machines reach would read the tokens and use "
        "them: set serving.tls.certificate_file and serving.tls.key_file, or listen on 127.0.0.1"
    )


def _open_doors(settings: Settings) -> Iterator[Finding]:
    serving = settings.serving
    if not serving.enabled:
        return
    why = why_not_open(serving)
    doors = list(_doors(settings))
    exposed = [path for path, address in doors if address is not None and is_open(address)]
    if why:
        yield from (Finding(path, why) for path in exposed)
    clear = why_in_clear(serving)
    if exposed and clear:
        # Where everybody may infer anyhow, a token read in passing gives little: never administration.
        yield Finding("serving.access.tokens", clear, is_warning=serving.access.open_to_everybody)
    bound = [address for _, address in doors if isinstance(address, HostPort) and address.port]
    if len(bound) == 2 and bound[0] == bound[1]:
        yield Finding("serving.grpc.listen", "http.listen has this address already; use another port")


def _doors(settings: Settings) -> Iterator[tuple[str, HostPort | UnixPath | Descriptor | None]]:
    """Yield the path and the address of every door that is on; None for what is no address."""
    doors = (
        ("http.listen", settings.http.enabled, settings.http.listen),
        ("serving.grpc.listen", settings.serving.grpc.enabled, settings.serving.grpc.listen),
    )
    for path, is_on, listen in doors:
        if is_on:
            try:
                yield path, parse_address(listen)
            except ValueError:
                yield path, None


def _grpc_address(settings: Settings) -> Iterator[Finding]:
    try:
        address = parse_address(settings.serving.grpc.listen)
    except ValueError as error:
        yield Finding("serving.grpc.listen", str(error))
        return
    if isinstance(address, Descriptor):
        yield Finding(
            "serving.grpc.listen", "takes no socket that was handed over; write HOST:PORT or unix:/PATH"
        )


def _priority(settings: Settings) -> Iterator[Finding]:
    known = settings.serving.priority
    for key in ("default", "frames"):
        if getattr(known, key) > known.levels:
            what = f"is above serving.priority.levels, which is {known.levels}"
            yield Finding(f"serving.priority.{key}", what)


def _tls(settings: Settings) -> Iterator[Finding]:
    tls = settings.serving.tls
    for key, other in (("certificate_file", "key_file"), ("key_file", "certificate_file")):
        if getattr(tls, key) and not getattr(tls, other):
            yield Finding(f"serving.tls.{key}", f"needs serving.tls.{other} as well")
    if tls.client_ca_file and not tls.certificate_file:
        what = "clients show certificates to a server that has one: set serving.tls.certificate_file"
        yield Finding("serving.tls.client_ca_file", what)


def _tokens(settings: Settings) -> Iterator[Finding]:
    access = settings.serving.access
    names: dict[str, int] = {}
    tokens: dict[str, int] = {}
    for index, token in enumerate(access.tokens):
        path = f"serving.access.tokens[{index}]"
        yield from _token(path, token)
        yield from _scopes(f"{path}.scopes", token.scopes)
        first = names.setdefault(token.name, index)
        if first != index:
            what = f"serving.access.tokens[{first}] has this name already; logs could not tell them apart"
            yield Finding(f"{path}.name", what)
        same = tokens.setdefault(token.token.value, index)
        if same != index and token.token.value:
            what = f"is the same as that of serving.access.tokens[{same}]; whose it is could not be told"
            yield Finding(f"{path}.token", what)
    yield from _scopes("serving.access.certificate_scopes", access.certificate_scopes)


def _token(path: str, token: TokenSettings) -> Iterator[Finding]:
    length = len(token.token.value)
    if not _SENDABLE.fullmatch(token.token.value):
        what = "holds characters that no header carries; use letters, digits and signs of ASCII"
        yield Finding(f"{path}.token", what)
    elif length < LEAST_TOKEN:
        what = f"has {length} characters, which can be guessed; at least {LEAST_TOKEN}: openssl rand -hex 32"
        yield Finding(f"{path}.token", what)
    elif length > MOST_TOKEN:
        yield Finding(f"{path}.token", f"has {length} characters; at most {MOST_TOKEN}")


def _scopes(path: str, scopes: Iterable[str]) -> Iterator[Finding]:
    given = tuple(scopes)
    for index, scope in enumerate(given):
        if scope not in SCOPES:
            yield Finding(f"{path}[{index}]", f"no scope {shown(scope)}; {nearest(scope, list(SCOPES))}")
    if not given:
        yield Finding(path, f"allows nothing; write some of {', '.join(SCOPES)}")


def _times(settings: Settings) -> Iterator[Finding]:
    serving = settings.serving
    if serving.timeout_s > serving.max_timeout_s:
        what = f"{serving.timeout_s:g} is more than serving.max_timeout_s ({serving.max_timeout_s:g})"
        yield Finding("serving.timeout_s", what)


_CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    _grpc_address,
    _open_doors,
    _priority,
    _tls,
    _tokens,
    _times,
)
