"""Class scores to the best classes with their labels."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gateway.configuration.option import option
from gateway.errors import RunFailed
from gateway.frames.outputs import Output, only_output, sigmoid
from gateway.frames.steps import Answers, Finisher, Prediction, Site
from gateway.tensor import Array

# For so few, one pass each costs less than one partition: it is little code, and still in the caches.
_FEW = 8


@dataclass(frozen=True, slots=True)
class Classify:
    """The best classes of an output with one score a class; of several windows, the newest answers."""

    stateful: ClassVar[bool] = False

    top_k: int = option("Classes in the prediction, best first.", 5, minimum=1, maximum=1000)
    activation: str = option(
        "What turns the output into scores; none if the model does so itself.",
        "none",
        choices=("none", "softmax", "sigmoid"),
    )
    output: str = option("Output with the scores; needed if the model has several.", "")

    def bind(self, site: Site) -> Finisher:
        """Bind to the output; there must be as many labels as classes, or none."""
        output = only_output(site, self.output)
        classes = output.elements
        if classes is None or classes < 1:
            raise site.misfit(
                f"needs an output with a fixed number of classes, but the model gives {output.spec}"
            )
        labels = labels_for(site, classes)
        count = min(self.top_k, classes)

        def finish(answers: Answers) -> Prediction:
            codes = output.codes(answers.outputs[-1]).reshape(-1)
            if codes.dtype.kind == "f" and not np.isfinite(codes).all():
                raise RunFailed(f"output {output.spec.name} holds NaN or infinite values")
            best = top_codes(codes, count)
            scores = self._scores(output, codes, best).tolist()
            return {
                "kind": "classification",
                "classes": [
                    {"index": index, "label": labels[index], "score": round(score, 4)}
                    for index, score in zip(best.tolist(), scores, strict=True)
                ],
            }

        return finish

    def _scores(self, output: Output, codes: Array, best: NDArray[np.intp]) -> NDArray[np.floating]:
        if self.activation == "softmax":
            real = output.real(codes).astype(np.float64)  # differences of great float32 overflow
            powers = np.exp(real - real.max())
            scores: NDArray[np.floating] = powers[best] / powers.sum()
            return scores
        picked = output.real(codes[best])
        return sigmoid(picked) if self.activation == "sigmoid" else picked


def labels_for(site: Site, classes: int) -> tuple[str, ...]:
    """Return one label a class: the model's own, or the index in digits.

    Raises:
        PipelineMisfit: There are labels, but not as many as classes.
    """
    labels = site.model.labels
    if labels and len(labels) != classes:
        raise site.misfit(f"the model tells {classes} classes apart, but there are {len(labels)} labels")
    return labels or tuple(str(index) for index in range(classes))


def top_codes(codes: Array, count: int) -> NDArray[np.intp]:
    """Return where the ``count`` greatest of ``codes`` (n,) are, best first; of equals, the lower index."""
    if count <= _FEW:
        return _few_top_codes(codes, count)
    place = len(codes) - count
    least = np.partition(codes, place)[place]
    candidates = np.flatnonzero(codes >= least)
    # Reversed, sorted stably, reversed again: equals keep their order, and uint8 needs no negation.
    order = np.argsort(codes[candidates][::-1], kind="stable")[::-1]
    best: NDArray[np.intp] = candidates[len(candidates) - 1 - order][:count]
    return best


def _few_top_codes(codes: Array, count: int) -> NDArray[np.intp]:
    left = codes.copy()
    least = left.min()
    best: list[int] = []
    while len(best) < count:
        at = int(left.argmax())  # of equals the first
        if left[at] == least:  # all that are left are equal
            others = (at for at in range(len(codes)) if at not in best)
            best += list(islice(others, count - len(best)))
            break
        best.append(at)
        left[at] = least
    return np.array(best, np.intp)
