"""Decodes SenML (RFC 8428), JSON and CBOR, to readings: one channel for each resolved name.

Base fields are applied record by record; a name's readings are put in the
order of their times. Text and data values are no numbers and are passed over.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gateway.errors import Malformed, NotFinite, TooLarge, UnknownMedia, WrongShape
from gateway.frames import cbor
from gateway.frames.declaration import Declaration
from gateway.frames.json_text import parse_json
from gateway.frames.limits import PayloadLimits
from gateway.frames.numbers import MAX_CHANNELS
from gateway.frames.shape import check_elements
from gateway.frames.tree import Tree
from gateway.frames.values import Numbers

_VERSION = 10
# RFC 8428 table 4: CBOR writes these labels as integers.
_CBOR_LABELS = {
    -6: "bs", -5: "bv", -4: "bu", -3: "bt", -2: "bn", -1: "bver",
    0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t", 7: "ut", 8: "vd",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Record:
    """One resolved measurement.

    Attributes:
        name: Base name and name.
        local: The name alone, as one device knows it.
        time_s: As sent: below 2**28 relative to now, else Unix time; 0 if absent.
        value: The number; 1 or 0 of a boolean.
    """

    name: str
    local: str
    time_s: float
    value: float


def decode_senml_json(data: memoryview, declared: Declaration, limits: PayloadLimits) -> Numbers:
    """Decode a SenML pack in JSON; raises as ``readings_of`` and ``parse_json``."""
    return readings_of(resolve_pack(parse_json(data, limits)), declared, limits)


def decode_senml_cbor(data: memoryview, declared: Declaration, limits: PayloadLimits) -> Numbers:
    """Decode a SenML pack in CBOR; raises as ``readings_of`` and ``cbor.loads``."""
    pack = cbor.loads(data, limits)
    if isinstance(pack, list):
        pack = [_with_names(record) for record in pack]
    return readings_of(resolve_pack(pack), declared, limits)


def resolve_pack(pack: Tree) -> list[Record]:
    """Apply the base fields of a pack and return its numeric records.

    Args:
        pack: Decoded JSON, or CBOR with its labels named.

    Raises:
        Malformed: Not a list of records, a field of the wrong type, no name,
            or a field that must be understood and is not.
        UnknownMedia: A newer version of SenML.
    """
    if not isinstance(pack, list) or not all(isinstance(record, dict) for record in pack):
        raise Malformed("senml: a pack is a list of records")
    base_name, base_time, base_value = "", 0.0, 0.0
    records = []
    for record in pack:
        _check_understood(record)
        base_name = _string(record, "bn", base_name)
        base_time = _number(record, "bt", base_time)
        base_value = _number(record, "bv", base_value)
        value = record.get("vb")
        if isinstance(value, bool):
            number = float(value)
        elif "v" in record:
            number = base_value + _number(record, "v", 0.0)
        else:
            continue
        local = _string(record, "n", "")
        if not base_name and not local:
            raise Malformed("senml: a record without a name")
        records.append(Record(base_name + local, local, base_time + _number(record, "t", 0.0), number))
    return records


def readings_of(records: list[Record], declared: Declaration, limits: PayloadLimits) -> Numbers:
    """Put records side by side: a column for each name, a row for each of its readings.

    Args:
        records: In the order of the pack.
        declared: Its ``fields``, resolved or local names, choose and order the columns.
        limits: Its ``max_elements`` is used.

    Raises:
        Malformed: There are no numbers, or a declared field has none.
        WrongShape: Names with different numbers of readings.
        NotFinite: NaN, infinity, or beyond float32.
        TooLarge: More names or elements than allowed.
    """
    series: dict[str, list[Record]] = {}
    for record in records:
        series.setdefault(record.name, []).append(record)
    if declared.fields:
        series = {field: _chosen(series, field) for field in declared.fields}
    if not series:
        raise Malformed("senml: the pack holds no numbers")
    if len(series) > MAX_CHANNELS:
        raise TooLarge(f"senml: more than {MAX_CHANNELS} names")
    lengths = {len(column) for column in series.values()}
    if len(lengths) > 1:
        raise WrongShape(f"senml: {len(series)} names with {min(lengths)} to {max(lengths)} readings")
    check_elements("senml", len(series) * max(lengths), limits)
    columns = [
        [record.value for record in sorted(column, key=lambda record: record.time_s)]
        for column in series.values()
    ]
    with np.errstate(over="ignore"):
        values = np.array(columns, dtype=np.float32).T
    if not np.isfinite(values).all():
        raise NotFinite("senml: a value is NaN, infinite or beyond float32")
    return Numbers(np.ascontiguousarray(values), tuple(series))


def _chosen(series: dict[str, list[Record]], field: str) -> list[Record]:
    """Return the readings of a resolved name, or else of the one local name."""
    if field in series:
        return series[field]
    matching = [column for column in series.values() if column[0].local == field]
    if len(matching) != 1:
        raise Malformed(f"senml: {len(matching)} names match the declared field {field!r}")
    return matching[0]


def _with_names(record: Tree) -> Tree:
    if not isinstance(record, dict):
        return record
    return {_CBOR_LABELS.get(key, key): value for key, value in record.items()}


def _check_understood(record: dict[object, object]) -> None:
    version = record.get("bver", _VERSION)
    if not isinstance(version, (int, float)) or version > _VERSION:
        raise UnknownMedia(f"senml: version {str(version)[:20]} is not supported")
    for label in record:
        if isinstance(label, str) and label.endswith("_"):
            raise Malformed(f"senml: field {label[:40]!r} must be understood and is not")


def _number(record: dict[object, object], label: str, default: float) -> float:
    value = record.get(label, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Malformed(f"senml: {label!r} is not a number")
    try:
        number = float(value)
    except OverflowError as error:
        raise NotFinite(f"senml: {label!r} is beyond every float") from error
    if not math.isfinite(number):
        raise NotFinite(f"senml: {label!r} is not finite")
    return number


def _string(record: dict[object, object], label: str, default: str) -> str:
    value = record.get(label, default)
    if not isinstance(value, str):
        raise Malformed(f"senml: {label!r} is not a string")
    return value
