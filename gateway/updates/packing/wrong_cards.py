"""Cards with one mistake, as people make them: samples that pass with these notice too little. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from gateway.configuration.settings import StepSettings
from gateway.model import ModelFolder

_PICTURES: Final = frozenset({"crop", "resize", "colour"})
_USUAL: Final = (("scale", 1.0), ("mean", 0.0), ("std", 1.0))
_SLACK: Final = 0.05
_SWAPPED: Final = {"rgb": "bgr", "bgr": "rgb"}

Steps = tuple[StepSettings, ...]


@dataclass(frozen=True, slots=True)
class WrongCard:
    """One mistake.

    Attributes:
        what: The mistake in words.
        folder: The model with the mistake in its card or labels.
    """

    what: str
    folder: ModelFolder


def wrong_cards(folder: ModelFolder) -> tuple[WrongCard, ...]:
    """Return the model with one mistake each; those that fit no model of its kind are left out."""
    steps = folder.card.preprocess
    found = [
        WrongCard(what, replace(folder, card=replace(folder.card, preprocess=changed)))
        for what, changed in _wrong_steps(folder, steps)
        if changed != steps
    ]
    if len(set(folder.labels)) > 1:
        shifted = (*folder.labels[1:], folder.labels[0])
        found.append(WrongCard("labels shifted by one", replace(folder, labels=shifted)))
    return tuple(found)


def _wrong_steps(folder: ModelFolder, steps: Steps) -> Iterator[tuple[str, Steps]]:
    names = [step.name for step in steps]
    if _PICTURES & set(names):
        yield from _pictures(steps, names)
    elif "audio_windows" in names:
        yield from _sound(steps, names)
    elif "window" in names or "select" in names:
        yield from _numbers(folder, steps)


def _pictures(steps: Steps, names: list[str]) -> Iterator[tuple[str, Steps]]:
    if "colour" in names:
        order = str(steps[names.index("colour")].options.get("order"))
        swapped = _SWAPPED.get(order, "grey")
        yield "red and blue swapped", _with(steps, "colour", order=swapped)
    else:
        at = names.index("normalise") if "normalise" in names else len(steps)
        yield "red and blue swapped", _inserted(steps, at, "colour", order="bgr")
    if "resize" in names:
        fit = steps[names.index("resize")].options.get("fit", "stretch")
        yield (
            "resized another way",
            _without_options(
                _with(steps, "resize", fit="crop" if fit == "stretch" else "stretch"), "fraction"
            ),
        )
    plain = tuple(step for step in steps if step.name != "normalise")
    yield "levels not normalised", plain
    held = [_levels(step) for step in steps if step.name == "normalise"]
    for low in (0.0, -1.0):
        if len(held) == 1 and not _alike(held[0], (low, 1.0)):
            yield (
                f"levels from {low:g} to 1",
                (*plain, StepSettings("normalise", {"range": [low, 1.0]})),
            )


def _levels(step: StepSettings) -> tuple[float, float] | None:
    """Return what the levels 0 and 255 become; None if it differs by channel or is said another way."""
    options = step.options
    span = options.get("range")
    if isinstance(span, list | tuple) and len(span) == 2:
        return float(span[0]), float(span[1])
    scale, mean, std = (_single(options.get(key), usual) for key, usual in _USUAL)
    if scale is None or mean is None or not std:
        return None
    return -mean / std, (255 * scale - mean) / std


def _single(found: object, usual: float) -> float | None:
    if isinstance(found, list | tuple) and len(found) == 1:
        (found,) = found
    if found is None:
        return usual
    return float(found) if isinstance(found, int | float) else None


def _alike(held: tuple[float, float] | None, other: tuple[float, float]) -> bool:
    """Tell whether two ranges differ so little that nobody would call one of them a mistake."""
    return held is not None and all(abs(a - b) < _SLACK for a, b in zip(held, other, strict=True))


def _sound(steps: Steps, names: list[str]) -> Iterator[tuple[str, Steps]]:
    rate = steps[names.index("audio_windows")].options.get("rate_hz")
    if isinstance(rate, int):
        yield "half the sampling rate", _with(steps, "audio_windows", rate_hz=rate // 2)
        yield "twice the sampling rate", _with(steps, "audio_windows", rate_hz=rate * 2)
    yield "samples as whole numbers", _inserted(steps, 0, "normalise", scale=[32768.0])
    yield "samples a hundred times too small", _inserted(steps, 0, "normalise", scale=[0.01])


def _numbers(folder: ModelFolder, steps: Steps) -> Iterator[tuple[str, Steps]]:
    channels = folder.card.inputs[0].shape[-1] if folder.card.inputs[0].shape else 0
    if channels > 1 and "select" not in [step.name for step in steps]:
        yield "channels in reverse order", _inserted(steps, 0, "select", indices=[*reversed(range(channels))])
    yield "readings ten times too large", _inserted(steps, 0, "normalise", scale=[10.0])
    yield "readings ten times too small", _inserted(steps, 0, "normalise", scale=[0.1])


def _inserted(steps: Steps, at: int, name: str, **options: object) -> Steps:
    return (*steps[:at], StepSettings(name, options), *steps[at:])


def _with(steps: Steps, name: str, **options: object) -> Steps:
    return tuple(
        StepSettings(step.name, {**step.options, **options}) if step.name == name else step for step in steps
    )


def _without_options(steps: Steps, option: str) -> Steps:
    """Leave out an option that only one way of resizing takes."""
    return tuple(
        StepSettings(step.name, {key: value for key, value in step.options.items() if key != option})
        if step.name == "resize"
        else step
        for step in steps
    )
