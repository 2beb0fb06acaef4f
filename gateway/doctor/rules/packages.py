"""What the doctor says of the installed packages: do they fit each other and this board? Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.doctor.finding import Finding, note, ok, problem, warning
from gateway.doctor.rules.version import at_least, version_of

ORT: Final = "onnxruntime"
ORT_GPU: Final = "onnxruntime-gpu"
LITERT: Final = "ai-edge-litert"
TFLITE: Final = "tflite-runtime"
NUMPY: Final = "numpy"
NVML: Final = "nvidia-ml-py"
NVML_SHIM: Final = "pynvml"
LOOKED_FOR: Final = (ORT, ORT_GPU, LITERT, TFLITE, NUMPY, NVML, NVML_SHIM)

_GPU_PROVIDERS: Final = frozenset({"CUDAExecutionProvider", "TensorrtExecutionProvider"})


@dataclass(frozen=True, slots=True)
class CudaLibrary:
    """The CUDA library of an installed ONNX Runtime.

    Attributes:
        holds: For which GPUs it was compiled, in words.
        fits: Whether this board's can run that; None if it is not known which one that is.
        trouble: Why it could not be read; empty if it could.
    """

    holds: str = ""
    fits: bool | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class PackageFacts:
    """What was read of the installed packages.

    Attributes:
        pip: How pip is called for this interpreter.
        versions: By name, of ``LOOKED_FOR``; absent ones are absent.
        unmet: What the gateway's own requirements lack, in words.
        formats: Formats of the configured models: ``onnx``, ``tflite``.
        providers: Providers that models ask for.
        capability: Which code this board's GPU runs; None if it is none that is known.
        library: The CUDA library of the installed ONNX Runtime; None if it has none.
        jetpack: Its major number; 0 elsewhere.
    """

    pip: str
    versions: Mapping[str, str]
    unmet: tuple[str, ...] = ()
    formats: frozenset[str] = frozenset()
    providers: frozenset[str] = frozenset()
    capability: int | None = None
    library: CudaLibrary | None = None
    jetpack: int = 0


def judge_packages(facts: PackageFacts) -> Iterator[Finding]:
    """Yield what is to be said of the packages."""
    yield _requirements(facts)
    yield _onnxruntime(facts)
    yield from _cuda_code(facts)
    yield _tflite(facts)
    yield from _numpy(facts)
    yield from _nvml(facts)


def _requirements(facts: PackageFacts) -> Finding:
    check = "packages.requirements"
    told = ", ".join(f"{name} {version}" for name, version in sorted(facts.versions.items()))
    # Two ONNX Runtimes are one requirement: either will do.
    lacking = tuple(
        each for each in facts.unmet if not (each.startswith(f"{ORT} ") and ORT_GPU in facts.versions)
    )
    if lacking:
        return problem(
            check,
            "; ".join(lacking),
            "parts of the gateway cannot start",
            f"{facts.pip} install -U jetson-gateway",
        )
    return ok(check, told or "nothing is missing", **facts.versions)


def _onnxruntime(facts: PackageFacts) -> Finding:
    check = "packages.onnxruntime"
    both = ORT in facts.versions and ORT_GPU in facts.versions
    if both:
        return problem(
            check,
            f"{ORT} {facts.versions[ORT]} and {ORT_GPU} {facts.versions[ORT_GPU]} are both installed",
            "they are one folder: the files of one lie over those of the other",
            f"{facts.pip} uninstall -y {ORT} {ORT_GPU}",
            f"{facts.pip} install {ORT}",
        )
    for name in (ORT, ORT_GPU):
        if name in facts.versions:
            return ok(check, f"{name} {facts.versions[name]}", version=facts.versions[name])
    say = problem if "onnx" in facts.formats else warning
    return say(check, "no ONNX Runtime", "no .onnx model can run", f"{facts.pip} install {ORT}")


def _cuda_code(facts: PackageFacts) -> Iterator[Finding]:
    check, library = "packages.cuda_code", facts.library
    wanted = bool(facts.providers & _GPU_PROVIDERS)
    if library is None:
        if wanted and ORT_GPU not in facts.versions and ORT in facts.versions:
            yield problem(
                check,
                f"{ORT} {facts.versions[ORT]} has no CUDA library, and a model asks for one",
                "the model cannot be loaded",
                *_gpu_build(facts),
            )
        return
    if library.trouble:
        yield warning(
            check,
            f"the CUDA library cannot be read: {library.trouble}",
            "for which GPUs it was made is not known; it may be cut short",
            f"{facts.pip} install --force-reinstall {ORT_GPU}",
        )
    elif library.fits is None:
        yield ok(check, f"CUDA code for {library.holds}", holds=library.holds)
    elif library.fits:
        words = f"CUDA code for {library.holds}: this board's sm_{facts.capability} can use it"
        yield ok(check, words, holds=library.holds, capability=facts.capability)
    else:
        say = problem if wanted else warning
        yield say(
            check,
            f"CUDA code for {library.holds}, none for this board's sm_{facts.capability}",
            "it installs, lists its provider, and fails at the first run: no kernel image",
            *_gpu_build(facts),
            holds=library.holds,
            capability=facts.capability,
        )


def _gpu_build(facts: PackageFacts) -> tuple[str, str]:
    """Return lines that bring a build with this board's code, or one for the processor alone."""
    if facts.jetpack == 6:
        return (
            f"{facts.pip} uninstall -y {ORT} {ORT_GPU}",
            f"{facts.pip} install --index-url https://pypi.jetson-ai-lab.io/jp6/cu126 {ORT_GPU}",
        )
    if facts.jetpack >= 7 and facts.capability is not None:
        return (
            f"build ONNX Runtime with CMAKE_CUDA_ARCHITECTURES={facts.capability}-real",
            f"or without the GPU: {facts.pip} uninstall -y {ORT_GPU} && {facts.pip} install {ORT}",
        )
    return (f"{facts.pip} uninstall -y {ORT_GPU}", f"{facts.pip} install {ORT}")


