"""A model's input for windows of readings or samples, and the last stage that fills it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.errors import NotFinite
from gateway.frames.affine import RealMap, real_map
from gateway.frames.specs import AudioSpec, NumbersSpec
from gateway.frames.steps import Site
from gateway.tensor import Array, TensorSpec


@dataclass(frozen=True, slots=True)
class ModelWindow:
    """What a model's window input holds.

    Attributes:
        length: Readings a window.
        channels: Channels a reading.
        channels_first: True for (1, channels, length).
    """

    length: int
    channels: int
    channels_first: bool


def window_of(site: Site, length: int | None, channels: int | None) -> ModelWindow:
    """Return what the model's one data input holds.

    Inputs may be (1, length, channels), (1, channels, length) where the card
    says ``axes: NCT`` or the sizes leave no other way, (1, length) of one
    channel, or (1, length * channels) flat.

    Args:
        site: Where the step stands.
        length: Readings a window if they are fixed already.
        channels: Channels if they are fixed already.

    Raises:
        PipelineMisfit: The input takes no such windows.
    """
    target = site.target()
    sizes = target.shape[1:]
    _check_batch(site, target)
    first = site.model.axes_of(target.name) == "NCT"
    if len(sizes) == 2 and not first and None not in {length, channels}:
        first = _fits(sizes, (channels, length)) and not _fits(sizes, (length, channels))
    if len(sizes) == 2:
        along, across = (sizes[1], sizes[0]) if first else sizes
        found = ModelWindow(length or along or 0, channels or across or 0, first)
        if not _fits((along, across), (found.length, found.channels)):
            raise site.misfit(
                f"gives windows of {found.length} x {found.channels}, but the model takes {target}"
            )
    elif len(sizes) == 1:
        channels = channels or 1
        found = ModelWindow(length or (sizes[0] or 0) // channels, channels, channels_first=False)
        if not _fits(sizes, (found.length * channels,)):
            raise site.misfit(f"gives windows of {found.length} x {channels}, but the model takes {target}")
    else:
        raise site.misfit(f"windows need an input of 2 or 3 axes, but the model takes {target}")
    if found.length < 1 or found.channels < 1:
        raise site.misfit(f"needs the options length and channels: {target} takes any")
    return found


def number_rows(spec: NumbersSpec, site: Site) -> Callable[[NDArray[np.float32]], list[dict[str, Array]]]:
    """Return what makes rows of windows (k, length, channels).

    Raises:
        PipelineMisfit: The windows do not fit the model's input.
    """
    target = site.target()
    if spec.length is None or spec.channels is None:
        raise site.misfit(f"readings come in any number, but the model takes {target}; add the step window")
    model = window_of(site, spec.length, spec.channels)
    if spec.affine.channels not in {1, spec.channels}:
        raise site.misfit(
            f"normalise has numbers for {spec.affine.channels} channels, the model takes {spec.channels}"
        )
    convert = real_map(spec.affine, target)
    sizes = (spec.length * spec.channels,) if len(target.shape) == 2 else (spec.length, spec.channels)

    def rows(windows: NDArray[np.float32]) -> list[dict[str, Array]]:
        codes = _converted(windows, convert, "readings")
        codes = codes.transpose(0, 2, 1) if model.channels_first else codes.reshape(len(codes), *sizes)
        return split_rows(target.name, codes)

    return rows


def sample_rows(spec: AudioSpec, site: Site) -> Callable[[NDArray[np.float32]], list[dict[str, Array]]]:
    """Return what makes rows of windows (k, samples).

    Raises:
        PipelineMisfit: The windows do not fit the model's input.
    """
    target = site.target()
    _check_batch(site, target)
    if spec.samples is None:
        raise site.misfit(
            f"sound comes in any length, but the model takes {target}; add the step audio_windows"
        )
    sizes = [size for size in target.shape[1:] if size != 1]
    if sizes not in ([spec.samples], [None]):
        raise site.misfit(f"gives windows of {spec.samples} samples, but the model takes {target}")
    convert = real_map(spec.affine, target)
    shape = tuple(spec.samples if size is None else size for size in target.shape[1:])

    def rows(windows: NDArray[np.float32]) -> list[dict[str, Array]]:
        codes = _converted(windows, convert, "samples")
        return split_rows(target.name, codes.reshape(len(codes), *shape))

    return rows


def split_rows(name: str, codes: Array) -> list[dict[str, Array]]:
    """Return k rows of one input out of (k, ...): C-contiguous views with a leading axis of 1."""
    whole = np.ascontiguousarray(codes)
    return [{name: whole[index : index + 1]} for index in range(len(whole))]


def _converted(windows: NDArray[np.float32], convert: RealMap, words: str) -> Array:
    if not np.isfinite(windows).all():
        raise NotFinite(f"the {words} hold NaN or infinite values")
    with np.errstate(over="ignore"):
        codes = convert(windows)
    if codes.dtype.kind == "f" and not np.isfinite(codes).all():
        raise NotFinite(f"the {words} are too great for {codes.dtype} once normalised")
    return codes


def _fits(sizes: tuple[int | None, ...], wanted: tuple[int | None, ...]) -> bool:
    return all(size is None or size == want for size, want in zip(sizes, wanted, strict=True))


def _check_batch(site: Site, target: TensorSpec) -> None:
    if not target.shape or target.shape[0] not in {1, None}:
        raise site.misfit(f"needs an input with a leading axis of 1, but the model takes {target}")
