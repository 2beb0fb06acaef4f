"""Execution providers that other distributions bring, found by their entry points.

A distribution adds one as an entry point of the group ``gateway.providers``: its
name is that of the provider, as configurations write it, and it names a function
that takes a ``ModelSource`` and ``EngineOptions`` and returns an ``Engine``. None
is used unless a configuration names it first among a model's providers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Final

from gateway.errors import LoadFailed
from gateway.inference.engines.engine import Engine, EngineOptions, ModelSource

ENTRY_POINTS: Final = "gateway.providers"

CPU: Final = "CPUExecutionProvider"
CUDA: Final = "CUDAExecutionProvider"
TENSORRT: Final = "TensorrtExecutionProvider"
OWN: Final = frozenset({CPU, CUDA, TENSORRT})

Opener = Callable[[ModelSource, EngineOptions], Engine]


def plugin_for(provider: str) -> Opener | None:
    """Return what opens models on a provider of another distribution; None if nobody brings it.

    Raises:
        LoadFailed: Its module cannot be imported.
    """
    if provider in OWN:
        return None
    target = _registered().get(provider)
    if target is None:
        return None
    module, _, name = target.partition(":")
    try:
        opener: Opener = getattr(import_module(module), name)
    except (ImportError, AttributeError, OSError) as error:
        raise LoadFailed(f"the registered provider {target} cannot be loaded: {error}") from error
    return opener


@cache
def _registered() -> dict[str, str]:
    from importlib.metadata import entry_points  # slow: reads every distribution's metadata

    return {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
