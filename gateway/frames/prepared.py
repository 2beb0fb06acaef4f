"""The seam between a pipeline and an engine: model inputs, and the state a stream carries.

The worker asks a compiled pipeline to ``prepare`` a payload, runs the model on
each prepared row, and asks it to ``finish``. What must survive until the
stream's next frame (recurrent tensors, left-over samples, hysteresis) is a
``StreamState``, which the front end keeps as opaque bytes: it outlives a worker.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from gateway.errors import Malformed
from gateway.frames.declaration import Declaration
from gateway.tensor import Array

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]


@dataclass(slots=True)
class StreamState:
    """What one stream carries from frame to frame, per pipeline. Mutable.

    Attributes:
        arrays: Named arrays (recurrent tensors, left-over samples).
        facts: Named plain values (is speech on, seconds seen so far ...).
    """

    arrays: dict[str, Array] = field(default_factory=dict)
    facts: dict[str, JsonValue] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return a self-describing copy: JSON head, then the arrays' bytes; empty if nothing is held."""
        if not self.arrays and not self.facts:
            return b""
        head = {
            "facts": self.facts,
            "arrays": [[name, a.dtype.str, list(a.shape)] for name, a in self.arrays.items()],
        }
        text = json.dumps(head, separators=(",", ":")).encode()
        return struct.pack("<I", len(text)) + text + b"".join(a.tobytes() for a in self.arrays.values())

    @classmethod
    def from_bytes(cls, data: bytes | memoryview) -> StreamState:
        """Rebuild what ``to_bytes`` made; the arrays are private copies.

        Raises:
            Malformed: The bytes are not such a copy.
        """
        if not len(data):
            return cls()
        view = memoryview(data)
        try:
            (length,) = struct.unpack_from("<I", view)
            head = json.loads(bytes(view[4 : 4 + length]))
            offset = 4 + length
            arrays: dict[str, Array] = {}
            for name, dtype, shape in head["arrays"]:
                count = int(np.prod(shape, dtype=np.int64))
                array = np.frombuffer(view, dtype, count, offset).reshape(shape).copy()
                arrays[name] = array
                offset += array.nbytes
            return cls(arrays, head["facts"])
        except (struct.error, ValueError, KeyError, TypeError) as error:
            raise Malformed(f"stream state: {error}") from error


@dataclass(slots=True)
class Prepared:
    """One payload, ready for the model.

    Attributes:
        rows: Model inputs by tensor name, one mapping a model run; each array
            has the model's dtype and shape with a leading axis of 1. Empty when
            there is not yet enough data (audio and numeric windows).
        notes: What post-processing needs of this payload (source size, how it
            was cropped or letter-boxed, sample positions); private to the pipeline.
        timings_ms: Milliseconds by stage (``decode``, ``preprocess``).
    """

    rows: list[dict[str, Array]]
    notes: dict[str, object] = field(default_factory=dict)
    timings_ms: dict[str, float] = field(default_factory=dict)


class CompiledPipeline(Protocol):
    """A pipeline bound to one loaded model; lives in a worker.

    Attributes:
        stateful: True if frames of one stream must run in order, one at a time.
    """

    @property
    def stateful(self) -> bool:
        """Whether state is carried from frame to frame."""
        ...

    def prepare(self, payload: memoryview, declared: Declaration, state: StreamState) -> Prepared:
        """Decode and pre-process; may take from and leave samples in ``state``.

        Raises:
            RequestRefused: The payload is at fault.
        """
        ...

    def finish(
        self, prepared: Prepared, outputs: list[Mapping[str, Array]], state: StreamState
    ) -> dict[str, JsonValue] | None:
        """Turn raw outputs (one mapping a row, leading axis 1) into a prediction.

        Returns:
            A JSON object whose ``kind`` names its form; None if there is nothing to say yet.

        Raises:
            RunFailed: The outputs cannot be read (wrong shape, NaN).
        """
        ...
