"""An anomaly score against a threshold, with hysteresis from frame to frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gateway.configuration.option import option
from gateway.errors import RunFailed
from gateway.frames.outputs import Output, only_output, single_number
from gateway.frames.regress import rounded
from gateway.frames.steps import Answers, Finisher, Prediction, Site
from gateway.tensor import TensorSpec, dequantize

_ACTIVE = "anomaly.active"

Score = Callable[[Answers, int], float]


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A score that is an anomaly from ``threshold`` up until it falls below ``release``."""

    stateful: ClassVar[bool] = True

    threshold: float = option("Score at which an anomaly begins.")
    release: float | None = option("Score below which it ends; the threshold itself when absent.", None)
    score: str = option(
        "Where the score comes from: the output, or its distance from the input (autoencoders).",
        "output",
        choices=("output", "mean_square_error", "mean_absolute_error"),
    )
    output: str = option("Output to read; needed if the model has several.", "")

    def bind(self, site: Site) -> Finisher:
        """Bind to the output: one number, or as many as the input holds."""
        release = self.threshold if self.release is None else self.release
        if release > self.threshold:
            raise site.misfit(f"release ({release:g}) must not be above threshold ({self.threshold:g})")
        score = self._output_score(site) if self.score == "output" else self._error_score(site)

        def finish(answers: Answers) -> Prediction:
            # Every window counts: an anomaly in an earlier one must not be lost behind a quiet newest one.
            scores = [score(answers, index) for index in range(len(answers.outputs))]
            active = bool(answers.state.facts.get(_ACTIVE, False))
            seen = False
            for one in scores:
                active = one >= release if active else one >= self.threshold
                seen = seen or active
            answers.state.facts[_ACTIVE] = active
            return {
                "kind": "anomaly",
                "score": rounded(max(scores)),
                "anomaly": seen,
                "threshold": self.threshold,
            }

        return finish

    def _output_score(self, site: Site) -> Score:
        output = single_number(site, self.output)
        return lambda answers, index: float(output.real(output.codes(answers.outputs[index])).reshape(-1)[0])

    def _error_score(self, site: Site) -> Score:
        target, output = site.target(), only_output(site, self.output)
        if None in target.shape or target.shape[1:] != output.sizes:
            raise site.misfit(f"compares input and output, but {target} and {output.spec} differ in shape")
        return lambda answers, index: self._distance(target, output, answers, index)

    def _distance(self, target: TensorSpec, output: Output, answers: Answers, index: int) -> float:
        given = dequantize(answers.rows[index][target.name][0], target.quantization).astype(np.float64)
        gap = output.real(output.codes(answers.outputs[index])).astype(np.float64) - given
        error = float(np.square(gap).mean() if self.score == "mean_square_error" else np.abs(gap).mean())
        if not np.isfinite(error):
            raise RunFailed(f"output {output.spec.name} is infinitely far from the input")
        return error
