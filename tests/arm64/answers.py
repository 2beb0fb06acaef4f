"""What the shipped models answer on this processor; run here and again on an emulated arm64.

    python answers.py MODELS OUT

``OUT.npz`` gets the tensors that the golden samples become and that the models make of them, named
``model/sample/row/in|out/tensor``; ``OUT.json`` the machine, and what each sample ends as.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from gateway.inference.golden import Observed, differences
from gateway.inference.golden_run import declaration_of, golden_rows
from gateway.inference.loaded import LoadedModel, LoadSpec, Member, PipelineSpec
from gateway.model import GoldenSample
from gateway.tensor import Array

_PIPELINE = "card"
# A row costs an emulated processor up to two seconds; a stream's further rows still run for its end.
_MOST_ROWS = 16


def answer(folder: Path, tensors: dict[str, Array]) -> dict[str, Any]:
    """Load a model and run its golden samples as a worker does; return what they end as.

    Raises:
        GatewayError: It does not load or run.
    """
    spec = LoadSpec(folder.name, str(folder), pipelines=(PipelineSpec(_PIPELINE),))
    model = LoadedModel.load(spec)
    counts: dict[str, int] = {}
    for sample, row in golden_rows(model, _PIPELINE):
        number = counts[sample] = counts.get(sample, -1) + 1
        if number < _MOST_ROWS:
            place = f"{folder.name}/{Path(sample).name}/{number}"
            tensors.update({f"{place}/in/{name}": array for name, array in row.items()})
            outputs = model.run_rows([row])[0]
            tensors.update({f"{place}/out/{name}": array for name, array in outputs.items()})
    ends = {sample.file: _end(model, sample) for sample in model.folder.card.golden}
    said = {"engine": model.version.engine, "ends": ends}
    model.close()
    return said


def _end(model: LoadedModel, sample: GoldenSample) -> dict[str, Any]:
    """Return a sample's prediction, and what of its card's expectations it does not meet."""
    payload = memoryview((model.folder.folder / sample.file).read_bytes())
    member = Member(_PIPELINE, payload, declaration_of(sample), b"", float("inf"))
    (end,) = model.run_batch([member], time.monotonic)
    if end.error is not None:
        raise end.error
    wrong = differences(sample.expect, Observed(end.prediction, end.rows))
    return {"prediction": end.prediction, "rows": end.rows, "wrong": wrong}


def main() -> int:
    """Answer for every model of a folder; return the exit code."""
    models, out = Path(sys.argv[1]), sys.argv[2]
    tensors: dict[str, Array] = {}
    said = {folder.name: answer(folder, tensors) for folder in sorted(models.iterdir()) if folder.is_dir()}
    np.savez(out + ".npz", allow_pickle=False, **tensors)
    whole = {"machine": platform.machine(), "models": said}
    Path(out + ".json").write_text(json.dumps(whole), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
