"""What KServe's client 0.21 sends, byte for byte as it was recorded, gets the answers that it can read.

The package itself brings a hundred others along, so its client is not installed for the tests.
"""

from __future__ import annotations

import asyncio
from typing import Final

import numpy as np
import pytest

from tests.serving.rpc.door import open_door
from tests.serving.rpc.raw_client import client_of

# Two tensors of four numbers, named A and B: in lists with parameters, raw, and in lists alone.
INFERENCES: Final = {
    "typed": (
        "0a036164641a013922080a017812031a017922110a0b73657175656e63655f6964120210032a160a01411205494e5433321a0201"
        "042a061204000102032a160a01421205494e5433321a0201042a06120400010203"
    ),
    "raw": (
        "0a036164641a01392a260a01411205494e5433321a02010422160a1062696e6172795f646174615f73697a65120210102a260a01"
        "421205494e5433321a02010422160a1062696e6172795f646174615f73697a65120210103a100000000001000000020000000300"
        "00003a1000000000010000000200000003000000"
    ),
    "lists": (
        "0a036164641a01392a160a01411205494e5433321a0201042a061204000102032a160a01421205494e5433321a0201042a061204"
        "00010203"
    ),
}


def test_health_as_it_asks_for_it() -> None:
    async def run() -> None:
        async with open_door() as door, client_of(door.address) as client:
            assert (await client.call("ServerLive", b"")).live
            assert (await client.call("ServerReady", b"")).ready
            assert (await client.call("ModelReady", bytes.fromhex("0a03616464"))).ready

    asyncio.run(run())


@pytest.mark.parametrize("kind", sorted(INFERENCES))
def test_inference_as_it_asks_for_it(kind: str) -> None:
    async def run() -> None:
        async with open_door() as door, client_of(door.address) as client:
            answer = await client.call("ModelInfer", bytes.fromhex(INFERENCES[kind]))
            (output,), (raw,) = answer.outputs, answer.raw_output_contents
            assert (answer.id, answer.model_name, output.name, output.datatype) == (
                "9",
                "add",
                "SUM",
                "INT32",
            )
            assert np.frombuffer(raw, "<i4").reshape(output.shape).tolist() == [[0, 2, 4, 6]]
            sequence = door.models.calls[0].sequence
            assert (sequence.id if sequence else None) == ("3" if kind == "typed" else None)

    asyncio.run(run())
