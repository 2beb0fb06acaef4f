"""What a board offers to models, as a value. Pure; ``board_facts`` fills it."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.inference.engines.plugins import CPU
from gateway.inference.engines.precision import Processor


@dataclass(frozen=True, slots=True)
class Board:
    """What is known of a board.

    Attributes:
        model: Name of the board; empty if none is written down.
        soc: Its chip, such as ``tegra234``; empty if it is none of NVIDIA's.
        sm: Compute capability of its GPU as one number, such as 87; None if it is unknown or there is none.
        gpu: Whether there is a GPU of NVIDIA's at all.
        sm_from: Where ``sm`` comes from, in words.
        l4t: Release of L4T, such as ``36.4.3``; empty if it has none.
        jetpack: First number of the JetPack; 0 if unknown.
        processor: Architecture and instruction sets.
        providers: Execution providers that the installed ONNX Runtime was built with, best first.
        runtime_version: Version of that runtime; empty if there is none.
        tensorrt: Version of the TensorRT library; empty if there is none.
        power_mode: The power mode's number, as nvpmodel keeps it; empty if it keeps none.
        memory_bytes: All memory of the board; 0 if unknown.
    """

    model: str = ""
    soc: str = ""
    sm: int | None = None
    gpu: bool = False
    sm_from: str = "no GPU is known"
    l4t: str = ""
    jetpack: int = 0
    processor: Processor = field(default_factory=Processor)
    providers: tuple[str, ...] = (CPU,)
    runtime_version: str = ""
    tensorrt: str = ""
    power_mode: str = ""
    memory_bytes: int = 0
