"""Which runtime takes a model file."""

from __future__ import annotations

from importlib import util
from pathlib import Path

from gateway.errors import LoadFailed
from gateway.inference.engines.engine import Engine, EngineOptions, ModelSource
from gateway.inference.engines.plugins import plugin_for

AUTO = "auto"

# In order of preference; the module of each is imported only when it is chosen,
# because a runtime costs 10 to 20 MB of a lane.
RUNTIMES = {
    "tflite": ("litert", "tflite-runtime"),
    "onnx": ("onnxruntime",),
}
_PACKAGES = {"litert": "ai_edge_litert", "tflite-runtime": "tflite_runtime", "onnxruntime": "onnxruntime"}
_DISTRIBUTIONS = {
    "litert": "ai-edge-litert",
    "tflite-runtime": "tflite-runtime",
    "onnxruntime": "onnxruntime",
}


def choose(model_format: str, engine: str) -> str:
    """Return the name of the runtime for a format; looks at what is installed, imports nothing.

    Args:
        model_format: ``tflite`` or ``onnx``.
        engine: A runtime's name, or ``auto``.

    Raises:
        LoadFailed: The engine cannot run this format, or no fitting runtime is installed.
    """
    fitting = RUNTIMES.get(model_format, ())
    if engine != AUTO:
        if engine not in fitting:
            takes = " or ".join(fitting) or "no engine"
            raise LoadFailed(f"engine {engine} does not run .{model_format} files: {takes} does")
        return engine
    for name in fitting:
        if util.find_spec(_PACKAGES[name]) is not None:
            return name
    wanted = " or ".join(_DISTRIBUTIONS[name] for name in fitting) or "one that takes them"
    raise LoadFailed(f"no runtime for .{model_format} files is installed: pip install {wanted}")


def distribution(runtime: str) -> str:
    """Return the name under which a runtime is installed."""
    return _DISTRIBUTIONS[runtime]


def open_engine(source: ModelSource | Path, model_format: str, engine: str, options: EngineOptions) -> Engine:
    """Load a model file with the runtime that ``choose`` names.

    Raises:
        LoadFailed: No runtime fits, or it cannot load the file.
        OutOfMemory: The runtime could not allocate.
    """
    if isinstance(source, Path):
        source = ModelSource(source, source.name)
    match choose(model_format, engine):
        case "litert":
            from gateway.inference.engines import litert as runtime
        case "tflite-runtime":
            from gateway.inference.engines import tflite_runtime as runtime  # type: ignore[no-redef]
        case _:
            plugin = plugin_for(options.providers[0]) if options.providers else None
            if plugin is not None:
                return plugin(source, options)
            from gateway.inference.engines import ort as runtime  # type: ignore[no-redef]
    return runtime.open_model(source, options)
