"""What the steps say is what the schema promises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from gateway.frames.steps import Prediction
from tests.frames.predictions import predictions

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "docs/schemas/prediction.schema.json").read_text(encoding="utf-8")
)
VALIDATOR = Draft202012Validator(SCHEMA)


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@settings(max_examples=300)
@given(predictions)
def test_every_prediction_is_valid_and_survives_json(prediction: Prediction) -> None:
    text = json.dumps(prediction, allow_nan=False)
    assert json.loads(text) == prediction
    VALIDATOR.validate(prediction)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "guess"},
        {"kind": "classification", "classes": [{"index": -1, "label": "a", "score": 1}]},
        {"kind": "classification", "classes": [], "extra": 1},
        {"kind": "voice", "speech": "yes", "probability": 0.5, "segments": []},
    ],
)
def test_the_schema_refuses_what_no_step_says(wrong: dict[str, object]) -> None:
    assert not VALIDATOR.is_valid(wrong)
