"""Damage stays within the weights, is the same for the same seed, and really damages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.updates.packing.damage import Damage, damage
from gateway.updates.packing.weights import Weights

SIZE = 40_000
WEIGHTS = (
    Weights("", 1000, 8192, "int8"),
    Weights("", 10_001, 4096, "float32"),  # not aligned, as in protobuf files
    Weights("", 20_000, 1000, "float16"),
    Weights("beside", 64, 2000, "uint8"),
)


def model(seed: int = 1) -> dict[str, np.ndarray[tuple[int], np.dtype[np.uint8]]]:
    random = np.random.default_rng(seed)
    files = {
        "": random.integers(0, 256, SIZE, np.uint8),
        "beside": random.integers(0, 256, 3000, np.uint8),
    }
    files[""][10_001 : 10_001 + 4096] = random.normal(size=1024).astype(np.float32).view(np.uint8)
    files[""][20_000:21_000] = random.normal(size=500).astype(np.float16).view(np.uint8)
    return files


@given(st.sampled_from(Damage), st.integers(0, 1 << 32))
def test_only_weights_are_damaged_and_always_the_same_way(kind: Damage, seed: int) -> None:
    before, once, twice = model(), model(), model()
    assert damage(once, WEIGHTS, kind, seed) == damage(twice, WEIGHTS, kind, seed)
    for name, data in once.items():
        assert np.array_equal(data, twice[name])
        outside = np.ones(len(data), bool)
        for each in WEIGHTS:
            if each.file == name:
                outside[each.offset : each.offset + each.size_bytes] = False
        assert np.array_equal(data[outside], before[name][outside])


@pytest.mark.parametrize("kind", Damage)
def test_damage_is_told_from_none(kind: Damage) -> None:
    files = model()
    assert damage(files, WEIGHTS, kind, 7)
    changed = sum(int((data != model()[name]).sum()) for name, data in files.items())
    assert changed > 50


def test_what_is_all_zero_cannot_be_shuffled() -> None:
    files = {"": np.zeros(100, np.uint8)}
    assert not damage(files, (Weights("", 0, 100, "int8"),), Damage.SHUFFLED, 1)


def test_noise_leaves_weights_near_where_they_were() -> None:
    files, before = model(), model()
    damage(files, WEIGHTS, Damage.NOISY, 3)
    place = slice(10_001, 10_001 + 4096)
    moved = files[""][place].view(np.float32) - before[""][place].view(np.float32)
    assert 0.2 < moved.std() < 0.4
