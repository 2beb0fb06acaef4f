"""What was seen of a model that loaded, matched its card and ran: the verdict that is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gateway.inference.engines.engine import EngineFacts
from gateway.model import ModelVersion
from gateway.tensor import Quantization, TensorSpec


@dataclass(frozen=True, slots=True)
class Proof:
    """What was seen of a model that loaded, matched its card and ran.

    Attributes:
        version: Name, version, digest and engine.
        facts: What really ran.
        inputs: Input specs as found in the file.
        outputs: Output specs as found in the file.
        max_rows: Rows that one engine run takes; None for any number.
        stateful: Names of pipelines whose frames must run in order.
        latency_ms: Median of a warm run of one row.
        memory_bytes: Anonymous memory that the process held more after loading and running.
        golden: Golden samples that held, by file.
    """

    version: ModelVersion
    facts: EngineFacts
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_rows: int | None
    stateful: tuple[str, ...]
    latency_ms: float
    memory_bytes: int
    golden: tuple[str, ...]

    def to_json(self) -> str:
        """Return JSON that ``from_json`` reads."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Proof:
        """Rebuild what ``to_json`` made.

        Raises:
            ValueError: The text is something else.
        """
        try:
            known = json.loads(text)
            proof = cls(
                ModelVersion(**known["version"]),
                EngineFacts(**known["facts"]),
                tuple(_tensor(entry) for entry in known["inputs"]),
                tuple(_tensor(entry) for entry in known["outputs"]),
                known["max_rows"],
                tuple(known["stateful"]),
                float(known["latency_ms"]),
                int(known["memory_bytes"]),
                tuple(known["golden"]),
            )
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"not a proof: {error!r}") from error
        return proof


def _tensor(entry: Mapping[str, Any]) -> TensorSpec:
    held = entry["quantization"]
    quantization = None if held is None else Quantization(held["scale"], held["zero_point"])
    return TensorSpec(entry["name"], entry["dtype"], tuple(entry["shape"]), quantization)
