"""Does a prediction hold what a golden sample expects? A pure comparison.

The keys are those of docs/model-cards.md. Every key is checked, so that one run
shows everything that differs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gateway.tensor import Array

Prediction = Mapping[str, Any] | None

DEFAULT_IOU = 0.5
DEFAULT_TOLERANCE = 1e-3
DEFAULT_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Observed:
    """What came out of one golden sample.

    Attributes:
        prediction: The pipeline's answer; None if it had nothing to say.
        rows: Model runs that the payload made.
        outputs: Raw outputs by tensor name in real values, stacked over rows; empty if not needed.
        expected_outputs: The arrays of the file that ``outputs`` names.
    """

    prediction: Prediction
    rows: int = 0
    outputs: Mapping[str, Array] | None = None
    expected_outputs: Mapping[str, Array] | None = None


def differences(expect: Mapping[str, Any], observed: Observed) -> tuple[str, ...]:
    """Return one sentence for each key that does not hold; empty if all do."""
    if not set(expect) - {"tolerance"}:
        return ("expect: holds no condition; see the keys in the docs of model cards",)
    wrong: list[str] = []
    for key, wanted in expect.items():
        check = _CHECKS.get(key)
        if check is None:
            wrong.append(f"{key}: unknown; known are {', '.join(sorted(_CHECKS))}")
            continue
        try:
            wrong += [f"{key}: {what}" for what in check(wanted, observed, expect)]
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError) as error:
            wrong.append(f"{key}: cannot be compared: {type(error).__name__}: {error}")
    return tuple(wrong)


def iou(first: Sequence[float], second: Sequence[float]) -> float:
    """Return intersection over union of two ``[x0, y0, x1, y1]`` boxes; 0 for empty ones."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(width, 0.0) * max(height, 0.0)
    whole = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)) - shared
    return shared / whole if whole > 0 else 0.0


def _kind(wanted: Any, observed: Observed, _: Mapping[str, Any]) -> list[str]:
    got = _of(observed).get("kind")
    return [] if got == wanted else [f"expected {wanted}, got {got}"]


def _nothing(wanted: Any, observed: Observed, _: Mapping[str, Any]) -> list[str]:
    silent = observed.prediction is None
    return [] if silent == bool(wanted) else [f"expected {bool(wanted)}, got {silent}"]


def _rows(wanted: Any, observed: Observed, _: Mapping[str, Any]) -> list[str]:
    return [] if observed.rows == wanted else [f"expected {wanted} model runs, got {observed.rows}"]


def _top(wanted: Any, observed: Observed, _: Mapping[str, Any]) -> list[str]:
    classes = _of(observed).get("classes") or []
    if not classes:
        return ["no classes came"]
    best = max(classes, key=lambda entry: float(entry["score"]))
    names = {best.get("index"), best.get("label")}
    accepted = wanted if isinstance(wanted, list | tuple) else [wanted]
    if names & set(accepted):
        return []
    return [f"expected one of {_listed(accepted)}, got {_named(best)}"]


def _classes(wanted: Any, observed: Observed, _: Mapping[str, Any]) -> list[str]:
    classes = _of(observed).get("classes") or []
    wrong = []
    for entry in wanted:
        found = [got for got in classes if _same_class(entry, got)]
        low, high = float(entry.get("min_score", 0)), float(entry.get("max_score", 1))
        if not found:
            wrong.append(f"{_named(entry)} is not among {_listed(_named(got) for got in classes[:5])}")
        elif not low <= float(found[0]["score"]) <= high:
            wrong.append(f"expected {_named(entry)} between {low:g} and {high:g}, got {_named(found[0])}")
    return wrong


def _objects(wanted: Any, observed: Observed, _: Mapping[str, Any]) -> list[str]:
    left = list(_of(observed).get("objects") or [])
    wrong = []
    for entry in wanted:
        fitting = [got for got in left if _same_object(entry, got)]
        if fitting:
            left.remove(max(fitting, key=lambda got: _overlap(entry, got)))
            continue
        best = max((_overlap(entry, got) for got in left), default=0.0)
        wrong.append(f"no object left for {dict(entry)}; best overlap {best:.2f} of {len(left)}")
    return wrong


def _count(wanted: Any, observed: Observed, _: Mapping[str, Any]) -> list[str]:
    got = len(_of(observed).get("objects") or [])
    return [] if got == wanted else [f"expected {wanted} objects, got {got}"]


