"""Outputs as named quantities with a scale and a unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gateway.configuration.option import option
from gateway.frames.outputs import only_output
from gateway.frames.steps import Answers, Finisher, Prediction, Site


@dataclass(frozen=True, slots=True)
class Regress:
    """Numbers of one output, each scaled and named; of several windows, the newest answers."""

    stateful: ClassVar[bool] = False

    names: tuple[str, ...] = option(
        "One name a number, in the output's order; the model's labels when empty.", ()
    )
    scale: tuple[float, ...] = option("Factor, for all or one a number.", (1.0,))
    offset: tuple[float, ...] = option("Summand, for all or one a number.", (0.0,))
    unit: str = option("Unit of the values, told with them.", "")
    output: str = option("Output with the numbers; needed if the model has several.", "")

    def bind(self, site: Site) -> Finisher:
        """Bind to the output; there must be one name a number."""
        output = only_output(site, self.output)
        count = output.elements
        if count is None or not 1 <= count <= 4096:
            raise site.misfit(f"needs an output of 1 to 4096 numbers, but the model gives {output.spec}")
        names = self.names or site.model.labels or (("value",) if count == 1 else ())
        if len(names) != count or len(set(names)) != count:
            raise site.misfit(f"needs {count} different names, there are {len(set(names))}")
        for key, numbers in (("scale", self.scale), ("offset", self.offset)):
            if len(numbers) not in {1, count}:
                raise site.misfit(f"{key}: needs 1 or {count} numbers, not {len(numbers)}")
        scales = self.scale if len(self.scale) == count else self.scale * count
        offsets = self.offset if len(self.offset) == count else self.offset * count
        unit: Prediction = {"unit": self.unit} if self.unit else {}

        def finish(answers: Answers) -> Prediction:
            real = output.real(output.codes(answers.outputs[-1])).reshape(-1).tolist()
            values: Prediction = {
                name: rounded(number * scale + offset)
                for name, number, scale, offset in zip(names, real, scales, offsets, strict=True)
            }
            return {"kind": "value", "values": values, **unit}

        return finish


def rounded(number: float) -> float:
    """Return ``number`` to seven significant digits: all that a float32 holds."""
    return float(f"{number:.7g}")
