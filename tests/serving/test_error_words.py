"""A caller is told every stage of what went wrong, in words that any encoder takes, and no secrets."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.error_words import leaves
from gateway.errors import (
    ConfigError,
    GatewayBug,
    GatewayError,
    LoadFailed,
    NotReady,
    OutOfMemory,
    PipelineMisfit,
    WrongShape,
)
from gateway.serving.error_words import error_trailers, error_words


def raised(error: GatewayError, cause: BaseException) -> GatewayError:
    try:
        raise error from cause
    except GatewayError as caught:
        return caught


class Group(Exception):
    """As Python 3.11's groups of exceptions look."""

    def __init__(self, *exceptions: BaseException) -> None:
        super().__init__("several")
        self.exceptions = exceptions


def test_one_error_is_a_sentence_a_label_and_its_facts() -> None:
    words = error_words(WrongShape("input x:\n has 3 axes", model="face", stage="decode", shape="[1,2,3]"))
    assert words == {
        "error": "input x: has 3 axes",
        "label": "refused.shape",
        "details": [
            {
                "label": "refused.shape",
                "error": "input x: has 3 axes",
                "model": "face",
                "stage": "decode",
                "shape": "[1,2,3]",
            }
        ],
    }


def test_what_led_to_it_is_told_with_labels_and_what_is_not_ours_is_not() -> None:
    file = raised(LoadFailed("no such operator", release=7.0, stage="load"), OSError("/var/secret"))
    words = error_words(raised(NotReady("face does not serve", model="face"), file))
    assert words["error"] == "face does not serve"
    assert words["details"] == [
        {"label": "unavailable.not_ready", "error": "face does not serve", "model": "face"},
        {"label": "engine.load", "error": "no such operator", "release": 7.0, "stage": "load"},
    ]
    assert "secret" not in json.dumps(words)


def test_several_errors_of_one_request_are_told_together_and_each_once() -> None:
    shape, memory = WrongShape("x", sensor="cam"), OutOfMemory("y", model="face")
    for words in (
        error_words(shape, memory, shape),
        error_words(Group(shape, Group(memory, ValueError("hush")), shape)),
    ):
        assert words["error"] == "x (and 2 more: see details)"
        assert words["label"] == "refused.shape"
        assert words["details"] == [
            {"label": "refused.shape", "error": "x", "sensor": "cam"},
            {"label": "engine.out_of_memory", "error": "y", "model": "face"},
        ]


@pytest.mark.parametrize(
    "error", [ValueError("hush"), GatewayBug("hush", path="hush"), Group(OSError("hush"))]
)
def test_a_bug_is_told_as_one_and_its_words_stay_in_the_log(error: BaseException) -> None:
    words = error_words(error)
    assert words["label"] == "bug"
    assert "hush" not in json.dumps(words)


@pytest.mark.parametrize("leaf", [leaf for leaf in leaves() if leaf not in {ConfigError, PipelineMisfit}])
def test_every_error_of_the_tree_has_words(leaf: type[GatewayError]) -> None:
    words = error_words(leaf("what is wrong"))
    assert words["label"] == leaf.label
    assert isinstance(words["error"], str)


def test_a_cause_that_is_its_own_cause_ends() -> None:
    error = WrongShape("round")
    error.__cause__ = error
    assert error_words(error)["details"] == [{"label": "refused.shape", "error": "round"}]


def test_no_more_than_sixteen_details_are_told() -> None:
    words = error_words(*(WrongShape(f"input {number}") for number in range(40)))
    assert isinstance(words["details"], list)
    assert len(words["details"]) == 16
    assert words["error"] == "input 0 (and 39 more: see details)"


MESSAGES = st.text(st.characters(), max_size=5000)
ERRORS = st.builds(
    WrongShape, MESSAGES, model=MESSAGES, stage=st.none() | st.floats(), shape=st.none() | MESSAGES
)


@given(st.lists(ERRORS, min_size=1, max_size=40))
def test_any_errors_give_json_of_bounded_size_and_trailers_that_grpc_takes(
    errors: list[GatewayError],
) -> None:
    words = error_words(*errors)
    assert json.loads(json.dumps(words, allow_nan=False, ensure_ascii=False).encode()) == words
    assert len(json.dumps(words)) < 16 * 4 * 6 * 2100
    trailers = SimpleNamespace(**{key.replace("-", "_"): value for key, value in error_trailers(words)})
    assert trailers.gateway_error_label == "refused.shape"
    assert len(trailers.gateway_error_bin) <= 2560
    assert json.loads(trailers.gateway_error_bin)["label"] == "refused.shape"
