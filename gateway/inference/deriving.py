"""Making derived files off the request path: a child writes and compares them, its parent keeps them.

The child may write one file in an empty folder and nothing else, so that a model
which takes its process over cannot put anything under another model's key: the
parent names what comes out, by the digest of the bytes that it read itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import numpy as np

from gateway.errors import ConfigError, LoadFailed
from gateway.inference.card import file_digest, inside, read_folder
from gateway.inference.derived import DerivedFiles, DerivedKey, derived_key
from gateway.inference.engines.engine import ModelSource
from gateway.inference.engines.ort import NAME, open_model, write_optimised
from gateway.inference.loaded import LoadedModel, LoadSpec
from gateway.inference.opening import OpenedModel
from gateway.inference.proven import Proof
from gateway.tensor import Array

_FILE = "model.made"


async def derived_by(try_out: Callable[[str], Awaitable[Proof]], spec: LoadSpec) -> Proof:
    """Have a model tried in a workshop of its derived folder, and keep what was made; return the proof.

    A folder that cannot be written costs the derived file, not the proof.

    Args:
        try_out: Tries the model; may write the file that it is given, or gets an empty name.
        spec: The model.
    """
    files = DerivedFiles(Path(spec.options.derived))
    try:
        with files.workshop() as place:
            made = place / _FILE
            proof = await try_out(str(made))
            key = await asyncio.to_thread(_key, spec, proof)
            if key is not None:
                await asyncio.to_thread(files.keep, key, made)
            return proof
    except OSError:
        return await try_out("")


def is_derived(spec: LoadSpec, proof: Proof) -> bool:
    """Say whether a lane would find what was made of this model, or has no use for it."""
    key = _key(spec, proof)
    if key is None:
        return True
    found = DerivedFiles(Path(spec.options.derived)).find(key)
    if found is None:
        return False
    found.close()
    return True


def write_derived(model: LoadedModel, spec: LoadSpec, target: Path, rows: Sequence[dict[str, Array]]) -> bool:
    """Have the runtime write a loaded model as it optimised it; return False if nothing was gained.

    Args:
        model: Loaded from its own file.
        spec: What it was loaded from.
        target: Where to write.
        rows: Prepared rows, on which both must answer the same, bit for bit.

    Raises:
        EngineFailed: What was written cannot be loaded or run.
    """
    if model.engine.facts.runtime != NAME or model.weights:
        return False
    source = model.source.path
    write_optimised(ModelSource(source, source.name), spec.options, target)
    if file_digest(source) != model.source.sha256:
        return False
    engine = open_model(ModelSource(target, source.name, optimised=True), spec.options)
    other = LoadedModel(spec, OpenedModel(model.folder, engine, model.source, ()))
    answers = [(model.run_zeros(), other.run_zeros())]
    answers += [(model.run_rows([row])[0], other.run_rows([row])[0]) for row in rows]
    return all(
        np.array_equal(array, second[name], equal_nan=True)
        for first, second in answers
        for name, array in first.items()
    )


def _key(spec: LoadSpec, proof: Proof) -> DerivedKey | None:
    """Return the key of what is made of a model as it lies there now; None where nothing is made."""
    if proof.facts.runtime != NAME or proof.weights:
        return None
    try:
        folder = read_folder(spec.folder, spec.file)
        digest = file_digest(inside(folder.folder, folder.card.file, "file"))
    except (LoadFailed, ConfigError):
        return None
    return derived_key(digest, NAME, proof.facts.version, spec.options) if digest == proof.mapped else None
