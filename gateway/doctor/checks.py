"""The closed list of the checks and their groups, with meanings; ``docs/doctor.md`` is made of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# In the order in which they are examined: what others rest on comes first.
GROUPS: Final[Mapping[str, str]] = {
    "configuration": "The configuration file.",
    "service": "The systemd unit, its user and its limits.",
    "board": "Board, system and interpreter.",
    "packages": "Installed packages: do they fit each other and this board?",
    "runtimes": "Each runtime and provider, tried by one small model in a process of its own.",
    "gpu": "Device nodes, groups and NVML.",
    "memory": "Memory: what can be had, where that is read, what limits it.",
    "power": "Power mode, clocks, heat.",
    "clock": "The clock.",
    "store": "The disk under the model store.",
    "tls": "Certificates.",
    "broker": "The broker: reached, measured, left as it was.",
    "models": "Each configured model, proven in a process of its own.",
}

CHECKS: Final[Mapping[str, str]] = {
    "configuration.file": "The file can be read, and every key in it is known and right.",
    "service.unit": "The unit is installed, runs, and was not restarted over and over.",
    "service.ready": "The running gateway says that it is ready, or why not; nobody else has its port.",
    "service.descriptors": "The service may open enough files: each sensor, lane and client takes some.",
    "service.journal": "The journal survives a reboot, so that the reason of a crash can still be read.",
    "board.model": "Which board this is, and which code its graphics processor needs.",
    "board.jetpack": "The JetPack release, and whether its CUDA can be used from this Python.",
    "board.python": "The interpreter is one that the gateway and the runtimes' wheels are made for.",
    "board.libc": "The C library is new enough for the runtimes' wheels.",
    "board.kernel": "The kernel has what the gateway builds on.",
    "board.systemd": "The systemd that is there understands the unit.",
    "board.processors": "The lanes that the configuration starts have a processor each.",
    "board.openblas": "On a Cortex-A57 numpy's linear algebra is told not to use instructions that it lacks.",
    "packages.requirements": "Everything that the gateway needs is installed, new enough.",
    "packages.onnxruntime": "One ONNX Runtime is installed, not two over each other.",
    "packages.cuda_code": "The installed ONNX Runtime holds code for this board's graphics processor.",
    "packages.tflite": "A TFLite runtime is installed, and which one of them serves.",
    "packages.numpy": "tflite-runtime and numpy fit each other.",
    "packages.nvml": "NVML's binding is the real one, not the shim of the same module name.",
    "runtimes.runs": "A runtime or provider loads a small model, runs it, and computes what it must.",
    "gpu.devices": "The graphics processor's device nodes are there.",
    "gpu.access": "The user of the service may open them.",
    "gpu.groups": "The user of the service is in the groups video and render.",
    "gpu.nvml": "Which of NVML's calls this driver answers.",
    "memory.room": "Memory is left above the mark at which lanes are retired.",
    "memory.source": "Where the memory numbers come from, and why from there.",
    "memory.pressure": "The kernel tells when memory is short (PSI), or what stands in for that.",
    "memory.cgroup": "Which control groups there are, and the memory limit of the service.",
    "memory.locking": "Models may be locked in memory: the limit is at least their size.",
    "memory.swap": "Swap and zram: never counted as memory, slow where they lie on a card.",
    "memory.overcommit": "The kernel lets a runtime reserve more addresses than it will touch.",
    "power.mode": "The power mode, and whether a faster one exists.",
    "power.clocks": "Whether clocks are held at their highest, or follow the load.",
    "power.throttling": "Nothing holds the board back now.",
    "power.heat": "No thermal zone is at its limit.",
    "clock.year": "The clock says a year that can be.",
    "clock.synchronised": "Somebody keeps the clock right.",
    "store.space": "The disk has room beyond what is to be left free.",
    "store.quota": "The store is within its quota.",
    "store.access": "The user of the service may write there.",
    "tls.broker": "The broker's certificate: trusted, and for how long.",
    "tls.client": "The gateway's own certificate: for how long.",
    "tls.encrypted": "What goes to a broker on another machine is encrypted.",
    "broker.reachable": "The broker answers, with these credentials.",
    "broker.version": "It speaks MQTT 5.",
    "broker.packet_size": "It takes packets as large as the gateway may send.",
    "broker.qos": "It takes QoS 1.",
    "broker.retain": "It keeps retained messages.",
    "broker.receive_maximum": "It takes several unconfirmed messages at once.",
    "broker.topic_alias": "Whether it takes aliases for topics.",
    "broker.round_trip": "A message published is a message received, and how soon.",
    "broker.persistence": "Retained messages outlive a restart of the broker.",
    "models.runs": "The model loads, matches its card, and runs; what it costs.",
    "models.backend": "The model runs on the best that this board has; nothing better failed.",
    "models.in_time": "One inference is shorter than its frames live.",
    "models.sharing": "Lanes of one model share its weights, so that another one costs little.",
    "models.room": "All lanes together fit the memory that is left.",
}

# Beside those: each group can have this, when examining it took too long or failed.
UNFINISHED: Final = "unfinished"


def group_of(check: str) -> str:
    """Return the group of a check."""
    return check.partition(".")[0]


def meanings() -> dict[str, str]:
    """Return the meaning of every check, those that any group can have included."""
    unfinished = {
        f"{group}.{UNFINISHED}": "The examination of this group ended in time and without failing."
        for group in GROUPS
    }
    return {**CHECKS, **unfinished}
