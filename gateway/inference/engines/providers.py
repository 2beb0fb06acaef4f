"""What ONNX Runtime's execution providers are told, said out loud instead of left to their defaults. Pure.

The defaults are for a card with memory of its own: CUDA's arena grows in powers of
two without a bound and tries every convolution with as much workspace as there
is. On a board where that memory is also everybody else's, each is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.inference.engines.engine import EngineOptions
from gateway.inference.engines.plugins import CPU, CUDA, TENSORRT

# What is read when a runtime starts. CUDA loads kernels when they are first used, not all at once. ONNX
# Runtime (1.30 and newer) would keep an id of the machine in the home folder and report its use to its maker.
ENVIRONMENT: Final[Mapping[str, str]] = {"CUDA_MODULE_LOADING": "LAZY", "ORT_DISABLE_TELEMETRY": "1"}
NO_CPU_FALLBACK: Final = "session.disable_cpu_ep_fallback"
MOST_REFUSALS: Final = 16

Pair = tuple[str, dict[str, str]]

# How builds from 1.11 to 1.32 name an option that they do not know.
_REFUSED: Final = re.compile(
    r"(?:unknown provider option|invalid (?:tensorrt|cuda|nv tensorrt rtx)? ?ep option|unknown option"
    r"|unrecognized provider option)\s*:?\s*[\"'`]?([A-Za-z0-9_]{1,64})",
    re.IGNORECASE,
)


def provider_pairs(providers: Sequence[str], options: EngineOptions) -> list[Pair]:
    """Return each provider with its options, as ``InferenceSession`` takes them."""
    return [(name, _options(name, options)) for name in providers]


def session_entries(providers: Sequence[str]) -> dict[str, str]:
    """Return configuration entries of a session on these providers.

    Where the processor is not among them, the runtime must refuse a model that needs it.
    """
    return {} if CPU in providers else {NO_CPU_FALLBACK: "1"}


def without_refused(pairs: Sequence[Pair], text: str) -> list[Pair] | None:
    """Return the pairs without the option that an error names as unknown; None if it names none of them.

    Args:
        pairs: What the runtime was given.
        text: What it said.
    """
    for found in _REFUSED.finditer(text):
        key = found.group(1)
        if any(key in options for _, options in pairs):
            return [(name, {k: v for k, v in options.items() if k != key}) for name, options in pairs]
    return None


def _options(name: str, options: EngineOptions) -> dict[str, str]:
    if name == CUDA:
        return _cuda(options)
    if name == TENSORRT:
        return _tensorrt(options)
    return {}


def _cuda(options: EngineOptions) -> dict[str, str]:
    chosen = {
        "device_id": "0",
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
        "cudnn_conv_use_max_workspace": "0",
        "do_copy_in_default_stream": "1",
    }
    if options.gpu_memory_bytes:
        chosen["gpu_mem_limit"] = str(options.gpu_memory_bytes)
    return chosen


def _tensorrt(options: EngineOptions) -> dict[str, str]:
    chosen = {
        "device_id": "0",
        # An int8 engine may take fp16 where a layer has no int8 kernel; else that layer would run in fp32.
        "trt_fp16_enable": _truth(options.precision in ("fp16", "int8")),
        "trt_int8_enable": _truth(options.precision == "int8"),
        "trt_force_sequential_engine_build": "True",
        "trt_context_memory_sharing_enable": "True",
        "trt_auxiliary_streams": "0",
        "trt_engine_cache_enable": _truth(bool(options.engine_cache)),
        "trt_timing_cache_enable": _truth(bool(options.engine_cache)),
    }
    if options.engine_cache:
        chosen["trt_engine_cache_path"] = options.engine_cache
        chosen["trt_timing_cache_path"] = options.engine_cache
    if options.gpu_workspace_bytes:
        chosen["trt_max_workspace_size"] = str(options.gpu_workspace_bytes)
    return chosen


def _truth(value: bool) -> str:
    """Return what TensorRT's options call true and false: ``1`` is refused."""
    return "True" if value else "False"
