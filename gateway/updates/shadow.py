"""Compares what two versions say of the same frames, and says when that is enough. Pure.

Rules (each a property in ``tests/updates/test_shadow.py``):

1. Agreement lies between 0 and 1, is the same from both sides, and is 1 for equal predictions.
2. Predictions of different kinds, and what cannot be compared, do not agree at all.
3. A tally is decided as soon as the frames to come can change nothing, and at the latest with the last.
4. A frame that the candidate fails counts as disagreement.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.frames.prepared import JsonValue

LEAST_OVERLAP: Final = 0.5
NOISE_MS: Final = 1.0
LEAST_TIMES: Final = 20
_QUARTER: Final = 0.25
_BOX: Final = 4

Prediction = Mapping[str, JsonValue]


def agreement(one: Prediction | None, other: Prediction | None) -> float:
    """Return how far two predictions of one frame agree, 0 to 1.

    Classes: whether the best is the same. Objects: the share that has a partner of the same class with an
    overlap (IoU) of ``LEAST_OVERLAP``. Speech and anomalies: whether there is one. Numbers: 1 less their
    distance over their sizes, so that a tenth more or less is about 0.95.
    """
    if one is None or other is None:
        return float(one is other)
    if one == other:
        return 1.0
    compare = _COMPARED_BY.get(str(one.get("kind")))
    if compare is None or one["kind"] != other.get("kind"):
        return 0.0
    return compare(one, other)


@dataclass(frozen=True, slots=True)
class ShadowGates:
    """What a candidate must keep to in shadow.

    Attributes:
        frames: How many are compared; at least 1.
        least_agreement: Mean agreement that is needed, 0 to 1.
        latency_factor: How many times as long as what serves its runs may take, the noise of a busy
            machine left out: the lower quartiles are compared.
    """

    frames: int
    least_agreement: float
    latency_factor: float = 2.0


@dataclass(frozen=True, slots=True)
class ShadowVerdict:
    """How a shadow run ended.

    Attributes:
        passed: Whether the candidate may go on.
        agreement: Mean over the frames.
        frames: How many were compared.
        latency_ratio: Its time over that of what serves; 0 if there were too few frames to say.
        words: All this in a sentence.
    """

    passed: bool
    agreement: float
    frames: int
    latency_ratio: float
    words: str


class ShadowTally:
    """Counts the frames of one shadow run.

    Attributes:
        compared: Frames so far.
    """

    def __init__(self, limits: ShadowGates) -> None:
        self.compared = 0
        self._limits = limits
        self._scores: list[float] = []
        self._failures = 0
        self._first_failure = ""
        self._times_ms: tuple[list[float], list[float]] = ([], [])

    def compare(
        self, original: Prediction | None, copy: Prediction | None, original_ms: float, copy_ms: float
    ) -> None:
        """Count a frame that both answered.

        Args:
            original: What the serving version said.
            copy: What the candidate said.
            original_ms: Time of the serving version's run.
            copy_ms: Time of the candidate's run.
        """
        self.compared += 1
        self._scores.append(agreement(original, copy))
        if original_ms > 0 and copy_ms > 0:
            self._times_ms[0].append(original_ms)
            self._times_ms[1].append(copy_ms)

    def failed(self, reason: str) -> None:
        """Count a frame that the serving version answered and the candidate did not."""
        self.compared += 1
        self._failures += 1
        self._scores.append(0.0)
        self._first_failure = self._first_failure or reason

    def verdict(self) -> ShadowVerdict | None:
        """Return how it ends; None while the frames to come matter."""
        limits = self._limits
        total = math.fsum(self._scores)
        left = max(0, limits.frames - self.compared)
        # A whisker of float error must not turn exact agreement into disagreement.
        if total + left < limits.least_agreement * max(limits.frames, self.compared) - 1e-9:
            return self._end(False, f"at least {limits.least_agreement:.1%} are needed")
        if left:
            return None
        ratio = self._ratio()
        if ratio > limits.latency_factor and self._gap_ms() > NOISE_MS:
            return self._end(False, f"its runs may take {limits.latency_factor:g} times as long")
        return self._end(True, "")

    def _end(self, passed: bool, why: str) -> ShadowVerdict:
        mean = math.fsum(self._scores) / len(self._scores) if self._scores else 1.0
        words = f"{self.compared} frames, agreement {mean:.1%}"
        if self._failures:
            words += f", {self._failures} not answered ({self._first_failure[:200]})"
        ratio = self._ratio()
        if ratio:
            words += f", runs {ratio:.2f} times as long"
        return ShadowVerdict(passed, mean, self.compared, ratio, f"{words}; {why}" if why else words)

    def _ratio(self) -> float:
        """Return the candidate's time over the serving version's; 0 if there are too few times."""
        serving, candidate = self._times_ms
        if len(serving) < LEAST_TIMES:
            return 0.0
        return _quartile(candidate) / _quartile(serving)

    def _gap_ms(self) -> float:
        serving, candidate = self._times_ms
        return _quartile(candidate) - _quartile(serving)


def _quartile(times_ms: Sequence[float]) -> float:
    return sorted(times_ms)[int(len(times_ms) * _QUARTER)]


def _best_class(one: Prediction, other: Prediction) -> float:
    match one.get("classes"), other.get("classes"):
        case [first, *_], [second, *_]:
            return float(_name(first) is not None and _name(first) == _name(second))
    return 0.0


def _flag(name: str) -> Callable[[Prediction, Prediction], float]:
    def compare(one: Prediction, other: Prediction) -> float:
        return float(isinstance(one.get(name), bool) and one[name] is other.get(name))

    return compare


def _name(found: JsonValue) -> JsonValue:
    """Return the label of a class or an object: an index means another thing with other labels."""
    return found.get("label") if isinstance(found, dict) else None


def _objects(one: Prediction, other: Prediction) -> float:
    first, second = one.get("objects"), other.get("objects")
    if not isinstance(first, list) or not isinstance(second, list):
        return 0.0
    if not first and not second:
        return 1.0
    return 2 * _partners(first, second) / (len(first) + len(second))


def _partners(first: Sequence[JsonValue], second: Sequence[JsonValue]) -> int:
    """Return how many objects have a partner in the other picture, the best pairs first."""
    pairs = sorted(
        (
            (-overlap, at, other_at)
            for at, found in enumerate(first)
            for other_at, other in enumerate(second)
            if _name(found) is not None
            and _name(found) == _name(other)
            and (overlap := _overlap(_box(found), _box(other))) >= LEAST_OVERLAP
        ),
    )
    taken: set[int] = set()
    partners: set[int] = set()
    for _, at, other_at in pairs:
        if at not in taken and other_at not in partners:
            taken.add(at)
            partners.add(other_at)
    return len(taken)


def _box(found: JsonValue) -> list[float]:
    """Return left, top, right, bottom; empty if there is no such box."""
    box = found.get("box") if isinstance(found, dict) else None
    numbers = _numbers(box)
    return numbers if len(numbers) == _BOX else []


def _overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the common area of two boxes over the area that they cover together."""
    if not one or not other:
        return 0.0
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    covered = _area(one) + _area(other) - common
    return common / covered if 0 < covered < math.inf else 0.0


