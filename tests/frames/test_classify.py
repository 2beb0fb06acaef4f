"""Class scores to the best classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gateway.errors import PipelineMisfit, RunFailed
from gateway.frames.classify import top_codes
from gateway.frames.prepared import JsonValue
from gateway.tensor import Array, Quantization, TensorSpec, dequantize
from tests.frames.made import compiled, facts, finished, spec

IN = [spec("x", "float32", (1, 2))]


def classes_of(
    output: TensorSpec, array: Array, options: dict[str, object], labels: tuple[str, ...] = ()
) -> list[JsonValue]:
    pipeline = compiled(facts(IN, [output], labels), [], [("classify", options)])
    prediction = finished(pipeline, [{output.name: array}])
    assert prediction["kind"] == "classification"
    classes = prediction["classes"]
    assert isinstance(classes, list)
    return classes


@given(
    st.sampled_from(["uint8", "int8", "int16", "float32"]).flatmap(
        lambda dtype: arrays(
            dtype, st.integers(1, 40), elements=st.integers(-5, 5) if dtype != "uint8" else None
        )
    ),
    st.integers(1, 40),
)
def test_the_best_codes_are_those_of_a_full_stable_sort(codes: Array, count: int) -> None:
    count = min(count, len(codes))
    expected = sorted(range(len(codes)), key=lambda place: (-int(codes[place]), place))[:count]
    assert expected == top_codes(codes, count).tolist()


@given(arrays("int8", 12), st.sampled_from(["none", "softmax", "sigmoid"]))
def test_quantised_scores_are_those_of_the_dequantised_ones(codes: Array, activation: str) -> None:
    quantization = Quantization(0.1, -7)
    options: dict[str, object] = {"top_k": 12, "activation": activation}
    quantised = classes_of(TensorSpec("out", "int8", (1, 12), quantization), codes[np.newaxis], options)
    real = dequantize(codes, quantization)[np.newaxis]
    assert quantised == classes_of(spec("out", "float32", (1, 12)), real, options)


def test_labels_scores_and_order() -> None:
    array = np.array([[0, 51, 204]], np.uint8)
    labels = ("cat", "dog", "cow")
    output = spec("out", "uint8", (1, 3), 1 / 255)
    assert classes_of(output, array, {"top_k": 2}, labels) == [
        {"index": 2, "label": "cow", "score": 0.8},
        {"index": 1, "label": "dog", "score": 0.2},
    ]
    assert classes_of(output, array, {"top_k": 1}) == [{"index": 2, "label": "2", "score": 0.8}]


def test_softmax_of_great_logits_does_not_overflow() -> None:
    array = np.array([[3e38, -3e38, 0]], np.float32)
    scores = classes_of(spec("out", "float32", (1, 3)), array, {"activation": "softmax"})
    assert [item["score"] for item in scores if isinstance(item, dict)] == [1.0, 0.0, 0.0]


def test_scores_match_the_definition_of_softmax_and_sigmoid() -> None:
    logits = np.array([[1.5, -2.0, 0.25, 3.0]], np.float32)
    output = spec("out", "float32", (1, 4))
    soft = np.exp(logits[0].astype(float)) / np.exp(logits[0].astype(float)).sum()
    sigmoid = 1 / (1 + np.exp(-logits[0].astype(float)))
    for activation, expected in (("softmax", soft), ("sigmoid", sigmoid)):
        for item in classes_of(output, logits, {"activation": activation}):
            assert isinstance(item, dict)
            index, score = item["index"], item["score"]
            assert isinstance(index, int)
            assert isinstance(score, float)
            assert abs(expected[index] - score) <= 5e-5 + 1e-6


def test_the_newest_of_several_windows_answers() -> None:
    pipeline = compiled(facts(IN, [spec("out", "float32", (None, 2))]), [], [("classify", {"top_k": 1})])
    rows = [{"out": np.array([[1, 0]], np.float32)}, {"out": np.array([[0, 1]], np.float32)}]
    assert finished(pipeline, rows)["classes"] == [{"index": 1, "label": "1", "score": 1.0}]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_fail_the_run(value: float) -> None:
    array = np.array([[0, value, 1, 0, 0, 0, 0]], np.float32)
    with pytest.raises(RunFailed, match="NaN or infinite"):
        classes_of(spec("out", "float32", (1, 7)), array, {"top_k": 2})


@pytest.mark.parametrize(
    "array",
    [np.zeros((1, 4), np.float32), np.zeros((2, 3), np.float32), np.zeros((1, 3)), np.zeros(3, np.float32)],
)
def test_an_output_that_is_not_as_promised_fails_the_run(array: Array) -> None:
    with pytest.raises(RunFailed, match=r"output out float32\[1,3\] came as"):
        classes_of(spec("out", "float32", (1, 3)), array, {})


def test_an_output_that_is_missing_fails_the_run() -> None:
    pipeline = compiled(facts(IN, [spec("out", "float32", (1, 2))]), [], [("classify", {})])
    with pytest.raises(RunFailed, match="gave no output out"):
        finished(pipeline, [{"other": np.zeros((1, 2), np.float32)}])


def test_labels_must_be_as_many_as_classes() -> None:
    with pytest.raises(PipelineMisfit, match="tells 3 classes apart, but there are 2 labels"):
        compiled(facts(IN, [spec("out", "float32", (1, 3))], ("a", "b")), [], [("classify", {})])


def test_one_of_several_outputs_must_be_named() -> None:
    outputs = [spec("embedding", "float32", (1, 64)), spec("scores", "float32", (1, 3))]
    with pytest.raises(PipelineMisfit, match="needs the option output"):
        compiled(facts(IN, outputs), [], [("classify", {})])
    with pytest.raises(PipelineMisfit, match="did you mean scores"):
        compiled(facts(IN, outputs), [], [("classify", {"output": "score"})])
    compiled(facts(IN, outputs), [], [("classify", {"output": "scores"})])


@pytest.mark.parametrize("shape", [(1, None), (3, 4), ()])
def test_an_output_without_a_fixed_number_of_classes_a_row_is_refused(shape: tuple[int | None, ...]) -> None:
    with pytest.raises(PipelineMisfit, match=r"postprocess\[0\].classify"):
        compiled(facts(IN, [spec("out", "float32", shape)]), [], [("classify", {})])
