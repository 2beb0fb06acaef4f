"""The step for sound: windows of samples at the model's rate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gateway.configuration.option import option
from gateway.errors import UnknownMedia
from gateway.frames.specs import AudioSpec, ValueSpec
from gateway.frames.steps import Fitted, Journey, Site
from gateway.frames.values import Audio
from gateway.frames.windows import STARTS, Windows


@dataclass(frozen=True, slots=True)
class AudioWindows:
    """Windows of samples, one model run each; what does not fill one waits for the next payload."""

    takes: ClassVar[tuple[type[ValueSpec], ...]] = (AudioSpec,)

    rate_hz: int = option("Samples a second that the model was trained on.", minimum=1, maximum=768_000)
    samples: int = option(
        "New samples a window; what the model takes less context when 0.", 0, minimum=0, maximum=1 << 24
    )
    hop: int = option("Samples from one window to the next; samples when 0.", 0, minimum=0, maximum=1 << 24)
    context: int = option("Samples before a window that are fed with it.", 0, minimum=0, maximum=1 << 24)
    most: int = option("Windows that one payload may hold.", 512, minimum=1, maximum=65_536)

    def bind(self, spec: AudioSpec, site: Site) -> Fitted:
        """Take the window's length from the model if it is not given."""
        if spec.samples is not None:
            raise site.misfit("the sound is cut into windows already")
        samples = self.samples or self._samples_of(site)
        hop = self.hop or samples
        if hop > samples:
            raise site.misfit(f"hop ({hop}) must not be above samples ({samples}): sound would be skipped")
        windows = Windows(samples, hop, self.context, self.most, carry=True)

        def stage(audio: Audio, journey: Journey) -> NDArray[np.float32]:
            if audio.rate_hz != self.rate_hz:
                raise UnknownMedia(
                    f"the sound has {audio.rate_hz:g} samples a second, the model takes {self.rate_hz}; "
                    "send that rate, or declare the stream's rate_hz if it is wrong"
                )
            cut, journey.notes[STARTS] = windows.cut(audio.samples, journey.state)
            return cut

        after = replace(spec, rate_hz=float(self.rate_hz), samples=self.context + samples, hop=hop)
        return Fitted(after, stage, stateful=True)

    def _samples_of(self, site: Site) -> int:
        target = site.target()
        count = 1
        for size in target.shape[1:]:
            if size is None:
                raise site.misfit(f"needs the option samples: {target} takes any number")
            count *= size
        if count <= self.context:
            raise site.misfit(f"context ({self.context}) leaves no new samples: {target} takes {count}")
        return count - self.context
