"""What the doctor says of the GPU: its device nodes, who may open them, what NVML answers. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.doctor.finding import Finding, note, ok, problem, warning
from gateway.doctor.rules.who import Node, Who, may_use

GROUPS: Final = ("video", "render")


@dataclass(frozen=True, slots=True)
class NvmlFacts:
    """What NVML answered.

    Attributes:
        trouble: Why there is no NVML at all; empty if there is.
        driver: The driver's version; empty if it does not say.
        devices: By the device's name: each call, and ``ok`` or what it answered instead.
    """

    trouble: str = ""
    driver: str = ""
    devices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """What was read of the graphics processor.

    Attributes:
        jetson: Whether this is a Jetson.
        jetpack: Its major number; 0 elsewhere.
        nodes: Device nodes that a driver of a GPU makes.
        known_groups: Of ``GROUPS``, those that this system has.
        who: Who opens them.
        wanted: Whether a configured model asks for a GPU.
        hidden: Whether the unit hides every device from the service (``PrivateDevices=``).
        nvml: What NVML answered; None if it was not asked.
    """

    jetson: bool
    jetpack: int
    nodes: tuple[Node, ...]
    known_groups: frozenset[str]
    who: Who
    wanted: bool
    hidden: bool = False
    nvml: NvmlFacts | None = None


def judge_gpu(facts: GpuFacts) -> Iterator[Finding]:
    """Yield what is to be said of the graphics processor."""
    yield _devices(facts)
    if facts.hidden and (facts.wanted or (facts.jetson and facts.nodes)):
        yield _hidden(facts)
    elif facts.nodes:
        yield _access(facts)
    yield from _groups(facts)
    if facts.nvml is not None:
        yield from _nvml(facts, facts.nvml)


def _devices(facts: GpuFacts) -> Finding:
    check = "gpu.devices"
    if facts.nodes:
        names = [node.path for node in facts.nodes]
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        return ok(check, f"{', '.join(names[:4])}{more}", nodes=len(names))
    if facts.wanted:
        return problem(
            check,
            "no device node of a graphics processor",
            "a model asks for one: its driver is not loaded, or a container or PrivateDevices= hides it",
            "sudo dmesg | grep -iE 'nvgpu|nvidia|NVRM'"
            if facts.jetson
            else "set models.*.providers to the CPU",
            "in a container: docker run --runtime nvidia ...",
        )
    if facts.jetson:
        return note(
            check,
            "a Jetson without its GPU's device nodes",
            "a container or PrivateDevices= hides them; models run on the processor",
        )
    return ok(check, "no graphics processor, and no model asks for one", nodes=0)


def _hidden(facts: GpuFacts) -> Finding:
    say = problem if facts.wanted else note
    return say(
        "gpu.access",
        f"{facts.who.unit} hides all devices from the gateway (PrivateDevices=yes)",
        "right where models run on the processor; a GPU is not found",
        "sudo scripts/install --gpu",
    )


def _access(facts: GpuFacts) -> Finding:
    check = "gpu.access"
    shut = [node for node in facts.nodes if not may_use(facts.who, node)]
    if not shut:
        return ok(check, f"user {facts.who.user} may use all of them")
    say = problem if facts.wanted else note
    names = ", ".join(node.path for node in shut[:3]) + (" ..." if len(shut) > 3 else "")
    return say(
        check,
        f"user {facts.who.user} may not use {names}",
        "CUDA then fails at its first call",
        *_join_groups(facts, GROUPS),
        shut=len(shut),
    )


def _groups(facts: GpuFacts) -> Iterator[Finding]:
    check = "gpu.groups"
    if not facts.jetson or facts.who.uid == 0 or facts.hidden:
        return
    lacking = [name for name in GROUPS if name in facts.known_groups - facts.who.groups]
    if not lacking:
        yield ok(check, f"user {facts.who.user} is in {' and '.join(sorted(facts.known_groups))}")
        return
    say = problem if facts.wanted else warning
    yield say(
        check,
        f"user {facts.who.user} is not in {' nor '.join(lacking)}",
        "the GPU's device nodes belong to them: without both CUDA finds no device",
        *_join_groups(facts, tuple(lacking)),
    )


def _join_groups(facts: GpuFacts, names: tuple[str, ...]) -> tuple[str, str]:
    known = ",".join(name for name in names if name in facts.known_groups) or ",".join(names)
    return (f"sudo usermod -aG {known} {facts.who.user}", facts.who.restart)


def _nvml(facts: GpuFacts, nvml: NvmlFacts) -> Iterator[Finding]:
    check = "gpu.nvml"
    if nvml.trouble:
        if facts.jetson and 0 < facts.jetpack < 6:
            yield ok(check, f"no NVML, as on every JetPack {facts.jetpack}: sysfs is read instead")
        elif facts.jetson or facts.nodes:
            yield note(check, f"no NVML: {nvml.trouble}", "load, clocks and heat are read from sysfs alone")
        else:
            yield ok(check, f"no NVML: {nvml.trouble}")
        return
    for name, calls in nvml.devices.items():
        works = [call for call, answer in calls.items() if answer == "ok"]
        fails = {call: answer for call, answer in calls.items() if answer != "ok"}
        words = f"{name}: answers {', '.join(works) or 'nothing'}"
        if not fails:
            yield ok(check, words, device=name, **calls)
        else:
            yield note(
                check,
                f"{words}; not {', '.join(f'{call} ({answer})' for call, answer in fails.items())}",
                "what it does not answer is read from sysfs and /proc instead",
                device=name,
                **calls,
            )
