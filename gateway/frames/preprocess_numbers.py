"""Steps for readings over time: which channels, and windows of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gateway.configuration.option import option
from gateway.errors import WrongShape
from gateway.frames.model_window import window_of
from gateway.frames.specs import NumbersSpec, ValueSpec
from gateway.frames.steps import Fitted, Journey, Site, nearest
from gateway.frames.values import Numbers
from gateway.frames.windows import STARTS, Windows


@dataclass(frozen=True, slots=True)
class Select:
    """Some channels of the readings, in the model's order."""

    takes: ClassVar[tuple[type[ValueSpec], ...]] = (NumbersSpec,)

    channels: tuple[str, ...] = option("Names of the channels as the sensor sends them.", ())
    indices: tuple[int, ...] = option(
        "Positions of the channels, from 0, where they have no names.", (), minimum=0, maximum=4095
    )

    def bind(self, spec: NumbersSpec, site: Site) -> Fitted:
        """Check that one of the two ways is used."""
        if bool(self.channels) == bool(self.indices):
            raise site.misfit("give either channels or indices")
        if spec.length is not None:
            raise site.misfit("must stand before window")
        if spec.channels is not None:
            raise site.misfit("must stand before normalise with one number a channel")
        count = len(self.channels or self.indices)
        return Fitted(replace(spec, channels=count), self._pick)

    def _pick(self, numbers: Numbers, _journey: Journey) -> Numbers:
        columns = list(self.indices)
        if self.channels:
            places = {name: index for index, name in enumerate(numbers.names)}
            for name in self.channels:
                if name not in places:
                    raise WrongShape(f"the readings have no channel {name!r}{nearest(name, numbers.names)}")
                columns.append(places[name])
        elif max(columns) >= numbers.values.shape[1]:
            raise WrongShape(
                f"the readings have {numbers.values.shape[1]} channels, index {max(columns)} is wanted"
            )
        names = tuple(numbers.names[column] for column in columns) if numbers.names else ()
        return Numbers(numbers.values[:, columns], names)


@dataclass(frozen=True, slots=True)
class Window:
    """Windows of readings, one model run each; what does not fill one waits for the next payload."""

    takes: ClassVar[tuple[type[ValueSpec], ...]] = (NumbersSpec,)

    length: int = option("Readings a window; what the model takes when 0.", 0, minimum=0, maximum=1 << 24)
    hop: int = option("Readings from one window to the next; length when 0.", 0, minimum=0, maximum=1 << 24)
    channels: int = option("Channels of a reading; what the model takes when 0.", 0, minimum=0, maximum=4096)
    carry: bool = option(
        "Let what is left wait for the next payload; when false, a payload holds whole windows "
        "and frames of one stream may run side by side.",
        True,
    )
    most: int = option("Windows that one payload may hold.", 512, minimum=1, maximum=65_536)

    def bind(self, spec: NumbersSpec, site: Site) -> Fitted:
        """Take length and channels from the model if they are not given."""
        if spec.length is not None:
            raise site.misfit("the readings are cut into windows already")
        model = window_of(site, self.length or None, self.channels or spec.channels)
        length, channels = model.length, model.channels
        if spec.channels not in {None, channels}:
            raise site.misfit(f"takes {channels} channels, but {spec.channels} come in")
        hop = self.hop or length
        if hop > length:
            raise site.misfit(f"hop ({hop}) must not be above length ({length}): readings would be skipped")
        windows = Windows(length, hop, 0, self.most, self.carry)

        def stage(numbers: Numbers, journey: Journey) -> NDArray[np.float32]:
            if numbers.values.shape[1] != channels:
                raise WrongShape(
                    f"the readings have {numbers.values.shape[1]} channels, the model takes {channels}"
                )
            cut, journey.notes[STARTS] = windows.cut(numbers.values, journey.state)
            return cut

        return Fitted(replace(spec, length=length, channels=channels), stage, stateful=self.carry)
