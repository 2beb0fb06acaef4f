"""Packs metadata and files into .tflite files as TFLite's own tools do, by the metadata's public schema."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_AXIS_LABELS = 2
_NORMALISATION = 1
_PICTURE = 2
_RGB = 1


@dataclass(frozen=True)
class Metadata:
    """What an author says of a model with one input, a picture, and one output with labels."""

    name: str = "animals"
    description: str = "Tells cats from dogs."
    version: str = "v1"
    licence: str = "Apache-2.0"
    mean: float = 127.5
    std: float = 127.5
    label_files: Sequence[str] = field(default=("labels.txt",))


METADATA = Metadata()


def with_metadata(model: bytes, metadata: Metadata, files: Mapping[str, str]) -> bytes:
    """Return a model with metadata inside and files packed behind."""
    parsed = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(metadata_bytes(metadata), np.uint8)
    parsed.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = "TFLITE_METADATA", len(parsed.buffers) - 1
    parsed.metadata = [entry]
    builder = flatbuffers.Builder(1024)
    builder.Finish(parsed.Pack(builder), b"TFL3")
    whole = io.BytesIO(bytes(builder.Output()))
    with zipfile.ZipFile(whole, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return whole.getvalue()


def metadata_bytes(metadata: Metadata) -> bytes:
    """Return the metadata's flatbuffer."""
    builder = flatbuffers.Builder(512)
    output = _table(builder, 7, {6: _tables(builder, [_file(builder, n) for n in metadata.label_files])})
    graph = {2: _tables(builder, [_input(builder, metadata)]), 3: _tables(builder, [output])}
    within = _tables(builder, [_table(builder, 7, graph)])
    texts = {0: metadata.name, 1: metadata.description, 2: metadata.version, 5: metadata.licence}
    fields = {slot: builder.CreateString(text) for slot, text in texts.items()}
    builder.Finish(_table(builder, 8, {**fields, 3: within}), b"M001")
    return bytes(builder.Output())


def _input(builder: Any, metadata: Metadata) -> int:
    means, stds = (_floats(builder, value) for value in (metadata.mean, metadata.std))
    options = _table(builder, 2, {0: means, 1: stds})
    unit = _table(builder, 2, {1: options}, {0: _NORMALISATION})
    picture = _table(builder, 2, {}, {0: _RGB})
    content = _table(builder, 3, {1: picture}, {0: _PICTURE})
    return _table(builder, 7, {3: content, 4: _tables(builder, [unit])})


def _file(builder: Any, name: str) -> int:
    text = builder.CreateString(name)
    return _table(builder, 4, {0: text}, {2: _AXIS_LABELS})


def _table(
    builder: Any, slots: int, offsets: Mapping[int, int], bytes_: Mapping[int, int] | None = None
) -> int:
    builder.StartObject(slots)
    for slot, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    for slot, value in (bytes_ or {}).items():
        builder.PrependByteSlot(slot, value, 0)
    return int(builder.EndObject())


def _tables(builder: Any, tables: Sequence[int]) -> int:
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return int(builder.EndVector())


def _floats(builder: Any, *values: float) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return int(builder.EndVector())
