"""The newest sample as the JSON of /status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from gateway.scaling.sample import Sample


def board_words(sample: Sample | None, now_s: float) -> Mapping[str, object] | None:
    """Return a sample as JSON values; None before the first.

    Args:
        sample: The newest one.
        now_s: Now, monotonic seconds.
    """
    if sample is None:
        return None
    return {
        "age_s": round(now_s - sample.at_s, 1),
        "memory": {
            name: {**asdict(memory), "source": memory.source.value, "used_ratio": round(memory.used_ratio, 4)}
            for name, memory in sample.memory.items()
        },
        "pressure": asdict(sample.pressure),
        "troubles": list(sample.troubles),
        **asdict(sample.board),
    }
