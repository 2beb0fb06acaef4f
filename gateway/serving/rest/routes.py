"""Every path of the REST door with its methods, what each does, and the right that it needs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from gateway.serving.access.caller import ADMIN, ANYBODY, INFER, READ


@dataclass(frozen=True, slots=True)
class Route:
    """What one method does at one path.

    Attributes:
        path: The path; a segment in braces is a name.
        method: GET or POST.
        action: What it does, in a word: names the handler, the metric and the audit line.
        need: The right that it needs; empty for none.
    """

    path: str
    method: str
    action: str
    need: str


def _routes() -> tuple[Route, ...]:
    routes = [
        Route("/v2", "GET", "server_metadata", READ),
        Route("/v2/health/live", "GET", "live", ANYBODY),
        Route("/v2/health/ready", "GET", "ready", ANYBODY),
        Route("/v2/models", "GET", "models", READ),
        Route("/v2/models/stats", "GET", "all_statistics", READ),
        Route("/v2/repository/index", "POST", "index", READ),
        Route("/v2/repository/models/{model}/load", "POST", "load", ADMIN),
        Route("/v2/repository/models/{model}/unload", "POST", "unload", ADMIN),
        Route("/v2/repository/aliases", "GET", "aliases", READ),
        Route("/v2/repository/aliases/{alias}", "GET", "alias", READ),
        Route("/v2/repository/aliases/{alias}", "POST", "change_alias", ADMIN),
        Route("/v2/logging", "GET", "log_settings", READ),
        Route("/v2/logging", "POST", "set_log_settings", ADMIN),
        Route("/openapi.json", "GET", "openapi", READ),
    ]
    for below in ("/v2", "/v2/models/{model}"):
        routes.append(Route(f"{below}/trace/setting", "GET", "trace_settings", READ))
        routes.append(Route(f"{below}/trace/setting", "POST", "set_trace_settings", ADMIN))
    for model in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        routes += [
            Route(model, "GET", "model_metadata", READ),
            Route(f"{model}/ready", "GET", "model_ready", READ),
            Route(f"{model}/config", "GET", "model_config", READ),
            Route(f"{model}/stats", "GET", "statistics", READ),
            Route(f"{model}/infer", "POST", "infer", INFER),
            Route(f"{model}/generate", "POST", "generate", INFER),
            Route(f"{model}/generate_stream", "POST", "generate_stream", INFER),
        ]
    for kind in ("system", "cuda"):
        for below in (f"/v2/{kind}sharedmemory", f"/v2/{kind}sharedmemory/region/{{region}}"):
            routes.append(Route(f"{below}/status", "GET", f"{kind}_memory", INFER))
            routes.append(Route(f"{below}/unregister", "POST", f"unregister_{kind}_memory", INFER))
        register = f"/v2/{kind}sharedmemory/region/{{region}}/register"
        routes.append(Route(register, "POST", f"register_{kind}_memory", INFER))
    return tuple(routes)


ROUTES: Final = _routes()
_MOST_NAME: Final = 255
_MOST_KNOWN: Final = 512


@dataclass(slots=True)
class _Node:
    plain: dict[str, _Node] = field(default_factory=dict)
    name: str = ""
    named: _Node | None = None
    methods: dict[str, Route] = field(default_factory=dict)


class Match(NamedTuple):
    """What a path leads to.

    Attributes:
        methods: What can be done there.
        names: The segments that are names, decoded.
    """

    methods: Mapping[str, Route]
    names: Mapping[str, str]

    @property
    def allow(self) -> bytes:
        """Value of the ``allow`` header."""
        head = ("GET", "HEAD") if "GET" in self.methods else ()
        post = ("POST",) if "POST" in self.methods else ()
        return ", ".join((*head, *post, "OPTIONS")).encode()

    def route(self, method: str) -> Route | None:
        """Return what a method does, None if it is not allowed; HEAD does what GET does."""
        return self.methods.get("GET" if method == "HEAD" else method)


def match(raw_path: bytes) -> Match | None:
    """Return what a path leads to; None for nothing.

    Args:
        raw_path: As it was sent, without the query: names may hold escaped slashes. One slash at the
            end is passed over.
    """
    return _known(raw_path) if len(raw_path) <= _MOST_KNOWN else _match(raw_path)


@lru_cache(maxsize=256)
def _known(raw_path: bytes) -> Match | None:
    """Look up a path, or remember where it led."""
    return _match(raw_path)


def _match(raw_path: bytes) -> Match | None:
    segments = raw_path.split(b"/")
    if segments[0] or len(segments) < 2 or len(segments) > 10:
        return None
    del segments[0]
    if len(segments) > 1 and not segments[-1]:
        del segments[-1]
    names: dict[str, str] = {}
    found = _find(_ROOT, segments, 0, names)
    return None if found is None else Match(found.methods, MappingProxyType(names))


def _find(node: _Node, segments: list[bytes], at: int, names: dict[str, str]) -> _Node | None:
    if at == len(segments):
        return node if node.methods else None
    text = _decoded(segments[at])
    if text is None:
        return None
    plain = node.plain.get(text)
    found = _find(plain, segments, at + 1, names) if plain is not None else None
    if found is None and node.named is not None:
        found = _find(node.named, segments, at + 1, names)
        if found is not None:
            names[node.name] = text
    return found


def _decoded(segment: bytes) -> str | None:
    """Return a segment without its escapes; None where it can be no name of ours."""
    if not segment or len(segment) > 3 * _MOST_NAME:
        return None
    try:
        text = (unquote_to_bytes(segment) if b"%" in segment else segment).decode()
    except UnicodeDecodeError:
        return None
    return text if len(text) <= _MOST_NAME else None


def _tree(routes: tuple[Route, ...]) -> _Node:
    root = _Node()
    for route in routes:
        node = root
        for segment in route.path[1:].split("/"):
            if segment.startswith("{"):
                node.name = segment[1:-1]
                node.named = node.named or _Node()
                node = node.named
            else:
                node = node.plain.setdefault(segment, _Node())
        node.methods[route.method] = route
    return root


_ROOT: Final = _tree(ROUTES)