def _tflite(facts: PackageFacts) -> Finding:
    check = "packages.tflite"
    litert, old = facts.versions.get(LITERT), facts.versions.get(TFLITE)
    if litert and old:
        return note(
            check,
            f"{LITERT} {litert} and {TFLITE} {old}",
            "engine: auto takes LiteRT; the other only takes room",
            f"{facts.pip} uninstall -y {TFLITE}",
        )
    if litert:
        return ok(check, f"{LITERT} {litert}", version=litert)
    if old:
        return note(
            check,
            f"{TFLITE} {old}",
            "nobody maintains it any more, and no Python above 3.11 has it",
            f"{facts.pip} install {LITERT}",
        )
    say = problem if "tflite" in facts.formats else warning
    return say(check, "no TFLite runtime", "no .tflite model can run", f"{facts.pip} install {LITERT}")


def _numpy(facts: PackageFacts) -> Iterator[Finding]:
    check, old, numpy = "packages.numpy", facts.versions.get(TFLITE), facts.versions.get(NUMPY, "")
    if old is None:
        return
    if not at_least(version_of(numpy), (2,)):
        yield ok(check, f"{TFLITE} {old} with numpy {numpy}")
        return
    say = warning if LITERT in facts.versions else problem
    yield say(
        check,
        f"{TFLITE} {old} with numpy {numpy}",
        "it was compiled for numpy 1 and fails when it is imported: _ARRAY_API not found",
        f"{facts.pip} install 'numpy<2'",
        f"or: {facts.pip} uninstall -y {TFLITE}",
    )


def _nvml(facts: PackageFacts) -> Iterator[Finding]:
    check = "packages.nvml"
    if NVML_SHIM in facts.versions:
        yield note(
            check,
            f"{NVML_SHIM} {facts.versions[NVML_SHIM]} is installed",
            "it only points at nvidia-ml-py, and warns at every import",
            f"{facts.pip} uninstall -y {NVML_SHIM}",
            f"{facts.pip} install --force-reinstall {NVML}",
        )
    elif NVML in facts.versions:
        yield ok(check, f"{NVML} {facts.versions[NVML]}")
