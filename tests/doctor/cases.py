"""For each check of the doctor: facts with which it is well, others with which it is not, the mend."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from gateway.config_issue import ConfigIssue
from gateway.configuration.settings import Settings
from gateway.doctor.finding import Finding, Verdict
from gateway.doctor.rules.board import judge_board
from gateway.doctor.rules.clock import ClockFacts, judge_clock
from gateway.doctor.rules.configuration import ConfigurationFacts, judge_configuration
from gateway.doctor.rules.door import DoorFacts, judge_door
from gateway.doctor.rules.gpu import NvmlFacts, judge_gpu
from gateway.doctor.rules.memory import Swap, judge_memory
from gateway.doctor.rules.models import ModelFacts, judge_models
from gateway.doctor.rules.packages import CudaLibrary, judge_packages
from gateway.doctor.rules.power import Clock, Zone, judge_power
from gateway.doctor.rules.runtimes import judge_trials
from gateway.doctor.rules.service import judge_service
from gateway.scaling.sample import HOST, DeviceMemory, Pressure, Source
from tests.doctor.sound_facts import (
    BOARD,
    GIB,
    GPU,
    MEMORY,
    MIB,
    MODEL,
    NOW_S,
    ORIN,
    OUTSIDER,
    PACKAGES,
    POWER,
    SERVICE,
    TRIAL,
)

NOTE, WARNING, PROBLEM = Verdict.NOTE, Verdict.WARNING, Verdict.PROBLEM


@dataclass(frozen=True)
class Case:
    """One check, well and not.

    Attributes:
        fine: What is said where all is well.
        wrong: What is said where it is not.
        verdict: How bad that is.
        mend: Part of a line that mends it; empty if nothing can be done.
    """

    fine: Iterable[Finding]
    wrong: Iterable[Finding]
    verdict: Verdict
    mend: str


def models(*facts: ModelFacts, available_bytes: int | None = GIB) -> Iterable[Finding]:
    """Judge models with the settings' own reserve."""
    reserve = Settings().scaling.reserve_bytes
    return judge_models(facts, available_bytes=available_bytes, reserve_bytes=reserve, file="gateway.yaml")


ISSUE = ConfigIssue("gateway.yaml", 3, 5, "mqtt.keepalive", "unknown key; did you mean keepalive_s?")
FULL = DeviceMemory(HOST, Source.MEMINFO, "it is all there is", 8 * GIB, GIB)
# What PyPI's aarch64 wheel of onnxruntime-gpu was found to hold.
OTHERS = CudaLibrary("sm_89, sm_90, sm_120, sm_121", fits=False)
TFLITE = {**PACKAGES.versions, "tflite-runtime": "2.14.0"}

