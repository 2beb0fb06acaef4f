"""What programs read of an error over gRPC beside its status: label, stages, when to come again. Pure."""

from __future__ import annotations

import math
from typing import Final

from gateway.errors import GatewayError
from gateway.serving.error_words import error_trailers, error_words

# How gRPC's clients are told when to come again.
_PUSHBACK_KEY: Final = "grpc-retry-pushback-ms"

Trailing = tuple[tuple[str, str | bytes], ...]


def trailing_of(error: GatewayError) -> Trailing:
    """Return the trailing metadata of an error: what REST says in its body, and gRPC's word for a pause."""
    pairs = error_trailers(error_words(error))
    wait_s = error.attributes.get("retry_after_s")
    if isinstance(wait_s, int | float) and math.isfinite(wait_s):
        return (*pairs, (_PUSHBACK_KEY, str(max(0, math.ceil(wait_s * 1000)))))
    return pairs
