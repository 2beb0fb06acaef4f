"""The shapes of bodies in the OpenAPI document of the REST door. Pure."""

from __future__ import annotations

from typing import Any, Final

from gateway.serving.datatypes import DATATYPES, MOST_AXES
from gateway.serving.rest.infer_request import MOST_TENSORS
from gateway.serving.rest.json_fields import MOST_NAME
from gateway.serving.rest.trace_words import TRACE, TRACE_TOLD

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
FLAG: Final[Schema] = {"type": "boolean"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}
NAME: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": MOST_NAME}


def listed(items: Schema, **more: Any) -> Schema:
    """Return the schema of an array."""
    return {"type": "array", "items": items, **more}


def members(properties: dict[str, Schema], *optional: str, **more: Any) -> Schema:
    """Return the schema of an object; every member that is not ``optional`` is there."""
    required = [name for name in properties if name not in optional]
    needs = {"required": required} if required else {}
    return {"type": "object", "properties": properties, **needs, **more}


def sent(properties: dict[str, Schema], *optional: str, **more: Any) -> Schema:
    """Return the schema of an object that comes here: what is ``optional`` may be null as well."""
    found = {name: or_null(each) if name in optional else each for name, each in properties.items()}
    return members(found, *optional, **more)


def or_null(schema: Schema) -> Schema:
    """Return a schema that null fits too, which counts as nothing."""
    kind = schema.get("type")
    if kind is None:
        return {"anyOf": [schema, {"type": "null"}]}
    return {**schema, "type": [*([kind] if isinstance(kind, str) else kind), "null"]}


def region_schema(most_bytes: int) -> Schema:
    """Return the schema of a region to register."""
    key = {"type": "string", "pattern": "^/?[A-Za-z0-9_][A-Za-z0-9_.:@=+,~-]{0,253}$"}
    size = {"type": "integer", "minimum": 1, "maximum": most_bytes}
    return sent({"key": key, "offset": COUNT, "byte_size": size}, "offset")


