"""Looks for the device nodes of graphics processors, and whose they are."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gateway.configuration.settings import Settings
from gateway.doctor.readers.service import Service, known_groups
from gateway.doctor.rules.gpu import GROUPS, GpuFacts, NvmlFacts
from gateway.doctor.rules.jetson import is_jetson
from gateway.doctor.rules.who import Node
from gateway.inference.engines.board import Board
from gateway.inference.engines.plugins import CUDA, TENSORRT

# What CUDA opens on a Jetson, from release 32 to 39, and on a card.
_NODES: Final = (
    "nvmap",
    "nvhost*",
    "nvgpu/*/*",
    "nvidia[0-9]*",
    "nvidiactl",
    "nvidia-uvm",
    "host1x*",
    "dri/renderD*",
)
_MOST_NODES: Final = 200


def read_gpu(
    root: Path, settings: Settings, board: Board, service: Service, nvml: NvmlFacts | None
) -> GpuFacts:
    """Read the facts of the graphics processor.

    Args:
        root: Where ``/`` is.
        settings: Say whether a model asks for a GPU.
        board: Which board this is.
        service: Who opens the nodes.
        nvml: What NVML answered; None if it was not asked.
    """
    asked = {provider for model in settings.models.values() for provider in model.providers}
    return GpuFacts(
        jetson=is_jetson(board),
        jetpack=board.jetpack,
        nodes=_nodes(root),
        known_groups=known_groups(root) & frozenset(GROUPS),
        who=service.who,
        wanted=bool(asked & {CUDA, TENSORRT}),
        hidden=service.installed and service.properties.get("PrivateDevices") == "yes",
        nvml=nvml,
    )


def _nodes(root: Path) -> tuple[Node, ...]:
    found = []
    for pattern in _NODES:
        for path in sorted((root / "dev").glob(pattern)):
            try:
                facts = path.stat()
            except OSError:
                continue  # it went while we looked
            name = f"/{path.relative_to(root)}"
            found.append(Node(name, facts.st_uid, facts.st_gid, facts.st_mode & 0o777))
    return tuple(found[:_MOST_NODES])
