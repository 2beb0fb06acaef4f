"""Reads which packages are installed, and what the CUDA library of ONNX Runtime was compiled for."""

from __future__ import annotations

import os
import sys
from importlib import metadata, util
from pathlib import Path
from typing import Final

from gateway.configuration.settings import Settings
from gateway.doctor.rules.packages import LOOKED_FOR, CudaLibrary, PackageFacts
from gateway.doctor.rules.version import name_of, unmet
from gateway.errors import LoadFailed
from gateway.inference.engines.board import Board
from gateway.inference.engines.fatbin import gpu_code

_OWN_NAME: Final = "jetson-gateway"
_CUDA_LIBRARY: Final = "capi/libonnxruntime_providers_cuda.so"
_FORMATS: Final = {".onnx": "onnx", ".tflite": "tflite"}


def read_packages(settings: Settings, board: Board) -> PackageFacts:
    """Read what is installed for this interpreter."""
    versions = {name: version for name in LOOKED_FOR if (version := installed(name)) is not None}
    models = settings.models.values()
    return PackageFacts(
        pip=pip_command(),
        versions=versions,
        unmet=_unmet(),
        formats=frozenset(form for model in models for form in _formats(Path(model.path))),
        providers=frozenset(provider for model in models for provider in model.providers),
        capability=board.sm,
        library=read_cuda_library(_runtime(), board.sm),
        jetpack=board.jetpack,
    )


def pip_command() -> str:
    """Return how pip is called for this interpreter, by a user who may not write there."""
    sudo = "" if os.access(sys.prefix, os.W_OK) else "sudo "
    return f"{sudo}{sys.executable} -m pip"


def installed(name: str) -> str | None:
    """Return the version of an installed package; None if it is absent."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _unmet() -> tuple[str, ...]:
    """Return what the gateway's own requirements lack; nothing if it runs out of its source tree."""
    try:
        requirements = metadata.requires(_OWN_NAME) or []
    except metadata.PackageNotFoundError:
        return ()
    found = (unmet(each, installed(name_of(each))) for each in requirements)
    return tuple(each for each in found if each)


def _formats(folder: Path) -> set[str]:
    try:
        return {_FORMATS[path.suffix] for path in folder.iterdir() if path.suffix in _FORMATS}
    except OSError:
        return set()


def read_cuda_library(runtime: Path | None, capability: int | None) -> CudaLibrary | None:
    """Return what the CUDA library of an ONNX Runtime was compiled for; None if it has none.

    Args:
        runtime: Folder of its package; None if there is none.
        capability: Which code this board's GPU runs; None if it is none that is known.
    """
    library = runtime / _CUDA_LIBRARY if runtime is not None else None
    if library is None or not library.is_file():
        return None
    try:
        code = gpu_code(library)
    except LoadFailed as error:
        return CudaLibrary(trouble=error.message)
    return CudaLibrary(str(code), None if capability is None else code.runs_on(capability))


def _runtime() -> Path | None:
    found = util.find_spec("onnxruntime")
    places = list(found.submodule_search_locations or ()) if found is not None else []
    return Path(places[0]) if places else None
