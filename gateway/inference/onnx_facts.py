"""What an ONNX file says of itself: inputs, outputs, metadata, read out of its protobuf. Pure.

The graph's nodes and weights are stepped over, so that a file of any size is read
in the time of its largest list. What the runtime would find out by inferring
shapes stays open here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway.errors import LoadFailed
from gateway.inference.engines.onnx_fields import Field, OnnxFields
from gateway.inference.file_facts import MOST_AXES, FileFacts, FoundTensor, checked, tensor_name, words
from gateway.inference.label_text import MOST_LABEL_BYTES, labels_of_text
from gateway.inference.octets import Octets
from gateway.tensor import TEXT

_DTYPES: Final = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    8: TEXT,
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    14: "complex64",
    15: "complex128",
    16: "bfloat16",
    17: "float8",
    18: "float8",
    19: "float8",
    20: "float8",
    21: "uint4",
    22: "int4",
}
_PRODUCER, _PRODUCER_VERSION, _MODEL_VERSION, _DOC, _GRAPH, _OPSET, _PROPERTY = 2, 3, 5, 6, 7, 8, 14
_GRAPH_INITIALIZER, _GRAPH_DOC, _GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_SPARSE = 5, 10, 11, 12, 15
_TENSOR_NAME, _SPARSE_VALUES = 8, 1
_MOST_PROPERTIES: Final = 1000
_MOST_KEY_BYTES: Final = 256
_SIGN: Final = 1 << 63
_UNKNOWN_VERSION: Final = _SIGN - 1
_LABEL_KEYS: Final = ("names", "labels", "classes", "class_names", "id2label")
_SUMMARY_KEYS: Final = ("description", "summary")
_VERSION_KEYS: Final = ("model_version", "version")
_LICENCE_KEYS: Final = ("license", "licence", "licenses")


def onnx_facts(data: Octets, file: str) -> FileFacts:
    """Return what an ONNX file says of itself.

    Args:
        data: The whole file; borrowed.
        file: What complaints call it.

    Raises:
        LoadFailed: The bytes are no ONNX model, or hold what no card can state.
    """
    return _Reader(data, file).facts()


class _Reader:
    def __init__(self, data: Octets, file: str) -> None:
        self._walk = OnnxFields(data, Path(file))
        self._file = file
        self._size = len(data)
        self._texts: dict[int, str] = {}
        self._model_version = 0
        self._opset = 0
        self._properties: dict[str, str] = {}
        self._graph_doc = ""
        self._inputs: list[Field] = []
        self._outputs: list[Field] = []
        self._weights: list[Field] = []
        self._graphs = 0

    def facts(self) -> FileFacts:
        for field in self._walk.fields(0, self._size):
            self._model_field(field)
        if not self._graphs:
            raise LoadFailed(f"{self._file}: holds no graph: it is no ONNX model")
        inputs = [self._tensor(field) for field in self._inputs]
        if inputs and self._weights:
            # Old files list their weights among the inputs; the runtime asks nobody for those.
            given = self._weight_names()
            inputs = [each for each in inputs if each.name not in given]
        producer = words(f"{self._texts.get(_PRODUCER, '')} {self._texts.get(_PRODUCER_VERSION, '')}", 120)
        doc = self._property(_SUMMARY_KEYS) or words(self._texts.get(_DOC, "")) or self._graph_doc
        stated = str(self._model_version) if self._model_version not in (0, _UNKNOWN_VERSION) else ""
        return FileFacts(
            inputs=checked(inputs, "input", self._file),
            outputs=checked([self._tensor(field) for field in self._outputs], "output", self._file),
            made_by=", ".join(filter(None, (producer, f"opset {self._opset}" if self._opset else ""))),
            summary=doc,
            version=self._property(_VERSION_KEYS) or stated,
            licence=self._property(_LICENCE_KEYS),
            labels=self._labels(),
            notes=tuple(self._notes()),
        )

    def _model_field(self, field: Field) -> None:
        if field.number in (_PRODUCER, _PRODUCER_VERSION, _DOC):
            self._texts[field.number] = self._text(field)
        elif field.number == _MODEL_VERSION:
            self._model_version = field.value
        elif field.number == _GRAPH and field.end:
            self._graphs += 1
            self._graph(field)
        elif field.number == _OPSET and field.end:
            parts = {each.number: each for each in self._walk.fields(field.start, field.end)}
            if 1 not in parts or not self._text(parts[1]):
                self._opset = parts[2].value if 2 in parts else 0
        elif field.number == _PROPERTY and field.end and len(self._properties) < _MOST_PROPERTIES:
            parts = {each.number: each for each in self._walk.fields(field.start, field.end)}
            if 1 in parts and 2 in parts and parts[1].end - parts[1].start <= _MOST_KEY_BYTES:
                self._properties[self._text(parts[1]).lower()] = self._text(parts[2])

    def _graph(self, graph: Field) -> None:
        lists = {_GRAPH_INPUT: self._inputs, _GRAPH_OUTPUT: self._outputs}
        for field in self._walk.fields(graph.start, graph.end):
            if not field.end:
                continue
            if field.number in lists:
                lists[field.number].append(field)
            elif field.number in (_GRAPH_INITIALIZER, _GRAPH_SPARSE):
                self._weights.append(field)
            elif field.number == _GRAPH_DOC:
                self._graph_doc = words(self._text(field))

    def _weight_names(self) -> set[str]:
        names = set()
        for field in self._weights:
            for part in self._walk.fields(field.start, field.end):
                if part.number == _TENSOR_NAME and part.end:
                    names.add(self._text(part))
                    break
                if part.number == _SPARSE_VALUES and part.end:
                    names |= {
                        self._text(each)
                        for each in self._walk.fields(part.start, part.end)
                        if each.number == _TENSOR_NAME and each.end
                    }
        return names

    def _tensor(self, port: Field) -> FoundTensor:
        parts = {each.number: each for each in self._walk.fields(port.start, port.end)}
        raw = self._walk.part(parts[1].start, parts[1].end) if 1 in parts else b""
        name = tensor_name(raw, self._file)
        kind = parts.get(2)
        inside = {each.number: each for each in self._walk.fields(kind.start, kind.end)} if kind else {}
        if 1 not in inside or not inside[1].end:
            raise LoadFailed(f"{self._file}: {name!r} is no tensor: sequences and maps are not supported")
        tensor = {each.number: each for each in self._walk.fields(inside[1].start, inside[1].end)}
        code = tensor[1].value if 1 in tensor else 0
        axes = tuple(self._axes(tensor[2])) if 2 in tensor else None
        shape = None if axes is None else tuple(size for size, _ in axes)
        symbols = tuple(symbol for _, symbol in axes or ())
        return FoundTensor(name, _DTYPES.get(code, f"number {code}"), shape, symbols=symbols)

    def _axes(self, shape: Field) -> Iterator[tuple[int, str]]:
        """Yield size and symbol of each axis; -1 where there is no size."""
        count = 0
        for axis in self._walk.fields(shape.start, shape.end):
            if axis.number != 1 or not axis.end:
                continue
            count += 1
            if count > MOST_AXES:
                raise LoadFailed(f"{self._file}: a tensor has more than {MOST_AXES} axes")
            size, symbol = -1, ""
            for part in self._walk.fields(axis.start, axis.end):
                if part.number == 1 and not part.end:
                    size = part.value if part.value < _SIGN else -1
                elif part.number == 2 and part.end:
                    symbol = words(self._walk.part(part.start, min(part.end, part.start + 100)), 60)
            yield size, symbol

    def _property(self, keys: tuple[str, ...]) -> str:
        return next((text for key in keys if (text := words(self._properties.get(key, "")))), "")

    def _labels(self) -> tuple[str, ...]:
        found = (labels_of_text(self._properties.get(key, "")) for key in _LABEL_KEYS)
        return next(filter(None, found), ())

    def _notes(self) -> Iterator[str]:
        told = {*_LABEL_KEYS, *_SUMMARY_KEYS, *_VERSION_KEYS, *_LICENCE_KEYS}
        for key, value in self._properties.items():
            if key not in told and (text := words(value, 80)):
                yield f"metadata {words(key, 60)}: {text}"

    def _text(self, field: Field) -> str:
        part = self._walk.part(field.start, min(field.end, field.start + MOST_LABEL_BYTES))
        return part.decode("utf-8", "replace")