def _speech(wanted: Any, observed: Observed, _: Mapping[str, Any]) -> list[str]:
    got = _of(observed).get("speech")
    return [] if got is wanted else [f"expected {wanted}, got {got}"]


def _segments(wanted: Any, observed: Observed, _: Mapping[str, Any]) -> list[str]:
    got = _of(observed).get("segments") or []
    if len(got) != len(wanted):
        return [f"expected {len(wanted)}, got {len(got)}: {[dict(segment) for segment in got][:8]}"]
    wrong = []
    for number, (entry, segment) in enumerate(zip(wanted, got, strict=True)):
        slack = float(entry.get("tolerance_s", DEFAULT_SECONDS))
        wrong += [
            f"{number}.{end}: expected {float(entry[end]):g}, got {float(segment[end]):g}"
            for end in ("start_s", "end_s")
            if end in entry and not abs(float(entry[end]) - float(segment[end])) <= slack
        ]
    return wrong


def _values(wanted: Any, observed: Observed, expect: Mapping[str, Any]) -> list[str]:
    slack = float(expect.get("tolerance", DEFAULT_TOLERANCE))
    wrong = []
    for path, value in wanted.items():
        got = _at(observed.prediction, str(path))
        if not _matches(value, got, slack):
            wrong.append(f"{path}: expected {value}, got {got}")
    return wrong


def _outputs(_wanted: Any, observed: Observed, expect: Mapping[str, Any]) -> list[str]:
    slack = float(expect.get("tolerance", DEFAULT_TOLERANCE))
    wanted, got = observed.expected_outputs or {}, observed.outputs or {}
    if not wanted:
        return ["the file holds no arrays"]
    wrong = []
    for name, array in wanted.items():
        if name not in got:
            wrong.append(f"{name}: the model has {_listed(got)}")
        elif got[name].shape != array.shape:
            wrong.append(f"{name}: expected shape {array.shape}, got {got[name].shape}")
        else:
            apart = np.abs(got[name].astype(np.float64) - array.astype(np.float64))
            worst = float(apart.max()) if apart.size else 0.0
            if not worst <= slack:
                wrong.append(f"{name}: differs by up to {worst:.6g}, allowed {slack:g}")
    return wrong


def _tolerance(wanted: Any, _observed: Observed, _: Mapping[str, Any]) -> list[str]:
    return [] if math.isfinite(float(wanted)) and float(wanted) >= 0 else [f"{wanted} is not a tolerance"]


_CHECKS: dict[str, Callable[[Any, Observed, Mapping[str, Any]], list[str]]] = {
    "kind": _kind,
    "nothing": _nothing,
    "rows": _rows,
    "top": _top,
    "classes": _classes,
    "objects": _objects,
    "count": _count,
    "speech": _speech,
    "segments": _segments,
    "values": _values,
    "outputs": _outputs,
    "tolerance": _tolerance,
}


def _of(observed: Observed) -> Mapping[str, Any]:
    return observed.prediction or {}


def _same_class(wanted: Mapping[str, Any], got: Mapping[str, Any]) -> bool:
    return all(wanted[key] == got.get(key) for key in ("label", "index") if key in wanted)


def _same_object(wanted: Mapping[str, Any], got: Mapping[str, Any]) -> bool:
    if "label" in wanted and wanted["label"] != got.get("label"):
        return False
    if float(got["score"]) < float(wanted.get("min_score", 0)):
        return False
    return "box" not in wanted or _overlap(wanted, got) >= float(wanted.get("iou", DEFAULT_IOU))


def _overlap(wanted: Mapping[str, Any], got: Mapping[str, Any]) -> float:
    return iou(wanted["box"], got["box"]) if "box" in wanted else 0.0


def _at(value: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(value, list | tuple):
            value = value[int(part)]
        elif isinstance(value, Mapping) and part in value:
            value = value[part]
        else:
            return None
    return value


def _matches(wanted: Any, got: Any, slack: float) -> bool:
    if isinstance(wanted, list | tuple):
        return _is_number(got) and bool(float(wanted[0]) <= got <= float(wanted[1]))
    if _is_number(wanted) and _is_number(got):
        return bool(abs(wanted - got) <= slack)
    return type(wanted) is type(got) and bool(wanted == got)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _named(entry: Mapping[str, Any]) -> str:
    words = [str(entry[key]) for key in ("index", "label") if entry.get(key) is not None]
    score = entry.get("score")
    return " ".join(words) + (f" {float(score):.3f}" if score is not None else "")


def _listed(items: Any) -> str:
    return ", ".join(str(item) for item in items) or "nothing"
