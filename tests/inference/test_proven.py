"""Verdicts that are kept: read back whole, or not at all."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.engines.engine import EngineFacts
from gateway.inference.proven import Proof
from gateway.model import ModelVersion
from gateway.tensor import Quantization, TensorSpec

PROOF = Proof(
    ModelVersion("m", "1", "sha256:00", "litert 2 xnnpack"),
    EngineFacts("litert", "2", "xnnpack", 1),
    (TensorSpec("x", "int8", (1, None), Quantization(0.5, -1)),),
    (TensorSpec("y", "float32", ()),),
    None,
    ("main",),
    1.5,
    1 << 20,
    ("golden/a.jpg",),
)

NOT_PROOFS = ["", "[]", "{}", "null", '{"version": 1}', '{"version": {}, "facts": {}}', "[" * 9999]


def test_a_proof_comes_back_as_it_went() -> None:
    assert Proof.from_json(PROOF.to_json()) == PROOF


@pytest.mark.parametrize("text", NOT_PROOFS)
def test_what_is_no_proof_is_not_read_as_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Proof.from_json(text)


@given(
    st.sampled_from(sorted(json.loads(PROOF.to_json()))),
    st.recursive(st.none() | st.integers() | st.text(max_size=4), lambda inner: st.lists(inner, max_size=3)),
)
def test_a_key_that_holds_something_else_gives_a_proof_or_a_value_error(key: str, value: object) -> None:
    held = {**json.loads(PROOF.to_json()), key: value}
    try:
        assert isinstance(Proof.from_json(json.dumps(held)), Proof)
    except ValueError:
        assert held != json.loads(PROOF.to_json())
