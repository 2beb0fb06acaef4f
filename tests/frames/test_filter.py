"""Which predictions are published: the rules, on real predictions and drawn times."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.configuration.settings import FilterSettings
from gateway.frames.filter import Held, PredictionFilter, answer_of
from gateway.frames.prepared import JsonValue
from gateway.frames.steps import Prediction
from tests.frames.predictions import predictions

filters = st.builds(
    FilterSettings,
    classes=st.sampled_from([(), ("cat",), ("cat", "cow")]),
    min_score=st.sampled_from([0.0, 0.3, 0.9]),
    on_change=st.booleans(),
    min_interval_s=st.sampled_from([0.0, 1.0, 2.5]),
    empty=st.booleans(),
)


def items_of(prediction: Prediction) -> list[dict[str, object]]:
    items = prediction.get("classes", prediction.get("objects", []))
    assert isinstance(items, list)
    return [dict(item) for item in items if isinstance(item, dict)]


def named(*labels: str) -> Prediction:
    classes: list[JsonValue] = [
        {"index": index, "label": label, "score": 0.5} for index, label in enumerate(labels)
    ]
    return {"kind": "classification", "classes": classes}


@given(predictions, filters)
def test_what_is_published_is_a_part_of_what_was_said(
    prediction: Prediction, settings: FilterSettings
) -> None:
    before = copy.deepcopy(prediction)
    judged = PredictionFilter(settings).judge(prediction, 0.0)
    assert prediction == before
    assert (judged.prediction is None) == (judged.held is not None)
    if judged.prediction is None:
        assert judged.held is Held.EMPTY
        assert not settings.empty
        return
    assert judged.prediction.keys() == prediction.keys()
    kept = items_of(judged.prediction)
    expected = [
        item
        for item in items_of(prediction)
        if isinstance(item["score"], float)
        and item["score"] >= settings.min_score
        and (not settings.classes or item["label"] in settings.classes)
    ]
    assert kept == expected
    if prediction["kind"] in {"value", "anomaly", "tensors"}:
        assert judged.prediction == prediction


@given(
    filters,
    st.lists(st.tuples(predictions, st.sampled_from([0.0, 0.5, 1.0, 3.0])), max_size=12),
)
def test_published_predictions_are_apart_and_differ_and_none_that_differs_is_lost(
    settings: FilterSettings, frames: list[tuple[Prediction, float]]
) -> None:
    chosen, now_s = PredictionFilter(settings), 0.0
    last: tuple[float, object] | None = None
    for prediction, pause_s in frames:
        now_s += pause_s
        judged = chosen.judge(prediction, now_s)
        if judged.prediction is not None:
            if last is not None:
                assert now_s - last[0] >= settings.min_interval_s
                assert not settings.on_change or answer_of(judged.prediction) != last[1]
            last = now_s, answer_of(judged.prediction)
            continue
        # What is held back is held for a reason that is true.
        assert judged.held is not None
        match judged.held:
            case Held.EMPTY:
                assert not settings.empty
            case Held.UNCHANGED:
                assert settings.on_change
                assert last is not None
            case Held.TOO_SOON:
                assert last is not None
                assert now_s - last[0] < settings.min_interval_s


def test_a_change_within_the_interval_goes_out_after_it() -> None:
    chosen = PredictionFilter(FilterSettings(on_change=True, min_interval_s=1.0))
    said = [
        chosen.judge(named(label), now_s).held for label, now_s in [("cat", 0), ("dog", 0.5), ("dog", 1.0)]
    ]
    assert said == [None, Held.TOO_SOON, None]


def test_a_change_and_back_within_the_interval_is_none() -> None:
    chosen = PredictionFilter(FilterSettings(on_change=True, min_interval_s=1.0))
    said = [
        chosen.judge(named(label), now_s).held for label, now_s in [("cat", 0), ("dog", 0.5), ("cat", 1.0)]
    ]
    assert said == [None, Held.TOO_SOON, Held.UNCHANGED]


def test_nothing_left_is_an_answer_too() -> None:
    chosen = PredictionFilter(FilterSettings(classes=("cat",), on_change=True))
    said = [chosen.judge(named(label), 0.0).held for label in ("dog", "cow", "cat", "dog")]
    assert said == [None, Held.UNCHANGED, None, None]


def test_a_quiet_voice_is_no_speech() -> None:
    voice: Prediction = {"kind": "voice", "speech": True, "probability": 0.6, "segments": []}
    judged = PredictionFilter(FilterSettings(min_score=0.7)).judge(voice, 0.0)
    assert judged.prediction == {**voice, "speech": False}
    assert PredictionFilter(FilterSettings(min_score=0.7, empty=False)).judge(voice, 0.0).held is Held.EMPTY


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (named("cat", "dog"), named("cat", "cow")),
        (
            {"kind": "detection", "objects": [{"label": "a", "score": 1}, {"label": "b", "score": 1}]},
            {"kind": "detection", "objects": [{"label": "b", "score": 0.5}, {"label": "a", "score": 0.4}]},
        ),
        ({"kind": "anomaly", "anomaly": True, "score": 1}, {"kind": "anomaly", "anomaly": True, "score": 2}),
    ],
)
def test_scores_and_boxes_that_move_are_no_change(one: Prediction, other: Prediction) -> None:
    assert answer_of(one) == answer_of(other)
