"""The step that says which real values the model expects for the stored ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from gateway.configuration.option import option
from gateway.frames.specs import AudioSpec, ImageSpec, NumbersSpec, ValueSpec
from gateway.frames.steps import Fitted, Site

Normalisable = ImageSpec | AudioSpec | NumbersSpec


@dataclass(frozen=True, slots=True)
class Normalise:
    """Real values as (value * scale - mean) / std, for all channels or for each; nothing is computed here."""

    takes: ClassVar[tuple[type[ValueSpec], ...]] = (ImageSpec, AudioSpec, NumbersSpec)

    scale: tuple[float, ...] = option(
        "Factor before all else, such as 0.00392157 for levels as fractions.", (1.0,)
    )
    mean: tuple[float, ...] = option("What is taken off, after scale.", (0.0,))
    std: tuple[float, ...] = option("What is divided by, after mean.", (1.0,))
    range: tuple[float, ...] = option("Pictures: what the levels 0 and 255 become, such as [-1, 1].", ())
    as_codes: bool = option(
        "Pictures: the levels are the quantised input's own codes, the lowest for 0.",
        False,
    )

    def bind(self, spec: Normalisable, site: Site) -> Fitted:
        """Compose the map with what was asked for before; it is fused with quantisation at the end."""
        ways = [
            bool(self.range),
            self.as_codes,
            (self.scale, self.mean, self.std) != ((1.0,), (0.0,), (1.0,)),
        ]
        if sum(ways) > 1:
            raise site.misfit("give one of: range; as_codes; scale, mean and std")
        if (self.range or self.as_codes) and not isinstance(spec, ImageSpec):
            raise site.misfit("range and as_codes are for pictures")
        if self.as_codes:
            return self._as_codes(spec, site)
        if self.range:
            if len(self.range) != 2 or self.range[0] >= self.range[1]:
                raise site.misfit(f"range needs two numbers, the lower first, not {list(self.range)}")
            low, high = self.range
            return self._then(spec, ((high - low) / 255,), (low,), site)
        if 0 in self.std or 0 in self.scale:
            raise site.misfit("scale and std must not be 0")
        width = max(len(self.scale), len(self.mean), len(self.std))
        numbers = [
            values * width if len(values) == 1 else values for values in (self.scale, self.mean, self.std)
        ]
        if any(len(values) != width for values in numbers):
            raise site.misfit("scale, mean and std need one number each, or one a channel")
        factors = [scale / std for scale, std in zip(numbers[0], numbers[2], strict=True)]
        shifts = [-mean / std for mean, std in zip(numbers[1], numbers[2], strict=True)]
        return self._then(spec, factors, shifts, site)

    def _then(
        self, spec: Normalisable, factors: Sequence[float], shifts: Sequence[float], site: Site
    ) -> Fitted:
        channels = spec.channels if not isinstance(spec, AudioSpec) else 1
        if len(factors) not in {1, channels or len(factors)}:
            raise site.misfit(f"has numbers for {len(factors)} channels, but what comes in is {spec}")
        after: ValueSpec = replace(spec, affine=spec.affine.then(factors, shifts))
        if isinstance(after, NumbersSpec) and channels is None and len(factors) > 1:
            after = replace(after, channels=len(factors))
        return Fitted(after)

    def _as_codes(self, spec: Normalisable, site: Site) -> Fitted:
        target = site.target()
        if target.dtype not in {"uint8", "int8"}:
            raise site.misfit(f"as_codes needs a model that takes uint8 or int8, but it takes {target}")
        if spec.affine.channels != 1 or (spec.affine.scale, spec.affine.offset) != ((1.0,), (0.0,)):
            raise site.misfit("as_codes must be the only normalise step")
        shift = 0 if target.dtype == "uint8" else -128
        quantization = target.quantization
        if quantization is None:
            return self._then(spec, (1.0,), (shift,), site)
        real_of_zero = (shift - quantization.zero_point) * quantization.scale
        return self._then(spec, (quantization.scale,), (real_of_zero,), site)