def named(name: str) -> Schema:
    """Return a reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


_VALUE: Final[Schema] = {"type": ["boolean", "number", "string"]}
# Reserved names are refused, and so is everything that is no plain value.
_MORE: Final[Schema] = {
    "additionalProperties": or_null(_VALUE),
    "propertyNames": {"not": {"pattern": "^triton_"}},
}
_SHAPE: Final[Schema] = listed({"type": "integer", "minimum": 0, "maximum": 2**31 - 1}, maxItems=MOST_AXES)
_REGION: Final[dict[str, Schema]] = {
    "shared_memory_region": {"type": "string", "maxLength": MOST_NAME},
    "shared_memory_byte_size": COUNT,
    "shared_memory_offset": COUNT,
}
_TENSOR: Final[Schema] = members(
    {"name": TEXT, "datatype": {"enum": list(DATATYPES)}, "shape": listed({"type": "integer"})}
)
_TARGET_MEMBERS: Final[dict[str, Schema]] = {
    "model": NAME,
    "version": {"type": "string", "maxLength": MOST_NAME},
    "weight": {"type": "integer", "minimum": 0, "maximum": 10_000},
}
_TARGET: Final[Schema] = members(_TARGET_MEMBERS, "version", "weight")
_WANTED_TARGET: Final[Schema] = sent(_TARGET_MEMBERS, "version", "weight")
_ALIAS: Final[Schema] = members(
    {
        "name": TEXT,
        "state": {"enum": ["DEFINED", "TRANSITIONING", "TRANSITION_FAILED", "REMOVED"]},
        "reason": TEXT,
        "targets": listed(_TARGET),
        "active": listed(_TARGET),
    }
)
_DURATION: Final[Schema] = members({"count": COUNT, "ns": COUNT})

_REQUEST: Final[Schema] = sent(
    {
        "id": {"type": "string", "maxLength": MOST_NAME},
        "parameters": sent(
            {
                "binary_data_output": FLAG,
                "timeout": {
                    **COUNT,
                    "description": "Microseconds until the answer is worth nothing; 0: not said.",
                },
                "priority": {
                    **COUNT,
                    "description": "1 is first; 0, and more than serving.priority.levels, is the default.",
                },
                "sequence_id": {
                    "type": ["integer", "string"],
                    "minimum": 0,
                    "maximum": 2**64 - 1,
                    "maxLength": 128,
                },
                "sequence_start": FLAG,
                "sequence_end": FLAG,
            },
            *("binary_data_output", "timeout", "priority", "sequence_id", "sequence_start", "sequence_end"),
            **_MORE,
        ),
        "inputs": listed(named("InputTensor"), maxItems=MOST_TENSORS),
        "outputs": listed(named("WantedOutput"), maxItems=MOST_TENSORS),
    },
    *("id", "parameters", "outputs"),
)
_INPUT: Final[Schema] = sent(
    {
        "name": NAME,
        "datatype": {"enum": list(DATATYPES)},
        "shape": _SHAPE,
        "parameters": sent({"binary_data_size": COUNT, **_REGION}, "binary_data_size", *_REGION, **_MORE),
        "data": {"type": "array", "description": "Flat, or nested as the shape says."},
    },
    *("parameters", "data"),
    description="Exactly one of data, binary_data_size and shared_memory_region says where the elements are.",
)
_OUTPUT: Final[Schema] = sent(
    {
        "name": NAME,
        "parameters": sent(
            {
                "binary_data": FLAG,
                "classification": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
                **_REGION,
            },
            *("binary_data", "classification"),
            *_REGION,
            **_MORE,
        ),
    },
    "parameters",
)
_RESPONSE: Final[Schema] = members(
    {
        "id": TEXT,
        "model_name": TEXT,
        "model_version": TEXT,
        "parameters": {"type": "object", "additionalProperties": _VALUE},
        "outputs": listed(
            members(
                {
                    "name": TEXT,
                    "datatype": {"enum": list(DATATYPES)},
                    "shape": _SHAPE,
                    "parameters": members({"binary_data_size": COUNT}),
                    "data": listed(
                        {
                            "type": ["boolean", "number", "string", "null"],
                            "description": "null stands for NaN and infinities.",
                        }
                    ),
                },
                *("parameters", "data"),
            )
        ),
    },
    *("id", "parameters"),
)
_STATISTICS: Final[Schema] = members(
    {
        "model_stats": listed(
            members(
                {
                    "name": TEXT,
                    "version": TEXT,
                    "last_inference": COUNT,
                    "inference_count": COUNT,
                    "execution_count": COUNT,
                    "inference_stats": {"type": "object", "additionalProperties": _DURATION},
                    "batch_stats": listed({"type": "object"}),
                }
            )
        )
    }
)

_MORE_THAN_NONE: Final[Schema] = {"type": "integer", "minimum": 1}
_LOG_CHANGE: Final[Schema] = {
    **sent(
        {
            "log_file": {"const": ""},
            "log_info": FLAG,
            "log_warning": FLAG,
            "log_error": {"const": True},
            "log_verbose_level": COUNT,
            "log_format": {"const": "default"},
        },
        *("log_file", "log_info", "log_warning", "log_error", "log_verbose_level", "log_format"),
        additionalProperties=False,
    ),
    "not": {
        "anyOf": [
            members({"log_info": {"const": True}, "log_warning": {"const": False}}),
            members({"log_verbose_level": _MORE_THAN_NONE, "log_info": {"const": False}}),
            members({"log_verbose_level": _MORE_THAN_NONE, "log_warning": {"const": False}}),
        ]
    },
}

SCHEMAS: Final[dict[str, Schema]] = {
    "Error": members(
        {
            "error": {**TEXT, "description": "What is wrong, where, and what to do."},
            "label": {**TEXT, "description": "The stable name of the kind of error."},
            "details": listed(members({"label": TEXT, "error": TEXT}, additionalProperties=True)),
        },
        "details",
    ),
    "InputTensor": _INPUT,
    "WantedOutput": _OUTPUT,
    "InferRequest": _REQUEST,
    "InferResponse": _RESPONSE,
    "Live": members({"live": FLAG}),
    "Ready": members({"ready": FLAG}),
    "ModelReady": members({"name": TEXT, "ready": FLAG}),
    "ServerMetadata": members({"name": TEXT, "version": TEXT, "extensions": listed(TEXT)}),
    "ModelNames": members({"models": listed(TEXT)}),
    "ModelMetadata": members(
        {
            "name": TEXT,
            "versions": listed(TEXT),
            "platform": TEXT,
            "inputs": listed(_TENSOR),
            "outputs": listed(_TENSOR),
            "properties": {"type": "object", "additionalProperties": TEXT},
        }
    ),
    "ModelConfig": members(
        {"name": TEXT, "platform": TEXT, "max_batch_size": COUNT}, additionalProperties=True
    ),
    "Statistics": _STATISTICS,
    "IndexRequest": sent({"ready": FLAG}, "ready"),
    "Index": listed(
        members(
            {
                "name": TEXT,
                "version": TEXT,
                "state": {"enum": ["READY", "LOADING", "UNLOADING", "UNAVAILABLE"]},
                "reason": TEXT,
            }
        )
    ),
    "Aliases": listed(_ALIAS),
    "Alias": _ALIAS,
    "AliasChange": sent(
        {
            "targets": listed(_WANTED_TARGET, maxItems=64),
            "expected": listed(_WANTED_TARGET, maxItems=64),
            "load_now": FLAG,
            "force": FLAG,
        },
        *("expected", "load_now", "force"),
    ),
    "LoadRequest": sent({"parameters": {"type": "object"}}, "parameters"),
    "UnloadRequest": sent(
        {"parameters": sent({"unload_dependents": FLAG}, "unload_dependents")}, "parameters"
    ),
    "LogSettings": members(
        {
            "log_file": TEXT,
            "log_info": FLAG,
            "log_warning": FLAG,
            "log_error": FLAG,
            "log_verbose_level": COUNT,
            "log_format": TEXT,
        }
    ),
    "LogChange": _LOG_CHANGE,
    "TraceSettings": members({name: {"const": value} for name, value in TRACE_TOLD.items()}),
    "TraceChange": members(
        {name: {"enum": [value, [value], None]} for name, value in TRACE.items()},
        *TRACE,
        additionalProperties=False,
    ),
    "Regions": listed(members({"name": TEXT, "key": TEXT, "offset": COUNT, "byte_size": COUNT})),
    "Generated": members({"model_name": TEXT, "model_version": TEXT}, additionalProperties=True),
    "GenerateRequest": {
        "type": "object",
        "description": "Names of inputs with values or arrays; others are parameters.",
    },
    "Nothing": {"type": "object"},
    "Document": {"type": "object"},
}