CASES: Final[dict[str, Case]] = {
    "configuration.file": Case(
        judge_configuration(ConfigurationFacts("gateway.yaml")),
        judge_configuration(ConfigurationFacts("gateway.yaml", (ISSUE,))),
        PROBLEM,
        "editor +3 gateway.yaml",
    ),
    "service.unit": Case(
        judge_service(SERVICE),
        judge_service(replace(SERVICE, active="failed", sub="failed", result="watchdog", restarts=5)),
        PROBLEM,
        "sudo systemctl reset-failed gateway.service && sudo systemctl start gateway.service",
    ),
    "service.ready": Case(
        judge_door(DoorFacts("127.0.0.1:8080", True, answers=True, ready=True), "gateway.service"),
        judge_door(
            DoorFacts("127.0.0.1:8080", True, answers=True, reasons=("canary:door",)), "gateway.service"
        ),
        PROBLEM,
        "journalctl -u gateway.service",
    ),
    "service.descriptors": Case(
        judge_service(SERVICE), judge_service(replace(SERVICE, open_files=64)), WARNING, "LimitNOFILE=4096"
    ),
    "service.journal": Case(
        judge_service(SERVICE),
        judge_service(replace(SERVICE, journal="volatile")),
        NOTE,
        "sudo mkdir -p /var/log/journal",
    ),
    "board.model": Case(
        judge_board(BOARD),
        judge_board(replace(BOARD, board=replace(ORIN, soc="tegra999", sm=None))),
        NOTE,
        "",
    ),
    "board.jetpack": Case(
        judge_board(BOARD),
        judge_board(replace(BOARD, board=replace(ORIN, l4t="", jetpack=0))),
        WARNING,
        "sudo apt install nvidia-l4t-core",
    ),
    "board.python": Case(
        judge_board(BOARD),
        judge_board(replace(BOARD, python="3.11.9")),
        NOTE,
        "sudo scripts/install --python /usr/bin/python3.10",
    ),
    "board.libc": Case(judge_board(BOARD), judge_board(replace(BOARD, glibc="2.23")), PROBLEM, "glibc 2.27"),
    "board.kernel": Case(
        judge_board(BOARD), judge_board(replace(BOARD, kernel="3.10.96")), PROBLEM, "apt full-upgrade"
    ),
    "board.systemd": Case(
        judge_board(BOARD), judge_board(replace(BOARD, systemd=229)), WARNING, "apt full-upgrade"
    ),
    "board.processors": Case(
        judge_board(BOARD), judge_board(replace(BOARD, threads=(8, 1))), WARNING, "models.*.lanes"
    ),
    "board.openblas": Case(
        judge_board(replace(BOARD, cores=frozenset({"0xd07"}), openblas="ARMV8")),
        judge_board(replace(BOARD, cores=frozenset({"0xd07"}))),
        WARNING,
        "Environment=OPENBLAS_CORETYPE=ARMV8",
    ),
    "packages.requirements": Case(
        judge_packages(PACKAGES),
        judge_packages(replace(PACKAGES, unmet=("tuf is not installed",))),
        PROBLEM,
        "pip install -U jetson-gateway",
    ),
    "packages.onnxruntime": Case(
        judge_packages(PACKAGES),
        judge_packages(replace(PACKAGES, versions={**PACKAGES.versions, "onnxruntime": "1.23.2"})),
        PROBLEM,
        "pip uninstall -y onnxruntime onnxruntime-gpu",
    ),
    "packages.cuda_code": Case(
        judge_packages(PACKAGES),
        judge_packages(replace(PACKAGES, library=OTHERS)),
        PROBLEM,
        "jp6/cu126 onnxruntime-gpu",
    ),
    "packages.tflite": Case(
        judge_packages(PACKAGES),
        judge_packages(replace(PACKAGES, versions={"numpy": "2.2.6"})),
        PROBLEM,
        "pip install ai-edge-litert",
    ),
    "packages.numpy": Case(
        judge_packages(replace(PACKAGES, versions={"tflite-runtime": "2.14.0", "numpy": "1.26.4"})),
        judge_packages(replace(PACKAGES, versions=TFLITE)),
        WARNING,
        "pip install 'numpy<2'",
    ),
    "packages.nvml": Case(
        judge_packages(PACKAGES),
        judge_packages(replace(PACKAGES, versions={**PACKAGES.versions, "pynvml": "13.0.1"})),
        NOTE,
        "pip uninstall -y pynvml",
    ),
    "runtimes.runs": Case(
        judge_trials([TRIAL], PACKAGES.pip),
        judge_trials(
            [replace(TRIAL, latency_ms=None, error="the process was ended by SIGILL")], PACKAGES.pip
        ),
        PROBLEM,
        "OPENBLAS_CORETYPE=ARMV8",
    ),
    "gpu.devices": Case(judge_gpu(GPU), judge_gpu(replace(GPU, nodes=())), PROBLEM, "sudo dmesg"),
    "gpu.access": Case(
        judge_gpu(GPU),
        judge_gpu(replace(GPU, who=OUTSIDER)),
        PROBLEM,
        "sudo usermod -aG video,render gateway",
    ),
    "gpu.groups": Case(
        judge_gpu(GPU),
        judge_gpu(replace(GPU, who=OUTSIDER)),
        PROBLEM,
        "sudo usermod -aG video,render gateway",
    ),
    "gpu.nvml": Case(
        judge_gpu(GPU),
        judge_gpu(
            replace(GPU, nvml=NvmlFacts("", "", {"Orin (nvgpu)": {"name": "ok", "memory": "not supported"}}))
        ),
        NOTE,
        "",
    ),
    "memory.room": Case(
        judge_memory(MEMORY), judge_memory(replace(MEMORY, memory=(FULL,))), WARNING, "ps -eo rss"
    ),
    "memory.source": Case(
        judge_memory(MEMORY), judge_memory(replace(MEMORY, memory=())), PROBLEM, "ProcSubset"
    ),
    "memory.pressure": Case(
        judge_memory(MEMORY), judge_memory(replace(MEMORY, pressure=Pressure("vmstat"))), NOTE, "psi=1"
    ),
    "memory.cgroup": Case(
        judge_memory(MEMORY),
        judge_memory(replace(MEMORY, groups="hybrid")),
        NOTE,
        "systemd.unified_cgroup_hierarchy=1",
    ),
    "memory.locking": Case(
        judge_memory(MEMORY), judge_memory(replace(MEMORY, lock_bytes=8 * MIB)), WARNING, "LimitMEMLOCK=192M"
    ),
    "memory.swap": Case(
        judge_memory(MEMORY),
        judge_memory(replace(MEMORY, swaps=(Swap("/dev/mmcblk0p2", 4 * GIB, 3 * GIB),))),
        WARNING,
        "ps -eo rss",
    ),
    "memory.overcommit": Case(
        judge_memory(MEMORY),
        judge_memory(replace(MEMORY, overcommit=2)),
        WARNING,
        "echo vm.overcommit_memory=0 | sudo tee /etc/sysctl.d/60-gateway.conf",
    ),
    "power.mode": Case(
        judge_power(POWER), judge_power(replace(POWER, mode="15W")), NOTE, "sudo nvpmodel -m 2"
    ),
    "power.clocks": Case(
        judge_power(POWER),
        judge_power(replace(POWER, clocks=(Clock("gpu", 3.06e8, 3.06e8, 1.02e9),))),
        NOTE,
        "sudo jetson_clocks",
    ),
    "power.throttling": Case(
        judge_power(POWER), judge_power(replace(POWER, throttled=("thermal",))), WARNING, "nvfancontrol"
    ),
    "power.heat": Case(
        judge_power(POWER),
        judge_power(replace(POWER, zones=(Zone("tj-thermal", 99.5, 99.0),))),
        WARNING,
        "fan",
    ),
    "clock.year": Case(
        judge_clock(ClockFacts(NOW_S, True)), judge_clock(ClockFacts(60.0, None)), PROBLEM, "set-ntp true"
    ),
    "clock.synchronised": Case(
        judge_clock(ClockFacts(NOW_S, True)),
        judge_clock(ClockFacts(NOW_S, False)),
        WARNING,
        "sudo timedatectl set-ntp true",
    ),
    "models.runs": Case(
        models(MODEL),
        models(replace(MODEL, error="model door: load: the process that tried it was ended by SIGSEGV")),
        PROBLEM,
        "gateway check gateway.yaml",
    ),
    "models.backend": Case(
        models(MODEL),
        models(replace(MODEL, failed=("TensorrtExecutionProvider int8: no kernel image",))),
        WARNING,
        "models.door.providers",
    ),
    "models.in_time": Case(
        models(MODEL), models(replace(MODEL, p99_ms=1200.0)), PROBLEM, "ttl_ms of its pipelines above 2400"
    ),
    "models.sharing": Case(
        models(MODEL), models(replace(MODEL, shares=False)), NOTE, "set models.door.threads: 1"
    ),
    "models.room": Case(
        models(MODEL), models(replace(MODEL, memory_bytes=GIB)), WARNING, "models.*.lanes: 1"
    ),
}
