"""The OpenAPI 3.1 document of the REST door, made from its table of routes. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from gateway.serving.rest.openapi_schemas import SCHEMAS, Schema, named, region_schema
from gateway.serving.rest.routes import ROUTES, Route

_JSON: Final = "application/json"
_BINARY: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class _Words:
    """What the document says of an action.

    Attributes:
        summary: What it does.
        answer: Schema of what it answers.
        request: Schema of its body; empty for none.
        statuses: Errors that it can answer, beside those that every request can.
        is_needed: The body must be there.
        is_said: The answer has a body of its own with status 503 too.
    """

    summary: str
    answer: str
    request: str = ""
    statuses: tuple[int, ...] = ()
    is_needed: bool = False
    is_said: bool = False


_READS_BODY: Final = (400, 413, 415)
_ASKS: Final = (*_READS_BODY, 404, 409, 422, 500, 503, 504)
_LOADS: Final = (*_READS_BODY, 404, 409, 500, 503, 507)

# What is always refused is not offered: registering CUDA regions.
_ACTIONS: Final = {
    "server_metadata": _Words("What this server is", "ServerMetadata"),
    "live": _Words("Whether the process works", "Live", is_said=True),
    "ready": _Words("Whether every model that should serve does", "Ready", is_said=True),
    "models": _Words("Names that can be asked for", "ModelNames"),
    "all_statistics": _Words("What every model did", "Statistics"),
    "index": _Words("Every model that is known", "Index", "IndexRequest", _READS_BODY),
    "load": _Words("Load a model, or load it anew", "Nothing", "LoadRequest", _LOADS),
    "unload": _Words("Unload a model", "Nothing", "UnloadRequest", _LOADS),
    "aliases": _Words("Names that lead to models", "Aliases"),
    "alias": _Words("Where a name leads", "Alias", "", (404,)),
    "change_alias": _Words(
        "Lead a name elsewhere, or forget it", "Alias", "AliasChange", _LOADS, is_needed=True
    ),
    "log_settings": _Words("What is logged", "LogSettings"),
    "set_log_settings": _Words(
        "Change what is logged, until the configuration is read again",
        "LogSettings",
        "LogChange",
        _READS_BODY,
    ),
    "openapi": _Words("This document", "Document"),
    "trace_settings": _Words("What is traced: nothing", "TraceSettings", "", (404,)),
    "set_trace_settings": _Words(
        "Settings that leave tracing off", "TraceSettings", "TraceChange", (*_READS_BODY, 404)
    ),
    "model_metadata": _Words("What a model takes and gives", "ModelMetadata", "", (404, 503)),
    "model_ready": _Words("Whether a model answers", "ModelReady", "", (404,), is_said=True),
    "model_config": _Words("A model's configuration", "ModelConfig", "", (404, 503)),
    "statistics": _Words("What a model did", "Statistics", "", (404,)),
    "infer": _Words("Ask a model", "InferResponse", "InferRequest", _ASKS, is_needed=True),
    "generate": _Words(
        "Ask a model with plain values", "Generated", "GenerateRequest", _ASKS, is_needed=True
    ),
    "generate_stream": _Words(
        "Ask a model with plain values, answered as events", "", "GenerateRequest", _ASKS, is_needed=True
    ),
    "system_memory": _Words("Registered system regions", "Regions", "", (400, 404)),
    "register_system_memory": _Words(
        "Register a region of /dev/shm", "Nothing", "Region", (*_READS_BODY, 404, 409), is_needed=True
    ),
    "unregister_system_memory": _Words("Let a region go, or all", "Nothing", "", _READS_BODY),
    "cuda_memory": _Words("Registered CUDA regions: none", "Regions", "", (400, 404)),
    "unregister_cuda_memory": _Words("Let go of what is not there", "Nothing", "", _READS_BODY),
}
# What any request can be answered: by who asks, by how often, by the server itself.
_ALWAYS: Final = (401, 403, 429, 500, 503)
_REASONS: Final = {
    200: "Done",
    400: "The request is wrong: change it",
    401: "Credentials are needed",
    403: "This caller may not do this",
    404: "No such model or version",
    409: "Something stands against it",
    413: "Too large",
    415: "A content type or encoding that is not taken",
    422: "This very request has crashed a worker before",
    429: "Too often: wait",
    500: "The model, or the gateway, is at fault",
    503: "Not now: come again",
    504: "The deadline passed",
    507: "No room on the disk",
}


# Models and versions of other names are not found.
_NAME: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 63, "pattern": "^[A-Za-z0-9._-]+$"}
_REGION_NAME: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"}


def document(name: str, version: str, most_region_bytes: int) -> dict[str, Any]:
    """Return the document.

    Args:
        name: What the server calls itself.
        version: The gateway's.
        most_region_bytes: Largest region of shared memory.
    """
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        if route.action not in _ACTIONS:
            continue
        names = _parameters(route.path)
        place = paths.setdefault(route.path, {"parameters": names} if names else {})
        place[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": name,
            "version": version,
            "description": "The Open Inference Protocol, version 2, with Triton's extensions.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": {**SCHEMAS, "Region": region_schema(most_region_bytes)},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        # Programs of the gateway's own machine need none.
        "security": [{}, {"token": []}],
    }


def _parameters(path: str) -> list[Schema]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": _REGION_NAME if name == "region" else _NAME,
        }
        for name in re.findall(r"\{(\w+)\}", path)
    ]


def _operation(route: Route) -> dict[str, Any]:
    words = _ACTIONS[route.action]
    place = "_".join(part.strip("{}") for part in route.path.split("/") if part.startswith("{"))
    root = "server" if "/models" not in route.path else ""
    operation: dict[str, Any] = {
        "operationId": "_".join(part for part in (route.action, root, place) if part),
        "summary": words.summary,
        "tags": [route.need or "health"],
        "responses": _responses(route, words),
    }
    if words.request:
        body: dict[str, Any] = {_JSON: {"schema": named(words.request)}}
        if route.action == "infer":
            body[_BINARY] = {}
            operation["parameters"] = [_HEADER_LENGTH]
        operation["requestBody"] = {"required": words.is_needed, "content": body}
    return operation


_HEADER_LENGTH: Final[Schema] = {
    "name": "Inference-Header-Content-Length",
    "in": "header",
    "required": False,
    "description": "How many of the first bytes are JSON; binary tensors follow. 0: all is one tensor.",
    "schema": {"type": "integer", "minimum": 0},
}


def _responses(route: Route, words: _Words) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    if words.answer or route.action == "generate_stream":
        responses["200"] = {"description": _REASONS[200], "content": _answer(route, words)}
    named_path = (404,) if "{" in route.path else ()
    for status in sorted({*_ALWAYS, *words.statuses, *named_path}):
        content = {_JSON: {"schema": named("Error")}}
        if status == 503 and words.is_said:
            content = {_JSON: {"schema": {"anyOf": [named(words.answer), named("Error")]}}}
        responses[str(status)] = {"description": _REASONS[status], "content": content}
        if status in (429, 503) and not words.is_said:
            retry = {"schema": {"type": "integer"}, "description": "Seconds", "required": True}
            responses[str(status)]["headers"] = {"Retry-After": retry}
    return responses


def _answer(route: Route, words: _Words) -> dict[str, Any]:
    if route.action == "generate_stream":
        return {"text/event-stream": {"schema": {"type": "string"}}}
    content: dict[str, Any] = {_JSON: {"schema": named(words.answer)}}
    if route.action == "infer":
        content[_BINARY] = {}
    return content
