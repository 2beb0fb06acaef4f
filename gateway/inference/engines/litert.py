"""LiteRT: the default runtime of .tflite files (package ``ai-edge-litert``).

Its Interpreter runs them unless the delegates name ``compiled`` or ``webgpu``:
CompiledModel maps an accelerator into the process that ends it on cores without
the instructions it was compiled for, so those cores never see it.
"""

from __future__ import annotations

from pathlib import Path

from gateway.errors import LoadFailed
from gateway.inference.engines.board_facts import processor
from gateway.inference.engines.compiled_litert import CompiledLitert
from gateway.inference.engines.engine import Engine, EngineOptions, ModelSource
from gateway.inference.engines.precision import COMPILED, WEBGPU, rulings
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
    facts = (NAME, _version(Path(ai_edge_litert.__file__)))
    backend = next((name for name in options.delegates if name in (COMPILED, WEBGPU)), "")
    if not backend:
        return TfliteInterpreter(interpreter, facts, source, options)
    told = rulings(NAME, backend, None, processor())[0]
    if not told.allowed:
        raise LoadFailed(f"{source.name}: delegate {backend}: {told.why}")
    from ai_edge_litert import compiled_model

    return CompiledLitert((compiled_model, interpreter), facts, source, (backend, options.threads))


def _version(module_file: Path) -> str:
    """Return the version that lies beside the package: it has no ``__version__``.

    ``importlib.metadata`` would know too, and cost each lane 2 MB and 20 ms.
    """
    beside = module_file.parent.parent.glob("ai_edge_litert-*.dist-info")
    return next((path.stem.partition("-")[2] for path in sorted(beside)), "unknown")
