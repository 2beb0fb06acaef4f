"""Every error of the gateway has a status, and its words fit into an answer."""

from __future__ import annotations

import gc
import json
import warnings

import grpc
import pytest

from gateway.error_words import leaves
from gateway.errors import GatewayBug, GatewayError, LoadFailed, Malformed, RateLimited, UnknownModel
from gateway.serving.error_words import LABEL_KEY, WORDS_KEY
from gateway.serving.rpc.refusal import trailing_of
from gateway.serving.rpc.statuses import STATUSES, status_of, words_of


def test_every_leaf_of_the_tree_is_in_the_table() -> None:
    assert [leaf.__name__ for leaf in leaves() if leaf not in STATUSES] == []


def test_every_status_is_one_of_grpcs_and_none_says_ok_unknown_or_cancelled() -> None:
    assert set(STATUSES.values()) <= set(grpc.StatusCode.__members__)
    assert not set(STATUSES.values()) & {"OK", "UNKNOWN", "CANCELLED", "DATA_LOSS"}


def test_only_the_gateways_and_the_models_own_faults_are_internal() -> None:
    internal = {kind.__name__ for kind, status in STATUSES.items() if status == "INTERNAL"}
    assert internal == {
        "GatewayError",
        "EngineFailed",
        "RunFailed",
        "StoreFailed",
        "GatewayBug",
        "IllegalTransition",
    }


def test_a_kind_that_is_not_in_the_table_goes_as_its_family() -> None:
    class Odd(UnknownModel):
        label = "refused.odd"

    class Strange(GatewayError):
        label = "strange"

    try:
        assert status_of(Odd("x")) == "NOT_FOUND"
        assert status_of(Strange("x")) == "INTERNAL"
        assert status_of(GatewayBug("x")) == "INTERNAL"
    finally:
        # Classes of errors live until they are collected, and the tables of other tests list them.
        del Odd, Strange
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what other tests left, which is not this one's fault
            gc.collect()


@pytest.mark.parametrize("message", ["short", "long " * 2000, "\ud800 broken"])
def test_words_carry_the_label_and_fit_an_answers_head(message: str) -> None:
    words = words_of(Malformed(message))
    assert words.startswith("refused.malformed: ")
    assert len(words.encode()) < 2000


def test_programs_read_the_label_every_stage_and_when_to_come_again() -> None:
    error = LoadFailed("no", model="m")
    error.__cause__ = UnknownModel("what", model="x")
    pairs = dict(trailing_of(error))
    assert pairs[LABEL_KEY] == "engine.load"
    said = json.loads(pairs[WORDS_KEY])
    assert (said["error"], said["label"]) == ("no", "engine.load")
    assert said["details"] == [
        {"label": "engine.load", "error": "no", "model": "m"},
        {"label": "refused.unknown_model", "error": "what", "model": "x"},
    ]
    assert (
        dict(trailing_of(RateLimited("slow down", retry_after_s=0.2501)))["grpc-retry-pushback-ms"] == "251"
    )


def test_stages_that_do_not_fit_are_left_out() -> None:
    pairs = dict(trailing_of(Malformed("x" * 10_000)))
    assert pairs[LABEL_KEY] == "refused.malformed"
    assert json.loads(pairs[WORDS_KEY])["details"] == []
    assert len(pairs[WORDS_KEY]) <= 2560
