"""Asks NVIDIA's management library, call by call: the only importer of pynvml.

On a Jetson most calls answer NOT_SUPPORTED, or success with a zero; before
JetPack 6 there is no library at all. So every call stands alone, and what one
refuses never costs the answer of another. A call may hang: see
``gateway.scaling.nvml_thread``.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from gateway.scaling.nvml_reading import NvmlGpu, NvmlReading
from gateway.scaling.throttling import OVER_CURRENT, POWER_LIMIT, THERMAL

LIBRARY: Final = "libnvidia-ml.so.1"
_MAX_GPUS: Final = 16
_MAX_BYTES: Final = 1 << 60
# Bits of the driver's reasons for a low clock that mean: it is held back.
_REASONS: Final = ((0x04, POWER_LIMIT), (0x20 | 0x40, THERMAL), (0x80, OVER_CURRENT))

Answer = TypeVar("Answer")


class NvmlProbe:
    """The library as this process sees it: loaded when first asked, started anew after a fork or a loss."""

    def __init__(self) -> None:
        self._started_in = 0
        self._nvml: Any = None

    def read(self) -> NvmlReading:
        """Return what the library says now. Raises nothing. May take as long as the driver likes."""
        absent = self._load()
        if absent:
            return NvmlReading(absent=absent)
        nvml = self._nvml
        try:
            self._start(nvml)
            count = min(int(nvml.nvmlDeviceGetCount()), _MAX_GPUS)
        except _errors(nvml) as error:
            self._started_in = 0
            if getattr(error, "value", None) == nvml.NVML_ERROR_LIBRARY_NOT_FOUND:
                return NvmlReading(absent=f"there is no {LIBRARY}")
            return NvmlReading(trouble=_said(error))
        gpus = tuple(_Questions(nvml, index).gpu() for index in range(count))
        alive = tuple(gpu for gpu in gpus if "ok" in gpu.answers.values())
        trouble = ""
        for gpu in gpus:
            if gpu not in alive:
                trouble = f"GPU {gpu.index}: {next(iter(gpu.answers.values()))}"
                self._started_in = 0  # a driver that was taken out and put back answers after a new start
        return NvmlReading(alive, trouble=trouble, driver=self._driver(nvml))

    def close(self) -> None:
        """Forget the library; it frees what it holds when the process ends."""
        self._started_in = 0

    def _driver(self, nvml: Any) -> str:
        try:
            return _text(nvml.nvmlSystemGetDriverVersion())
        except _errors(nvml):
            return ""

    def _load(self) -> str:
        """Import the binding once there is a library; return why not, or nothing."""
        if self._nvml is not None:
            return ""
        try:
            ctypes.CDLL(LIBRARY)
        except OSError:
            return f"there is no {LIBRARY}"
        try:
            import pynvml
        except ImportError:
            return "nvidia-ml-py is not installed"
        self._nvml = pynvml
        return ""

    def _start(self, nvml: Any) -> None:
        """Start the library, unless this very process has: its state does not outlive a fork."""
        if self._started_in != os.getpid():
            nvml.nvmlInit()
            self._started_in = os.getpid()


class _Questions:
    """Everything that is asked of one graphics processor, each question on its own."""

    def __init__(self, nvml: Any, index: int) -> None:
        self._nvml = nvml
        self._errors = _errors(nvml)
        self._index = index
        self._handle: Any = None
        self._answers: dict[str, str] = {}
        self._is_unknown = False  # whether the library has no such call as the last one

    def gpu(self) -> NvmlGpu:
        """Return all answers."""
        nvml = self._nvml
        try:
            self._handle = nvml.nvmlDeviceGetHandleByIndex(self._index)
        except self._errors as error:
            return NvmlGpu(self._index, answers={"nvmlDeviceGetHandleByIndex": _said(error)})
        memory = self._ask("nvmlDeviceGetMemoryInfo", lambda info: (_size(info.total), _size(info.free)))
        total, free = memory if memory is not None else (None, None)
        sm = nvml.NVML_CLOCK_SM
        return NvmlGpu(
            self._index,
            name=self._ask("nvmlDeviceGetName", _text) or "",
            uuid=self._ask("nvmlDeviceGetUUID", _text) or "",
            total_bytes=total,
            free_bytes=free,
            load=self._ask("nvmlDeviceGetUtilizationRates", lambda rates: min(1.0, rates.gpu / 100)),
            clock_hz=self._ask("nvmlDeviceGetClockInfo", _megahertz, sm),
            max_clock_hz=self._ask("nvmlDeviceGetMaxClockInfo", _megahertz, sm),
            power_w=self._ask("nvmlDeviceGetPowerUsage", lambda milliwatts: milliwatts / 1000),
            temperature_c=self._ask("nvmlDeviceGetTemperature", float, nvml.NVML_TEMPERATURE_GPU),
            throttled=self._ask("nvmlDeviceGetCurrentClocksThrottleReasons", _reasons) or (),
            processes_bytes=self._processes(),
            answers=self._answers,
        )

    def _processes(self) -> dict[int, int]:
        """Return memory by process: who computes and draws is in both lists, and is there once."""
        found: dict[int, int] = {}
        for kind in ("Compute", "Graphics"):
            call = f"nvmlDeviceGet{kind}RunningProcesses"
            listed = self._ask(f"{call}_v3", _pairs)
            if self._is_unknown:  # drivers before 510 have the older form alone
                listed = self._ask(f"{call}_v2", _pairs)
            for pid, used in listed or ():
                found[pid] = max(used, found.get(pid, 0))
        return found

    def _ask(self, call: str, read: Callable[[Any], Answer], *arguments: Any) -> Answer | None:
        """Return one answer; None if it is refused, and remember what was said."""
        try:
            answer = read(getattr(self._nvml, call)(self._handle, *arguments))
        except self._errors as error:
            self._is_unknown = getattr(error, "value", None) == self._nvml.NVML_ERROR_FUNCTION_NOT_FOUND
            self._answers[call] = _said(error)
            return None
        self._is_unknown = False
        self._answers[call] = "ok"
        return answer


def _errors(nvml: Any) -> tuple[type[Exception], ...]:
    """Return what a call may raise: the library's errors, and those of a binding that does not fit it."""
    return (nvml.NVMLError, OSError, AttributeError, TypeError, ValueError)


def _said(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:200]


def _text(answer: str | bytes) -> str:
    """Return a name; older bindings give bytes."""
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer


def _size(number: int) -> int | None:
    """Return a size; None for the number by which the library says that it has none."""
    return number if 0 <= number < _MAX_BYTES else None


def _megahertz(number: int) -> float:
    return number * 1e6


def _reasons(bits: int) -> tuple[str, ...]:
    return tuple(reason for mask, reason in _REASONS if bits & mask)


def _pairs(processes: Iterable[Any]) -> list[tuple[int, int]]:
    return [(each.pid, _size(each.usedGpuMemory or 0) or 0) for each in processes]
