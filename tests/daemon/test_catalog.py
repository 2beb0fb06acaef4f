"""What the catalogue remembers of a release that was tried: a proof of the very files that are there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.configuration.settings import ModelSettings, Settings
from gateway.daemon.catalog import Catalog
from gateway.inference import choosing
from gateway.inference.dataplane import DataPlane
from gateway.inference.loaded import LoadSpec
from gateway.inference.proof_cache import ProofCache
from gateway.inference.proven import Proof, ProofBudgets
from tests.inference.model_folders import copy, edit
from tests.inference.test_proven import PROOF


@pytest.mark.parametrize("changed", [False, True])
def test_a_proof_is_kept_unless_the_files_changed_while_they_were_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: bool
) -> None:
    folder = copy("motion-int8", tmp_path)
    cache = ProofCache(tmp_path / "cache")
    settings = Settings(models={"motion": ModelSettings(str(folder))})
    nobody: Any = None
    tried: list[LoadSpec] = []

    async def prove(spec: LoadSpec, **_: object) -> Proof:
        tried.append(spec)
        if changed:
            edit(folder, ("version: 1.0.0", "version: 1.0.1"))
        return PROOF

    monkeypatch.setattr(choosing, "prove", prove)
    chooser = choosing.Chooser(cache, None, choosing.Unheard())
    made = Catalog(DataPlane(), (cache, chooser), nobody, nobody)
    assert asyncio.run(made.prove_release("motion", str(folder), settings, ProofBudgets())) is PROOF
    assert cache.find(cache.key(tried[0])) == (None if changed else PROOF)
