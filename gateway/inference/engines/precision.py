"""What numbers a model may compute with, by runtime, backend and GPU: a table with its reasons. Pure.

The table answers every question, also one about a backend that nobody here knows,
and its first allowed precision is the best one there.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from gateway.inference.engines.plugins import CPU, CUDA, TENSORRT


class Precision(enum.Enum):
    """What numbers a model computes with; the value is how cards and configurations write it."""

    INT8 = "int8"
    FP16 = "fp16"
    FP32 = "fp32"


@dataclass(frozen=True, slots=True)
class Processor:
    """What rules ask of the processor.

    Attributes:
        architecture: As ``platform.machine()`` says it.
        features: Its instruction sets, as /proc/cpuinfo names them.
    """

    architecture: str = ""
    features: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Ruling:
    """Whether one precision may be used somewhere.

    Attributes:
        precision: Which.
        allowed: Whether it may.
        why: Why, or why not.
    """

    precision: Precision
    allowed: bool
    why: str


XNNPACK: Final = "xnnpack"
BUILTIN: Final = "builtin"
COMPILED: Final = "compiled"  # LiteRT's CompiledModel on the processor
WEBGPU: Final = "webgpu"  # LiteRT's CompiledModel on a GPU
TFLITE_BACKENDS: Final = (XNNPACK, BUILTIN, COMPILED, WEBGPU)
ONNX_BACKENDS: Final = (TENSORRT, CUDA, CPU)

_LEAST_FP16_SM: Final = 53
_LEAST_INT8_SM: Final = 72
_WITHOUT_INT8: Final = frozenset({53, 62})
_NEEDED_ON_ARM: Final = "asimddp"
_ARM: Final = ("aarch64", "arm64")
_X86: Final = ("x86_64", "AMD64", "i686")
_AVX_VNNI: Final = frozenset({"avx_vnni"})
_AVX512_VNNI: Final = frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"})

_OPTED: Final = "only where the configuration asks for it"


def rulings(runtime: str, backend: str, sm: int | None, processor: Processor) -> tuple[Ruling, ...]:
    """Return one ruling for each precision: what is allowed first, the best at the front.

    Args:
        runtime: ``onnxruntime``, ``litert`` or ``tflite-runtime``.
        backend: An execution provider, or one of ``TFLITE_BACKENDS``.
        sm: The GPU's compute capability as one number, such as 87; None if it is unknown.
        processor: The processor.
    """
    found = _onnx(backend, sm) if runtime == "onnxruntime" else _tflite(runtime, backend, processor)
    return tuple(sorted(found, key=lambda ruling: not ruling.allowed))


def ruling(precision: Precision, where: tuple[str, str], sm: int | None, processor: Processor) -> Ruling:
    """Return the ruling on one precision.

    Args:
        precision: Which.
        where: Runtime and backend.
        sm: The GPU's compute capability; None if it is unknown.
        processor: The processor.
    """
    return next(each for each in rulings(*where, sm, processor) if each.precision is precision)


def overflows(processor: Processor) -> bool:
    """Return whether ONNX Runtime's fastest kernels for uint8 x int8 overflow silently on a processor.

    Without VNNI they add pairs of products in 16 bits: a class's score moved by 0.2. Its kernels for
    AVX-512 go before those for AVX2, so there AVX-512's own VNNI counts.

    Args:
        processor: What it is.
    """
    if processor.architecture not in _X86:
        return False
    vnni = _AVX512_VNNI if "avx512f" in processor.features else _AVX_VNNI
    return not vnni <= processor.features


def _onnx(backend: str, sm: int | None) -> tuple[Ruling, ...]:
    if backend == TENSORRT:
        return (_tensorrt_int8(sm), _fp16(sm), _yes(Precision.FP32, "every GPU computes fp32"))
    if backend == CUDA:
        no_kernels = (
            "the CUDA provider has no kernels for quantised layers: each would run on the processor, "
            "with a copy before and after, slower than all of it there"
        )
        return (
            _fp16(sm),
            _yes(Precision.FP32, "every GPU computes fp32"),
            _no(Precision.INT8, no_kernels),
        )
    if backend == CPU:
        return (
            _yes(Precision.INT8, "the processor has integer kernels for quantised layers"),
            _yes(Precision.FP32, "the processor computes fp32"),
            _yes(Precision.FP16, "the processor computes most fp16 layers by way of fp32: right, not fast"),
        )
    return _unknown(backend)


def _tensorrt_int8(sm: int | None) -> Ruling:
    if sm is None:
        return _no(Precision.INT8, "the GPU is unknown, and TensorRT refuses int8 where it lacks it")
    if sm in _WITHOUT_INT8:
        return _no(Precision.INT8, f"sm_{sm} has no int8: an fp16 twin, or int8 on the processor")
    if sm < _LEAST_INT8_SM:
        return _no(Precision.INT8, f"TensorRT is given int8 from sm_{_LEAST_INT8_SM} on, this is sm_{sm}")
    return _yes(Precision.INT8, f"sm_{sm} has int8 tensor cores, and TensorRT reads the scales in the file")


def _fp16(sm: int | None) -> Ruling:
    if sm is None:
        return _yes(Precision.FP16, "the GPU is unknown; all that are supported compute fp16")
    if sm < _LEAST_FP16_SM:
        return _no(Precision.FP16, f"GPUs compute fp16 from sm_{_LEAST_FP16_SM} on, this is sm_{sm}")
    return _yes(Precision.FP16, f"sm_{sm} computes fp16")


def _tflite(runtime: str, backend: str, processor: Processor) -> tuple[Ruling, ...]:
    if backend in (COMPILED, WEBGPU):
        return _compiled(runtime, backend, processor)
    if backend in (XNNPACK, BUILTIN):
        quick = backend == XNNPACK and runtime == "litert"
        int8 = "XNNPACK has integer kernels" if quick else "the built-in kernels run it, many times slower"
        floats = "XNNPACK computes it" if backend == XNNPACK else "the built-in kernels compute it, slowly"
        by_fp32 = "weights are kept in fp16 and computed in fp32"
        return (
            _yes(Precision.INT8, int8),
            _yes(Precision.FP32, floats),
            _yes(Precision.FP16, by_fp32),
        )
    return _unknown(backend)


def _compiled(runtime: str, backend: str, processor: Processor) -> tuple[Ruling, ...]:
    """CompiledModel maps an accelerator that was compiled for newer cores, also to use the CPU alone."""
    lacking = ""
    if runtime != "litert":
        lacking = f"{runtime} has no CompiledModel"
    elif processor.architecture in _ARM and _NEEDED_ON_ARM not in processor.features:
        lacking = f"it would end the process by SIGILL: this processor lacks {_NEEDED_ON_ARM}"
    if lacking:
        return tuple(_no(precision, lacking) for precision in Precision)
    if backend == COMPILED:
        return tuple(_yes(precision, f"CompiledModel on the processor, {_OPTED}") for precision in Precision)
    return (
        _yes(Precision.FP16, f"experimental, {_OPTED}"),
        _yes(Precision.FP32, f"experimental, {_OPTED}"),
        _no(Precision.INT8, "the GPU accelerator computes quantised layers as floats: nothing is gained"),
    )


def _unknown(backend: str) -> tuple[Ruling, ...]:
    words = f"nothing is known of {backend}: its proof and the golden samples decide"
    return tuple(_yes(precision, words) for precision in Precision)


def _yes(precision: Precision, why: str) -> Ruling:
    return Ruling(precision, allowed=True, why=why)


def _no(precision: Precision, why: str) -> Ruling:
    return Ruling(precision, allowed=False, why=why)
