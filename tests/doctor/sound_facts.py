"""Facts of boards that are well: tests change one of them and see what is said."""

from __future__ import annotations

from typing import Final

from gateway.doctor.rules.board import BoardFacts
from gateway.doctor.rules.broker import BrokerFacts
from gateway.doctor.rules.gpu import GpuFacts, NvmlFacts
from gateway.doctor.rules.memory import MemoryFacts, Swap
from gateway.doctor.rules.models import ModelFacts
from gateway.doctor.rules.packages import CudaLibrary, PackageFacts
from gateway.doctor.rules.power import Clock, PowerFacts, Zone
from gateway.doctor.rules.runtimes import Trial
from gateway.doctor.rules.service import ServiceFacts
from gateway.doctor.rules.store import StoreFacts
from gateway.doctor.rules.tls import Certificate, TlsFacts
from gateway.doctor.rules.who import Node, Who
from gateway.inference.engines.board import Board
from gateway.inference.engines.precision import Processor
from gateway.mqtt.handshake import Accepted
from gateway.scaling.sample import HOST, DeviceMemory, Pressure, Source

VIDEO, RENDER, GIB, MIB = 44, 104, 1 << 30, 1 << 20
NOW_S: Final = 1_790_000_000.0  # September 2026
DAY_S: Final = 86_400.0
CUDA: Final = "CUDAExecutionProvider"

WHO = Who(
    "gateway",
    998,
    frozenset({998, VIDEO, RENDER}),
    frozenset({"gateway", "video", "render"}),
    812,
    "gateway.service",
)
OUTSIDER = Who("gateway", 998, frozenset({998}), frozenset({"gateway"}), 812, "gateway.service")
ASKER = Who("pi", 1000, frozenset({1000}), frozenset({"pi"}))

ORIN = Board(
    model="NVIDIA Jetson Orin Nano Developer Kit",
    soc="tegra234",
    sm=87,
    sm_from="every tegra234 has it",
    l4t="36.4.3",
    jetpack=6,
    processor=Processor("aarch64", frozenset({"asimddp"})),
    providers=("CUDAExecutionProvider", "CPUExecutionProvider"),
)
BOARD = BoardFacts(
    board=ORIN,
    kernel="5.15.148-tegra",
    glibc="2.35",
    python="3.10.12",
    systemd=249,
    processors=6,
    cores=frozenset({"0xd42"}),
    threads=(2, 1),
    unit="gateway.service",
)
PACKAGES = PackageFacts(
    pip="/opt/gateway/current/bin/python -m pip",
    versions={
        "onnxruntime-gpu": "1.23.0",
        "ai-edge-litert": "2.3.0",
        "numpy": "2.2.6",
        "nvidia-ml-py": "13.615.71",
    },
    formats=frozenset({"onnx", "tflite"}),
    providers=frozenset({CUDA, "CPUExecutionProvider"}),
    capability=87,
    library=CudaLibrary("sm_87", fits=True),
    jetpack=6,
)
TRIAL = Trial("onnxruntime", CUDA, True, "1.23.0", CUDA, 0.41, 0.0)
GPU = GpuFacts(
    jetson=True,
    jetpack=6,
    nodes=(
        Node("/dev/nvmap", 0, VIDEO, 0o660),
        Node("/dev/nvhost-ctrl-gpu", 0, VIDEO, 0o660),
        Node("/dev/dri/renderD128", 0, RENDER, 0o660),
    ),
    known_groups=frozenset({"video", "render"}),
    who=WHO,
    wanted=True,
    nvml=NvmlFacts("", "540.4.0", {"Orin (nvgpu)": {"name": "ok"}}),
)
MEMORY = MemoryFacts(
    memory=(DeviceMemory(HOST, Source.MEMINFO, "the GPU shares the board's memory", 8 * GIB, 5 * GIB),),
    pressure=Pressure("psi", 0.01, 0.0),
    high_mark=0.85,
    groups="v2",
    limit_bytes=None,
    lock_bytes=256 * MIB,
    model_bytes=90 * MIB,
    swaps=(Swap("/dev/zram0", 4 * GIB, 100 * MIB),),
    overcommit=0,
    jetson=True,
    who=WHO,
)
POWER = PowerFacts(
    jetson=True,
    mode="MAXN_SUPER",
    modes={0: "15W", 1: "25W", 2: "MAXN_SUPER"},
    clocks=(Clock("gpu", 1.02e9, 1.02e9, 1.02e9), Clock("cpu0", 1.7e9, 1.7e9, 1.7e9)),
    throttled=(),
    zones=(Zone("cpu-thermal", 48.5, 99.0), Zone("gpu-thermal", 49.2, None)),
)
STORE = StoreFacts(
    folder="/var/lib/gateway/models",
    nearest=Node("/var/lib/gateway/models", 998, 998, 0o750),
    updates=True,
    free_bytes=20 * GIB,
    total_bytes=60 * GIB,
    free_files=1_000_000,
    used_bytes=300 * MIB,
    quota_bytes=4 * GIB,
    reserve_bytes=64 * MIB,
    read_only=False,
    who=WHO,
)
SERVICE = ServiceFacts(
    "gateway.service", "loaded", "active", "running", "success", 0, "enabled", 16_384, 3, "persistent"
)
TLS = TlsFacts(
    encrypted=True,
    local=False,
    now_s=NOW_S,
    broker=Certificate("broker.example:8883", NOW_S - DAY_S, NOW_S + 200 * DAY_S),
    client=Certificate("/etc/gateway/client.pem", NOW_S - DAY_S, NOW_S + 90 * DAY_S),
)
BROKER = BrokerFacts(
    address="mqtts://broker.example:8883",
    local=False,
    max_packet_bytes=8_388_608,
    version=5,
    limits=Accepted(False, 20, 268_435_460, 2, True, True, 10),
    software="mosquitto version 2.0.11",
    connect_ms=3.2,
    round_trips_ms=(1.1, 0.9, 1.4),
    retained=True,
    persistent=True,
)
MODEL = ModelFacts(
    name="door",
    folder="/etc/gateway/models/door",
    engine="litert 2.3.0 xnnpack",
    why="XNNPACK has integer kernels",
    latency_ms=5.3,
    p99_ms=7.0,
    load_s=0.4,
    memory_bytes=15_000_000,
    lanes=2,
    ttl_ms=1000.0,
    shares=True,
)
