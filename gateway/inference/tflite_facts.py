"""What a TFLite file says of itself: tensors, signatures, and the metadata that its author packed in. Pure.

Field numbers are those of TFLite's public schemas of models and of model metadata.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from gateway.errors import LoadFailed
from gateway.inference.file_facts import FileFacts, FoundTensor, checked, tensor_name, words
from gateway.inference.flat_table import FlatFile, FlatTable
from gateway.inference.octets import Octets

_MARK: Final = b"TFL3"
_METADATA_MARK: Final = b"M001"
_METADATA: Final = b"TFLITE_METADATA"
_DTYPES: Final = {
    0: "float32",
    1: "float16",
    2: "int32",
    3: "uint8",
    4: "int64",
    5: "string",
    6: "bool",
    7: "int16",
    8: "complex64",
    9: "int8",
    10: "float64",
    11: "complex128",
    12: "uint64",
    13: "resource",
    14: "variant",
    15: "uint32",
    16: "uint16",
    17: "int4",
    18: "bfloat16",
}
_SUBGRAPHS, _DESCRIPTION, _BUFFERS, _MODEL_METADATA, _SIGNATURES = 2, 3, 4, 6, 7
_AXIS_LABELS, _VALUE_LABELS = 2, 3
_NORMALISATION: Final = 1
_CONTENT: Final = {2: "a picture", 3: "boxes"}
_COLOURS: Final = {1: "RGB", 2: "grey"}


def tflite_facts(data: Octets, file: str) -> FileFacts:
    """Return what a TFLite file says of itself.

    Args:
        data: The whole file; borrowed.
        file: What complaints call it.

    Raises:
        LoadFailed: The bytes are no TFLite model, or hold what no card can state.
    """
    model = FlatFile(data, file).root(_MARK)
    graph = model.one_of(_SUBGRAPHS, 0)
    if graph is None:
        raise LoadFailed(f"{file}: holds no graph")
    inputs = checked([_tensor(graph, i, file) for i in graph.integers(1, "i")], "input", file)
    outputs = checked([_tensor(graph, i, file) for i in graph.integers(2, "i")], "output", file)
    metadata = _metadata(model, data, file)
    made_by = words(model.text(_DESCRIPTION), 120)
    signatures = tuple(_signatures(model, graph, file))
    if metadata is None:
        return FileFacts(inputs, outputs, made_by, notes=signatures)
    within = metadata.one_of(3, 0)
    author = words(metadata.text(4), 120)
    return FileFacts(
        inputs,
        outputs,
        made_by=", ".join(filter(None, (made_by, author))),
        summary=words(metadata.text(1)) or words(metadata.text(0)),
        version=words(metadata.text(2)),
        licence=words(metadata.text(5)),
        label_files=tuple(_label_files(metadata, within)),
        notes=(*signatures, *(_tensor_notes(within, inputs, outputs) if within else ())),
    )


def _tensor(graph: FlatTable, index: int, file: str) -> FoundTensor:
    tensor = graph.one_of(0, index)
    if tensor is None:
        raise LoadFailed(f"{file}: tensor {index} is named and not there")
    name = tensor_name(tensor.text(3), file)
    code = tensor.number(1, "<b")
    # As for the runtime: the signature marks the axes of any size, where there is one.
    shape = tensor.integers(7, "i") or tensor.integers(0, "i")
    scale, zero_point = _quantisation(tensor.table(4), name, file)
    sizes = tuple(-1 if size < 0 else size for size in shape)
    return FoundTensor(name, _DTYPES.get(code, f"number {code}"), sizes, scale, zero_point)


def _quantisation(held: FlatTable | None, name: str, file: str) -> tuple[float, int]:
    scales = held.numbers(2, "f") if held else ()
    if held is None or not scales or scales[0] == 0:
        return 0.0, 0
    if len(scales) > 1:
        raise LoadFailed(f"{file}: {name!r} is quantised per channel; inputs and outputs must be per tensor")
    zero_points = held.integers(3, "q")
    if not math.isfinite(scales[0]) or scales[0] < 0:
        raise LoadFailed(f"{file}: {name!r}: quantisation scale {scales[0]} is impossible")
    return float(scales[0]), zero_points[0] if zero_points else 0


def _metadata(model: FlatTable, data: Octets, file: str) -> FlatTable | None:
    """Return the author's metadata; None if there is none, or it cannot be read: it is only words."""
    for entry in model.tables(_MODEL_METADATA):
        if entry.text(0) != _METADATA:
            continue
        buffer = model.one_of(_BUFFERS, entry.number(1, "<I"))
        start, count = buffer.span(0, 1) if buffer else (0, 0)
        try:
            return FlatFile(data[start : start + count], f"{file}: metadata").root(_METADATA_MARK)
        except LoadFailed:
            return None
    return None


def _signatures(model: FlatTable, graph: FlatTable, file: str) -> Iterator[str]:
    """Yield what signatures call the tensors, for whoever knows the model by those names."""
    for signature in model.tables(_SIGNATURES)[:16]:
        if signature.number(4, "<I") != 0:
            continue
        key = words(signature.text(2), 60)
        for field, arrow in ((0, "from"), (1, "to")):
            for pair in signature.tables(field)[:64]:
                tensor = graph.one_of(0, pair.number(1, "<I"))
                name = tensor_name(tensor.text(3), file) if tensor else ""
                if name and name != words(pair.text(0), 120):
                    yield f"signature {key}: {arrow} {words(pair.text(0), 120)}: {words(name, 120)}"


def _label_files(metadata: FlatTable, within: FlatTable | None) -> Iterator[str]:
    """Yield names of files of labels, those of outputs first; English or of no language before others."""
    held = [each for output in (within.tables(3) if within else ()) for each in output.tables(6)]
    held += [*(within.tables(4) if within else ()), *metadata.tables(6)]
    files = [each for each in held if each.number(2, "<b") in (_AXIS_LABELS, _VALUE_LABELS)]
    files.sort(key=lambda each: not words(each.text(3) or b"en", 8).lower().startswith("en"))
    yield from dict.fromkeys(name for each in files if (name := words(each.text(0), 200)))


def _tensor_notes(
    within: FlatTable, inputs: Sequence[FoundTensor], outputs: Sequence[FoundTensor]
) -> Iterator[str]:
    """Yield what the author says of each tensor: what it is, how it is normalised."""
    for field, tensors in ((2, inputs), (3, outputs)):
        for told, tensor in zip(within.tables(field), tensors, strict=False):
            parts = [words(told.text(1) or told.text(0), 160), *_content(told), *_normalisation(told)]
            said = "; ".join(filter(None, parts))
            if said:
                yield f"{tensor.name}: {said}"


def _content(told: FlatTable) -> Iterator[str]:
    content = told.table(3)
    if content is None:
        return
    kind = content.number(0, "<B")
    inside = content.table(1) if kind in _CONTENT else None
    if inside is not None:
        colour = _COLOURS.get(inside.number(0, "<b"), "") if kind == 2 else ""
        yield " ".join(filter(None, (_CONTENT[kind], colour)))


def _normalisation(told: FlatTable) -> Iterator[str]:
    for unit in told.tables(4)[:8]:
        options = unit.table(1) if unit.number(0, "<B") == _NORMALISATION else None
        if options is not None:
            mean, std = options.numbers(0, "f")[:4], options.numbers(1, "f")[:4]
            yield f"normalised by mean {_list(mean)}, std {_list(std)}"


def _list(values: Sequence[float]) -> str:
    return " ".join(f"{value:.6g}" for value in values) or "?"
