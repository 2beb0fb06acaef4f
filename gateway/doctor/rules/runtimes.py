"""What the doctor says of runtimes and providers that were tried, and of those that died of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.doctor.finding import Figures, Finding, ok, problem, warning
from gateway.doctor.rules.packages import LITERT, ORT, TFLITE

PACKAGES: Final = {"litert": LITERT, "tflite-runtime": TFLITE, "onnxruntime": ORT}
_ILLEGAL: Final = "SIGILL"
_NO_KERNEL: Final = "no kernel image"


@dataclass(frozen=True, slots=True)
class Trial:
    """One runtime with one provider or delegate, tried in a process of its own.

    Attributes:
        runtime: ``litert``, ``tflite-runtime`` or ``onnxruntime``.
        provider: Provider or delegate.
        wanted: Whether a configured model asks for it, or would fall back to it.
        version: The runtime's version; empty if it did not come to that.
        backend: What really ran.
        latency_ms: Median of one run of the small model; None if it did not run.
        off_by: Greatest difference from what it must compute, as a share of it; None if it did not run.
        error: What went wrong, in words; empty if nothing did.
    """

    runtime: str
    provider: str
    wanted: bool
    version: str = ""
    backend: str = ""
    latency_ms: float | None = None
    off_by: float | None = None
    error: str = ""

    @property
    def name(self) -> str:
        """The runtime, its version and its provider."""
        return " ".join(part for part in (self.runtime, self.version, self.provider) if part)


MOST_OFF_BY: Final = 0.01  # half precision, which a GPU may choose, stays within


def judge_trials(trials: Sequence[Trial], pip: str) -> Iterator[Finding]:
    """Yield what is to be said of each trial.

    Args:
        trials: In the order in which they were made.
        pip: How pip is called.
    """
    for each in trials:
        yield _judged(each, pip)


def _judged(trial: Trial, pip: str) -> Finding:
    check = "runtimes.runs"
    figures: Figures = {"runtime": trial.runtime, "provider": trial.provider, "latency_ms": trial.latency_ms}
    say = problem if trial.wanted else warning
    if trial.error or trial.latency_ms is None:
        return say(
            check,
            f"{trial.name}: {trial.error or 'did not run'}",
            "models that use it cannot be served",
            *_mend(trial, pip),
            **figures,
        )
    if trial.off_by is None or not trial.off_by <= MOST_OFF_BY:
        return say(
            check,
            f"{trial.name}: computes something else than it must",
            "its results cannot be believed",
            *_mend(trial, pip),
            off_by=trial.off_by,
            **figures,
        )
    if trial.backend != trial.provider:
        return warning(
            check,
            f"{trial.name}: runs on {trial.backend} instead, {trial.latency_ms:.3f} ms a run",
            "models are several times slower there; it happens where /proc/cpuinfo cannot be read",
            "systemctl cat gateway | grep ProcSubset  # must not be pid",
            off_by=trial.off_by,
            **figures,
        )
    return ok(check, f"{trial.name}: {trial.latency_ms:.3f} ms a run", off_by=trial.off_by, **figures)


def _mend(trial: Trial, pip: str) -> tuple[str, ...]:
    package = PACKAGES[trial.runtime]
    if _NO_KERNEL in trial.error.lower():
        return (f"{pip} install --force-reinstall {package}  # a build with this board's code: see packages",)
    if _ILLEGAL in trial.error:
        older = f"'{package}<{trial.version}'" if trial.version else package
        return (
            "export OPENBLAS_CORETYPE=ARMV8  # then try again",
            f"{pip} install --force-reinstall {older}",
        )
    return (f"{pip} install --force-reinstall {package}",)
