"""What is declared about a stream's payloads, by configuration, announcement or message.

A declaration crosses the pipe to a worker as compact JSON, so it holds plain
values only. What a message says of itself wins over what its stream says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace


@dataclass(frozen=True, slots=True)
class Declaration:
    """Declared facts about a payload; every field may be unknown.

    Attributes:
        media: Media type without parameters; empty if unknown.
        dtype: NumPy or KServe type name; empty if unknown.
        shape: Sizes, -1 for one axis of any size; empty if unknown.
        layout: Axes such as ``HWC``.
        rate_hz: Samples a second; 0 if unknown.
        channels: Channels of PCM audio.
        encoding: Wrapping: ``base64``, ``data-uri``, ``gzip`` or empty.
        fields: Paths of the numbers in JSON or CBOR.
        name: Name of the tensor.
        scale: Quantisation step of integer data; 0 if plain.
        zero_point: Code of real 0.
    """

    media: str = ""
    dtype: str = ""
    shape: tuple[int, ...] = ()
    layout: str = ""
    rate_hz: float = 0.0
    channels: int = 1
    encoding: str = ""
    fields: tuple[str, ...] = ()
    name: str = ""
    scale: float = 0.0
    zero_point: int = 0

    def overridden(self, changes: Mapping[str, object]) -> Declaration:
        """Return this declaration with some fields replaced."""
        return replace(self, **changes) if changes else self  # type: ignore[arg-type]

    def to_json(self) -> str:
        """Return compact JSON of the fields that differ from their defaults."""
        plain = Declaration()
        known = {key: value for key, value in asdict(self).items() if value != getattr(plain, key)}
        return json.dumps(known, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Declaration:
        """Rebuild what ``to_json`` made (trusted input)."""
        known = json.loads(text)
        for key in ("shape", "fields"):
            if key in known:
                known[key] = tuple(known[key])
        assert known.keys() <= {field.name for field in fields(cls)}
        return cls(**known)
