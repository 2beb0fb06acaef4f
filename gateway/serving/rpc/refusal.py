"""How an error is said over gRPC: a status, words, and what programs read of it beside them. Pure."""

from __future__ import annotations

import json
import math
from typing import Final

from gateway.errors import GatewayError
from gateway.serving.error_stages import stages

LABEL_KEY: Final = "gateway-error-label"
# Every stage of the error with its facts, as JSON; its name says that the value is bytes.
STAGES_KEY: Final = "gateway-error-bin"
# How gRPC's clients are told when to come again.
_PUSHBACK_KEY: Final = "grpc-retry-pushback-ms"
_LONGEST_STAGES_BYTES: Final = 4096

Trailing = tuple[tuple[str, str | bytes], ...]


def trailing_of(error: GatewayError) -> Trailing:
    """Return the trailing metadata of an error."""
    pairs: list[tuple[str, str | bytes]] = [(LABEL_KEY, error.label)]
    said = json.dumps(stages(error), default=str).encode()
    if len(said) <= _LONGEST_STAGES_BYTES:
        pairs.append((STAGES_KEY, said))
    wait_s = error.attributes.get("retry_after_s")
    if isinstance(wait_s, int | float) and math.isfinite(wait_s):
        pairs.append((_PUSHBACK_KEY, str(max(0, math.ceil(wait_s * 1000)))))
    return tuple(pairs)
