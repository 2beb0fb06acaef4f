"""Raw outputs as JSON, for those who post-process elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gateway.configuration.option import option
from gateway.errors import RunFailed
from gateway.frames.outputs import Output, named_output
from gateway.frames.prepared import JsonValue
from gateway.frames.steps import Answers, Finisher, Prediction, Site


@dataclass(frozen=True, slots=True)
class TensorsOut:
    """The outputs as they are; rows are stacked on axis 0."""

    stateful: ClassVar[bool] = False

    outputs: tuple[str, ...] = option("Outputs to give; all when empty.", ())
    dequantise: bool = option("Give real values (float32) instead of codes.", False)
    max_elements: int = option("Most numbers in one prediction.", 65_536, minimum=1, maximum=4_194_304)

    def bind(self, site: Site) -> Finisher:
        """Bind to the outputs; their fixed sizes must stay within ``max_elements``."""
        names = self.outputs or tuple(spec.name for spec in site.model.data_outputs())
        chosen = [named_output(site, name) for name in names]
        least = sum(output.elements or 0 for output in chosen)
        if least > self.max_elements:
            raise site.misfit(f"the outputs hold {least} numbers, max_elements is {self.max_elements}")
        return lambda answers: {"kind": "tensors", "tensors": self._tensors(chosen, answers)}

    def _tensors(self, chosen: list[Output], answers: Answers) -> list[JsonValue]:
        room = self.max_elements
        tensors: list[JsonValue] = []
        for output in chosen:
            stacked = np.stack([output.codes(row) for row in answers.outputs])
            room -= stacked.size
            if room < 0:
                raise RunFailed(f"the outputs hold more than {self.max_elements} numbers (max_elements)")
            if self.dequantise or stacked.dtype.kind == "f":
                real = output.real(stacked)  # refuses what JSON cannot say
                stacked = real if self.dequantise else stacked
            form: Prediction = {
                "name": output.spec.name,
                "dtype": str(stacked.dtype),
                "shape": list(stacked.shape),
                "data": stacked.reshape(-1).tolist(),
            }
            tensors.append(form)
        return tensors
