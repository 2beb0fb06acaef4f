"""Which predictions of one stream are published, and what is left of them: a pure core of the front end.

Rules:

1. ``classes`` and ``min_score`` take classes and objects out of a prediction,
   and the speech out of a voice; measured values, anomalies and tensors stay.
2. A prediction in which nothing is left is empty; with ``empty`` false it is
   not published.
3. With ``on_change``, an answer like the last published one is not published.
   Scores and boxes that move are no change: see ``answer_of``.
4. Two published predictions are at least ``min_interval_s`` apart. A change in
   between is not lost: what is unlike the last *published* answer goes out with
   the first frame after the interval.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from gateway.configuration.settings import FilterSettings
from gateway.frames.prepared import JsonValue

Prediction = dict[str, JsonValue]


class Held(str, enum.Enum):
    """Why a prediction is not published.

    Attributes:
        EMPTY: Nothing was left in it.
        UNCHANGED: It says what the last published one said.
        TOO_SOON: The last published one is younger than the interval.
    """

    EMPTY = "empty"
    UNCHANGED = "unchanged"
    TOO_SOON = "too_soon"


@dataclass(frozen=True, slots=True)
class Judged:
    """What becomes of a prediction.

    Attributes:
        prediction: What is left of it and to be published; None if it is held back.
        held: Why it is held back; None if it is published.
    """

    prediction: Prediction | None
    held: Held | None = None


class PredictionFilter:
    """Judges the predictions of one stream and pipeline, in their order."""

    __slots__ = ("_answer", "_published_s", "_settings", "_wanted")

    def __init__(self, settings: FilterSettings) -> None:
        self._settings = settings
        self._wanted = frozenset(settings.classes)
        self._answer: object = None
        self._published_s: float | None = None

    def judge(self, prediction: Prediction, now_s: float) -> Judged:
        """Decide on one prediction; the given object is not changed.

        Args:
            prediction: As ``docs/schemas/prediction.schema.json`` describes it.
            now_s: Monotonic seconds.
        """
        left, empty = self._left(prediction)
        if empty and not self._settings.empty:
            return Judged(None, Held.EMPTY)
        answer = answer_of(left) if self._settings.on_change else None
        if self._settings.on_change and self._published_s is not None and answer == self._answer:
            return Judged(None, Held.UNCHANGED)
        if self._published_s is not None and now_s - self._published_s < self._settings.min_interval_s:
            return Judged(None, Held.TOO_SOON)
        self._answer, self._published_s = answer, now_s
        return Judged(left)

    def _left(self, prediction: Prediction) -> tuple[Prediction, bool]:
        """Return what is left of a prediction, and whether that is nothing."""
        match prediction:
            case {"kind": "classification", "classes": list(items)}:
                kept = [item for item in items if self._keeps(item)]
                return {**prediction, "classes": kept}, not kept
            case {"kind": "detection", "objects": list(items)}:
                kept = [item for item in items if self._keeps(item)]
                return {**prediction, "objects": kept}, not kept
            case {
                "kind": "voice",
                "speech": speech,
                "probability": float() | int() as score,
                "segments": segments,
            }:
                quiet = score < self._settings.min_score
                left = {**prediction, "speech": False} if quiet and speech else prediction
                return left, not left["speech"] and not segments
        return prediction, False

    def _keeps(self, item: JsonValue) -> bool:
        match item:
            case {"label": label, "score": float() | int() as score}:
                return score >= self._settings.min_score and (not self._wanted or label in self._wanted)
        return False


def answer_of(prediction: Prediction) -> object:
    """Return what a prediction says, so that two that say the same are equal.

    Of classes the best one counts, of objects how many there are of each label,
    of a voice whether somebody speaks (and every segment that ended), of an
    anomaly whether it is one; values and tensors count as a whole.
    """
    match prediction:
        case {"kind": "classification", "classes": list(items)}:
            return _label(items[0]) if items else None
        case {"kind": "detection", "objects": list(items)}:
            return sorted(str(_label(item)) for item in items)
        case {"kind": "voice", "speech": speech, "segments": segments}:
            return (speech, segments)
        case {"kind": "anomaly", "anomaly": anomaly}:
            return anomaly
    return prediction


def _label(item: JsonValue) -> JsonValue:
    return item.get("label") if isinstance(item, dict) else None
