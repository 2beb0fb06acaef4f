"""Which streams suit which pipelines."""

from __future__ import annotations

import pytest

from gateway.daemon.fit import fits
from gateway.frames.declaration import Declaration

TENSOR = "application/vnd.gateway.tensor"


@pytest.mark.parametrize(
    ("declared", "kinds"),
    [
        (Declaration(), {"images", "sound", "numbers", "tensors"}),
        (Declaration(media="image/jpeg"), {"images"}),
        (Declaration(media="audio/pcm", dtype="int16"), {"sound"}),
        (Declaration(media="application/json"), {"numbers", "tensors"}),
        (Declaration(media="application/senml+cbor"), {"numbers", "tensors"}),
        (Declaration(media=TENSOR, dtype="int16", shape=(-1, 6)), {"numbers", "tensors"}),
        (Declaration(media=TENSOR, dtype="uint8", shape=(224, 224, 3)), {"images", "numbers", "tensors"}),
        (Declaration(dtype="float32", shape=(100, 6)), {"numbers", "tensors"}),
    ],
)
def test_a_stream_suits_the_pipelines_that_can_read_what_it_declares(
    declared: Declaration, kinds: set[str]
) -> None:
    assert {kind for kind in ("images", "sound", "numbers", "tensors") if fits(kind, declared)} == kinds
