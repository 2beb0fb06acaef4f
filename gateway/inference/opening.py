"""From a model folder to a loaded engine: card, mapped bytes, structure, runtime, tensors."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import ConfigError, EngineFailed, LoadFailed
from gateway.inference.card import check_digest, check_tensors, inside, read_folder
from gateway.inference.engines.engine import Engine, EngineOptions, ModelSource
from gateway.inference.engines.select import choose, open_engine
from gateway.inference.mapping import MappedFile
from gateway.inference.structure import check_structure
from gateway.model import ModelFolder

_DERIVES = "onnxruntime"
_COPIED = "the runtime keeps a copy of its own"


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """A model folder with its engine.

    Attributes:
        folder: The card and its labels.
        engine: The loaded model.
        source: The mapped model file; it stays mapped as long as the model is loaded.
        weights: Files of weights beside it, mapped likewise.
    """

    folder: ModelFolder
    engine: Engine
    source: MappedFile
    weights: tuple[MappedFile, ...]


def open_folder(
    where: tuple[str, str, str], engine: str, options: EngineOptions, enter: Callable[[str], None]
) -> OpenedModel:
    """Read the card, map and hash the file, look at its structure, load it, compare its tensors.

    Args:
        where: The model's name, its folder, and a twin's file or nothing.
        engine: A runtime's name, or ``auto``.
        options: How the model is to run.
        enter: Told the stage that begins: ``structure``, ``load``.

    Raises:
        LoadFailed: The card or a file cannot be read or loaded, or is not of its format.
        CardMismatch: The file is not what the card says.
        OutOfMemory: The runtime could not allocate.
    """
    name, at, file = where
    enter("structure")
    try:
        folder = read_folder(at, file)
    except ConfigError as error:
        raise LoadFailed(str(error), model=name) from error
    with contextlib.ExitStack() as on_failure:
        source = MappedFile.open(inside(folder.folder, folder.card.file, "file"))
        on_failure.callback(source.close)
        check_digest(folder, source.sha256)
        _check_cache(options.engine_cache, source)
        weights = check_structure(source, folder.card.format, folder.folder)
        for each in weights:
            on_failure.callback(each.close)
        enter("load")
        loaded = _load((source, weights), folder, engine, options)
        check_tensors(folder.card, loaded.inputs, loaded.outputs)
        on_failure.pop_all()
    if not loaded.maps_file:
        source.release(_COPIED)
    return OpenedModel(folder, loaded, source, weights)


def _load(
    files: tuple[MappedFile, Sequence[MappedFile]], folder: ModelFolder, engine: str, options: EngineOptions
) -> Engine:
    source, weights = files
    kind = folder.card.format
    if weights:
        # Weights are looked for beside the model, so it must be opened by its path.
        loaded = open_engine(ModelSource(source.path, source.path.name, external=True), kind, engine, options)
        for file in (source, *weights):
            _check_unmoved(file)
        return loaded
    if options.derived and choose(kind, engine) == _DERIVES:
        made = _from_derived(source, options)
        if made is not None:
            return made
    return open_engine(ModelSource(source.engine_path, source.path.name), kind, engine, options)


def _from_derived(source: MappedFile, options: EngineOptions) -> Engine | None:
    """Load what was made of this very file before; None if there is nothing that can be used."""
    from gateway.inference.derived import DerivedFiles, derived_key
    from gateway.inference.engines.ort import version

    key = derived_key(source.sha256, _DERIVES, version(), options)
    made = DerivedFiles(Path(options.derived)).find(key)
    if made is None:
        return None
    try:
        optimised = ModelSource(made.engine_path, source.path.name, optimised=True)
        return open_engine(optimised, "onnx", _DERIVES, options)
    except EngineFailed:  # the model itself is there to say what is wrong
        return None
    finally:
        made.close()


def _check_cache(folder: str, source: MappedFile) -> None:
    """See that built engines are looked for under this file's digest: TensorRT itself looks at no weights.

    Raises:
        LoadFailed: They would be another file's.
    """
    if folder and not Path(folder).name.startswith(f"{source.sha256}-"):
        raise LoadFailed(f"{source.path}: was replaced since its engines were looked for")


def _check_unmoved(file: MappedFile) -> None:
    """See that a path which a runtime opened by name still leads to the file that was hashed.

    Raises:
        LoadFailed: It does not.
    """
    try:
        same = os.path.samestat(file.path.lstat(), file.engine_path.stat())
    except OSError as error:
        raise LoadFailed(f"{file.path}: {error.strerror or error}") from error
    if not same:
        raise LoadFailed(f"{file.path}: was replaced while it was loaded")
