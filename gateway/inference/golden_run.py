"""Running a card's golden samples on the loaded model, from payload to prediction."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gateway.errors import LoadFailed, WarmupFailed
from gateway.frames.declaration import Declaration
from gateway.frames.prepared import StreamState
from gateway.inference.card import inside
from gateway.inference.golden import Observed, differences
from gateway.inference.loaded import LoadedModel, Member
from gateway.model import GoldenSample
from gateway.tensor import Array, dequantize

_MOST_ARRAY_BYTES = 256 << 20


def run_golden(model: LoadedModel, pipeline: str) -> tuple[str, ...]:
    """Run every golden sample through ``pipeline``; return the files that held.

    Raises:
        WarmupFailed: A sample could not be run, or its answer is another.
        LoadFailed: A sample's file cannot be read.
    """
    wrong = []
    for sample in model.folder.card.golden:
        found = [f"{sample.file}: {what}" for what in _try(model, pipeline, sample)]
        wrong += found
    if wrong:
        message = f"model {model.version.name}: golden samples: " + "; ".join(wrong)
        raise WarmupFailed(message, model=model.version.name)
    return tuple(sample.file for sample in model.folder.card.golden)


def declaration_of(sample: GoldenSample) -> Declaration:
    """Return what a sample declares.

    Raises:
        WarmupFailed: It declares something unknown.
    """
    changes = {key: tuple(v) if isinstance(v, list) else v for key, v in sample.declaration.items()}
    if sample.media:
        changes["media"] = sample.media
    try:
        return Declaration().overridden(changes)
    except TypeError as error:
        raise WarmupFailed(f"{sample.file}: declaration: {error}") from error


def golden_rows(model: LoadedModel, pipeline: str) -> list[tuple[str, dict[str, Array]]]:
    """Return the rows that the golden samples make, each with its sample's file.

    Raises:
        GatewayError: A sample cannot be prepared.
    """
    rows: list[tuple[str, dict[str, Array]]] = []
    for sample in model.folder.card.golden:
        payload = memoryview(inside(model.folder.folder, sample.file, "golden.file").read_bytes())
        prepared = model.pipeline(pipeline).prepare(payload, declaration_of(sample), StreamState())
        rows += [(sample.file, row) for row in prepared.rows]
    return rows


def check_finite(model: LoadedModel, rows: Sequence[tuple[str, dict[str, Array]]]) -> None:
    """Run rows of golden samples and look at the raw outputs.

    Raises:
        WarmupFailed: One holds NaN or infinity: nothing that is made of it can be trusted.
        EngineFailed: The runtime failed.
    """
    for file, row in rows:
        for name, output in model.run_rows([row])[0].items():
            if output.dtype.kind == "f" and not np.isfinite(output).all():
                message = f"model {model.version.name}: {file}: output {name} holds NaN or infinity"
                raise WarmupFailed(message, model=model.version.name)


def _try(model: LoadedModel, pipeline: str, sample: GoldenSample) -> tuple[str, ...]:
    payload = memoryview(inside(model.folder.folder, sample.file, "golden.file").read_bytes())
    declared = declaration_of(sample)
    member = Member(pipeline, payload, declared, b"", float("inf"))
    answer = model.run_batch([member], time.monotonic)[0]
    if answer.error is not None:
        return (f"{answer.error.label}: {answer.error.message}",)
    outputs: Mapping[str, Array] = {}
    wanted: Mapping[str, Array] = {}
    if "outputs" in sample.expect:
        path = inside(model.folder.folder, str(sample.expect["outputs"]), "golden.expect.outputs")
        wanted = read_arrays(path)
        prepared = model.pipeline(pipeline).prepare(payload, declared, StreamState())
        outputs = _real(model, model.run_rows(prepared.rows))
    return differences(sample.expect, Observed(answer.prediction, answer.rows, outputs, wanted))


def read_arrays(path: Path) -> dict[str, Array]:
    """Return the arrays of an .npz file; nothing in it is ever unpickled.

    Raises:
        LoadFailed: It is no such file, or too large.
    """
    import zipfile  # only cards with raw outputs pay for it

    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
        if total > _MOST_ARRAY_BYTES:
            raise LoadFailed(f"{path}: unpacks to {total} bytes, more than {_MOST_ARRAY_BYTES}")
        with np.load(path, allow_pickle=False) as members:
            arrays = {name: members[name] for name in members.files}
    except (
        MemoryError,
        OSError,
        ValueError,
        EOFError,
        KeyError,
        zipfile.BadZipFile,
        NotImplementedError,
    ) as error:
        raise LoadFailed(f"{path}: not an .npz of plain arrays: {error}") from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # NumPy gives back the bytes of what it does not know
            raise LoadFailed(f"{path}: {name} is no array")
    return arrays


def _real(model: LoadedModel, rows: list[Mapping[str, Array]]) -> dict[str, Array]:
    """Return the outputs as real values, rows stacked on axis 0."""
    specs = model.engine.outputs
    if not rows:
        return {}
    return {
        spec.name: np.concatenate([dequantize(row[spec.name], spec.quantization) for row in rows])
        for spec in specs
    }
