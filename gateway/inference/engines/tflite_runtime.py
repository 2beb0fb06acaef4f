"""tflite-runtime: the fallback for .tflite files where LiteRT cannot be installed.

Its last wheels are for Python 3.11 and were built against NumPy 1; with NumPy 2
they stop with an error that does not name the reason, so that is checked first.
On quantised models it is slower than LiteRT by a factor of twenty.
"""

from __future__ import annotations

import numpy as np

from gateway.errors import LoadFailed
from gateway.inference.engines.engine import Engine, EngineOptions, ModelSource
from gateway.inference.engines.tflite_interpreter import TfliteInterpreter

NAME = "tflite-runtime"
DISTRIBUTION = "tflite-runtime"


def open_model(source: ModelSource, options: EngineOptions) -> Engine:
    """Load a .tflite file.

    Raises:
        LoadFailed: The package is absent, does not fit the NumPy here, or cannot load the file.
        OutOfMemory: The runtime could not allocate.
    """
    refuse_numpy(np.__version__)
    try:
        import tflite_runtime
        from tflite_runtime import interpreter
    except (ImportError, OSError, AttributeError, SystemError) as error:
        raise LoadFailed(f"{DISTRIBUTION} cannot be imported: {error}") from error
    return TfliteInterpreter(interpreter, (NAME, str(tflite_runtime.__version__)), source, options)


def refuse_numpy(version: str) -> None:
    """Refuse a NumPy that the package was not built for.

    Raises:
        LoadFailed: It is NumPy 2 or later.
    """
    if int(version.split(".", maxsplit=1)[0]) >= 2:
        message = (
            f"{DISTRIBUTION} needs numpy below 2 and finds {version}: "
            "pip install 'numpy<2', or use ai-edge-litert (engine: litert)"
        )
        raise LoadFailed(message)
