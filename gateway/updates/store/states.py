"""A model's record as the bytes of its file, and back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.errors import ManifestRefused, StoreFailed
from gateway.updates.names import checked_digest, checked_word
from gateway.updates.release import ReleaseRef
from gateway.updates.state import DURABLE, ModelRecord, Phase
from gateway.updates.store.sealed import seal, unseal

SCHEMA: Final = 1
MOST_STATE_BYTES: Final = 64 << 10
_COUNTS: Final = (
    "seq",
    "floor",
    "boots",
    "baked_requests",
    "attempts",
    "retry_unix_s",
    "since_unix_s",
)
_REFS: Final = ("active", "previous", "candidate")


def encode(record: ModelRecord) -> bytes:
    """Return a record as the bytes of its file."""
    body: dict[str, Any] = {name: getattr(record, name) for name in (*_COUNTS, "model", "code", "reason")}
    for name in _REFS:
        ref: ReleaseRef | None = getattr(record, name)
        body[name] = None if ref is None else {"number": ref.number, "digest": ref.digest}
    return seal({**body, "schema": SCHEMA, "phase": record.phase.value, "baked_s": float(record.baked_s)})


def decode(data: bytes, model: str) -> ModelRecord:
    """Return the record that the bytes of a file hold.

    Raises:
        StoreFailed: They are no record of this model.
    """
    what = f"state of {model}"
    body = unseal(data, what)
    fields: dict[str, Any] = {}
    try:
        if body["schema"] != SCHEMA:
            raise StoreFailed(f"{what}: schema {body['schema']!r} is not {SCHEMA}; a newer gateway wrote it")
        fields.update({name: _count(body[name]) for name in _COUNTS})
        fields.update({name: _ref(body[name]) for name in _REFS})
        record = ModelRecord(
            model=checked_word(body["model"], "model"),
            phase=Phase(body["phase"]),
            baked_s=_seconds(body["baked_s"]),
            code=_words(body["code"]),
            reason=_words(body["reason"]),
            **fields,
        )
    except (KeyError, ValueError, TypeError, ManifestRefused) as error:
        raise StoreFailed(f"{what}: {error}") from error
    if record.model != model or record.phase not in DURABLE:
        raise StoreFailed(f"{what}: it is a record of {record.model} in phase {record.phase.value}")
    return record


def encode_floor(floor: int) -> bytes:
    """Return the second copy of a floor as the bytes of its file."""
    return seal({"schema": SCHEMA, "floor": floor})


def decode_floor(data: bytes, model: str) -> int:
    """Return the floor that the bytes of a file hold.

    Raises:
        StoreFailed: They are no floor.
    """
    body = unseal(data, f"floor of {model}")
    try:
        return _count(body["floor"])
    except (KeyError, ValueError) as error:
        raise StoreFailed(f"floor of {model}: {error}") from error


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value


def _seconds(value: object) -> float:
    if not isinstance(value, float) or value < 0:
        raise ValueError(f"{value!r} is no time")
    return value


def _words(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value


def _ref(value: Mapping[str, object] | None) -> ReleaseRef | None:
    if value is None:
        return None
    number = _count(value["number"])
    if number < 1 or len(value) != 2:
        raise ValueError(f"{value!r} names no release")
    return ReleaseRef(number, checked_digest(value["digest"], "release"))
