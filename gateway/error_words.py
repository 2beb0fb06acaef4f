"""Errors as words that cross between processes: a label and a message. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.errors import ConfigError, GatewayBug, GatewayError, PipelineMisfit


def leaves(root: type[GatewayError] = GatewayError) -> Iterator[type[GatewayError]]:
    """Yield every class below ``root`` that has no subclasses of its own."""
    for child in root.__subclasses__():
        yield from leaves(child) if child.__subclasses__() else (child,)


def from_wire(label: str, message: str) -> GatewayError:
    """Rebuild an error that crossed a process boundary as (label, message)."""
    if label == PipelineMisfit.label:
        step, _, reason = message.partition(": ")
        return PipelineMisfit(step, reason)
    leaf = next((each for each in leaves() if each.label == label and each is not ConfigError), None)
    return leaf(message) if leaf else GatewayBug(f"{label}: {message}")
