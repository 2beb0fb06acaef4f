"""Reads which packages are installed, and what the CUDA library of ONNX Runtime was compiled for."""

from __future__ import annotations

import os
import sys
from importlib import metadata, util
from pathlib import Path
from typing import Final

from gateway.configuration.settings import Settings
from gateway.doctor.rules.packages import LOOKED_FOR, GpuCode, PackageFacts
from gateway.doctor.rules.version import name_of, unmet
from gateway.inference.engines.board import Board

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
        code=_gpu_code(),
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


def _gpu_code() -> GpuCode | None:
    """Return what the CUDA library holds; None if there is none, or it cannot be read."""
    found = util.find_spec("onnxruntime")
    places = list(found.submodule_search_locations or ()) if found is not None else []
    library = Path(places[0]) / _CUDA_LIBRARY if places else None
    if library is None or not library.is_file():
        return None
    return None
