"""LiteRT: the default runtime of .tflite files (package ``ai-edge-litert``)."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from gateway.errors import LoadFailed
from gateway.inference.engines.engine import Engine, EngineOptions
from gateway.inference.engines.tflite_interpreter import TfliteInterpreter

NAME = "litert"
DISTRIBUTION = "ai-edge-litert"


def open_model(path: Path, options: EngineOptions) -> Engine:
    """Load a .tflite file.

    Raises:
        LoadFailed: The package is absent or broken, or the runtime cannot load the file.
        OutOfMemory: The runtime could not allocate.
    """
    try:
        from ai_edge_litert import interpreter
    except (ImportError, OSError) as error:
        raise LoadFailed(f"{DISTRIBUTION} cannot be imported: {error}") from error
    return TfliteInterpreter(interpreter, (NAME, metadata.version(DISTRIBUTION)), path, options)
