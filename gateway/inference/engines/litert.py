"""LiteRT: the default runtime of .tflite files (package ``ai-edge-litert``)."""

from __future__ import annotations

from pathlib import Path

from gateway.errors import LoadFailed
from gateway.inference.engines.engine import Engine, EngineOptions, ModelSource
from gateway.inference.engines.tflite_interpreter import TfliteInterpreter

NAME = "litert"
DISTRIBUTION = "ai-edge-litert"


def open_model(source: ModelSource, options: EngineOptions) -> Engine:
    """Load a .tflite file.

    Raises:
        LoadFailed: The package is absent or broken, or the runtime cannot load the file.
        OutOfMemory: The runtime could not allocate.
    """
    try:
        import ai_edge_litert
        from ai_edge_litert import interpreter
    except (ImportError, OSError) as error:
        raise LoadFailed(f"{DISTRIBUTION} cannot be imported: {error}") from error
    return TfliteInterpreter(interpreter, (NAME, _version(Path(ai_edge_litert.__file__))), source, options)


def _version(module_file: Path) -> str:
    """Return the version that lies beside the package: it has no ``__version__``.

    ``importlib.metadata`` would know too, and cost each lane 2 MB and 20 ms.
    """
    beside = module_file.parent.parent.glob("ai_edge_litert-*.dist-info")
    return next((path.stem.partition("-")[2] for path in sorted(beside)), "unknown")