def _area(box: Sequence[float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _values(one: Prediction, other: Prediction) -> float:
    first, second = one.get("values"), other.get("values")
    if not isinstance(first, dict) or not isinstance(second, dict) or not first or set(first) != set(second):
        return 0.0
    scores = [_nearness(_numbers([value]), _numbers([second[name]])) for name, value in first.items()]
    return math.fsum(scores) / len(scores)


def _tensors(one: Prediction, other: Prediction) -> float:
    first, second = one.get("tensors"), other.get("tensors")
    if not isinstance(first, list) or not isinstance(second, list) or len(first) != len(second) or not first:
        return 0.0
    scores = [_tensor(*pair) for pair in zip(first, second, strict=True)]
    return math.fsum(scores) / len(scores)


def _tensor(one: JsonValue, other: JsonValue) -> float:
    if not isinstance(one, dict) or not isinstance(other, dict):
        return 0.0
    if (one.get("name"), one.get("shape")) != (other.get("name"), other.get("shape")):
        return 0.0
    return _nearness(_numbers(one.get("data")), _numbers(other.get("data")))


def _nearness(one: Sequence[float], other: Sequence[float]) -> float:
    """Return 1 less the distance of two vectors over the sum of their lengths; 0 for what is none."""
    if len(one) != len(other) or not one:
        return 0.0
    size = math.hypot(*one) + math.hypot(*other)
    if not math.isfinite(size):
        return 0.0
    distance = math.dist(one, other)
    return 1.0 if distance == 0 else max(0.0, 1.0 - distance / size)


def _numbers(found: JsonValue) -> list[float]:
    """Return a list of finite numbers as floats; empty if it is none."""
    if not isinstance(found, list):
        return []
    numbers = []
    for number in found:
        if isinstance(number, bool) or not isinstance(number, int | float):
            return []
        try:
            real = float(number)
        except OverflowError:
            return []
        if not math.isfinite(real):
            return []
        numbers.append(real)
    return numbers


_COMPARED_BY: Final[Mapping[str, Callable[[Prediction, Prediction], float]]] = {
    "classification": _best_class,
    "detection": _objects,
    "voice": _flag("speech"),
    "anomaly": _flag("anomaly"),
    "value": _values,
    "tensors": _tensors,
}
