"""Steps found by name: our own, and those of other distributions."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import PipelineMisfit
from gateway.frames import steps
from gateway.frames.steps import own_steps, step_class

PLUGIN = '''
from dataclasses import dataclass
from typing import ClassVar

from gateway.configuration.option import option
from gateway.frames.specs import ImageSpec
from gateway.frames.steps import Fitted
from gateway.frames.values import Image


@dataclass(frozen=True)
class Flip:
    """The picture upside down."""

    takes: ClassVar = (ImageSpec,)
    twice: bool = option("Do it twice.", False)

    def bind(self, spec, site):
        return Fitted(spec, self._flip)

    def _flip(self, image, journey):
        pixels = image.pixels if self.twice else image.pixels[::-1]
        return Image(pixels, image.source_width, image.source_height)


@dataclass(frozen=True)
class Hum:
    """Says hum."""

    stateful: ClassVar = False

    def bind(self, site):
        return lambda answers: {"kind": "tensors", "tensors": []}
'''


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install a distribution with two steps of its own, and one that cannot be loaded."""
    (tmp_path / "stepping.py").write_text(PLUGIN, encoding="utf-8")
    info = tmp_path / "stepping-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stepping\nVersion: 1.0\n", encoding="utf-8")
    points = "[gateway.steps]\npre.flip = stepping:Flip\npost.hum = stepping:Hum\npre.lost = stepping:Lost\n"
    (info / "entry_points.txt").write_text(points, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    steps._registered.cache_clear()
    yield
    steps._registered.cache_clear()
    sys.modules.pop("stepping", None)


@pytest.mark.usefixtures("plugin")
def test_a_step_of_another_distribution_runs_like_our_own() -> None:
    import numpy as np

    from gateway.frames.dry_run import dry_run
    from gateway.frames.prepared import StreamState
    from tests.frames.made import compiled, facts, picture, spec

    model = facts([spec("x", "uint8", (1, 8, 8, 3))], [spec("out", "uint8", (1, 4))])
    pipeline = compiled(model, [("flip", {}), ("resize", {})], [("hum", {})])
    image = picture(8, 8)
    (row,) = pipeline.prepare_value(image, StreamState()).rows
    np.testing.assert_array_equal(image.pixels[::-1], row["x"][0])
    dry_run(pipeline)
    with pytest.raises(PipelineMisfit, match="did you mean twice"):
        compiled(model, [("flip", {"twise": True}), ("resize", {})])


@pytest.mark.usefixtures("plugin")
def test_a_registered_step_that_cannot_be_loaded_is_named() -> None:
    with pytest.raises(PipelineMisfit, match="stepping:Lost cannot be loaded"):
        step_class("pre", "lost", "preprocess[0].lost")


def test_an_unknown_step_is_refused_with_the_nearest() -> None:
    with pytest.raises(PipelineMisfit, match="no step 'rezise'; did you mean resize") as caught:
        step_class("pre", "rezise", "preprocess[3].rezise")
    assert caught.value.step == "preprocess[3].rezise"
    with pytest.raises(PipelineMisfit, match="known: classify, detect_anchors"):
        step_class("post", "zzz", "postprocess[0].zzz")


def test_a_step_on_the_wrong_side_of_the_model_is_told_so() -> None:
    with pytest.raises(PipelineMisfit, match="classify belongs under postprocess"):
        step_class("pre", "classify", "p")
    with pytest.raises(PipelineMisfit, match="resize belongs under preprocess"):
        step_class("post", "resize", "p")


@pytest.mark.parametrize("role", ["pre", "post"])
def test_every_step_of_ours_can_be_loaded(role: str) -> None:
    for name in own_steps(role):
        cls = step_class(role, name, name)
        assert cls.__doc__
        assert callable(cls.bind)


def test_looking_up_our_own_steps_reads_no_distributions_metadata() -> None:
    code = (
        "import sys; from gateway.frames.steps import step_class; "
        "step_class('pre', 'resize', 'p'); sys.exit('importlib.metadata' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
