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
        latency_ms: Median of a warm run of one row, of the golden samples if there are any.
        memory_bytes: Anonymous memory that the process held more after loading and running.
        golden: Golden samples that held, by file.
        load_s: Seconds to load and warm up.
        p99_ms: The slow end of the same runs; the slowest where they are fewer than a hundred.
        peak_rss_bytes: The most memory that the process ever held, files and libraries included.
        mapped: SHA-256 in hex of the mapped bytes of the model file.
        weights: Name and SHA-256 of each file of weights beside it.
        confined: What kept the process from doing harm.
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
    load_s: float = 0.0
    p99_ms: float = 0.0
    peak_rss_bytes: int = 0
    mapped: str = ""
    weights: tuple[tuple[str, str], ...] = ()
    confined: str = ""

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
                float(known["load_s"]),
                float(known["p99_ms"]),
                int(known["peak_rss_bytes"]),
                str(known["mapped"]),
                tuple((str(name), str(digest)) for name, digest in known["weights"]),
                str(known["confined"]),
            )
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"not a proof: {error!r}") from error
        return proof


@dataclass(frozen=True, slots=True)
class ProofBudgets:
    """What a model may cost; 0 means no bound.

    Attributes:
        load_s: Seconds to load and warm up.
        p99_ms: Milliseconds of one row at p99.
        memory_bytes: Anonymous memory that loading and running adds.
    """

    load_s: float = 0.0
    p99_ms: float = 0.0
    memory_bytes: int = 0


def beyond(proof: Proof, budgets: ProofBudgets) -> tuple[str, ...]:
    """Return one sentence for each budget that a model exceeds; empty if it keeps to all."""
    seen = (
        ("loads and warms up in", proof.load_s, budgets.load_s, "s"),
        ("takes at p99", proof.p99_ms, budgets.p99_ms, "ms"),
        ("holds", proof.memory_bytes / 1e6, budgets.memory_bytes / 1e6, "MB"),
    )
    return tuple(
        f"{what} {found:.3g} {unit}, its budget is {bound:.3g} {unit}"
        for what, found, bound, unit in seen
        if bound and found > bound
    )


def _tensor(entry: Mapping[str, Any]) -> TensorSpec:
    held = entry["quantization"]
    quantization = None if held is None else Quantization(held["scale"], held["zero_point"])
    return TensorSpec(entry["name"], entry["dtype"], tuple(entry["shape"]), quantization)
