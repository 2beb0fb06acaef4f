"""Options of steps are read strictly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.configuration.option import option
from gateway.errors import PipelineMisfit
from gateway.frames.step_options import read_options
from gateway.frames.steps import own_steps, step_class


@dataclass(frozen=True, slots=True)
class Everything:
    """One option of each type."""

    needed: int = option("A whole number.", minimum=1, maximum=9)
    number: float = option("A number.", 0.5, minimum=0)
    word: str = option("A word.", "red", choices=("red", "green", ""))
    name: str = option("A name.", "a", pattern="[a-z]+")
    truth: bool = option("A truth.", default=False)
    numbers: tuple[float, ...] = option("Numbers.", (), maximum=3)
    perhaps: float | None = option("Perhaps a number.", None)


def test_every_type_is_read() -> None:
    written = {
        "needed": 3,
        "number": 2,
        "word": "",
        "name": "b",
        "truth": True,
        "numbers": [1, 2.5],
        "perhaps": 1,
    }
    assert read_options(Everything, written, "p") == Everything(3, 2, "", "b", True, (1, 2.5), 1)
    assert read_options(Everything, {"needed": 3, "numbers": 2, "perhaps": None}, "p") == Everything(
        3, numbers=(2,)
    )


@pytest.mark.parametrize(
    ("written", "step", "words"),
    [
        ({}, "p", "needs the option needed: A whole number."),
        ({"needed": 3, "wrod": "red"}, "p", "unknown option 'wrod'; did you mean word?"),
        ({"needed": 3, "xyz": 1}, "p", "unknown option 'xyz'; known: needed, number"),
        ({"needed": True}, "p.needed", "needs a whole number, not True"),
        ({"needed": 1.0}, "p.needed", "needs a whole number, not 1.0"),
        ({"needed": 0}, "p.needed", "must be at least 1, not 0"),
        ({"needed": 10}, "p.needed", "must be at most 9, not 10"),
        ({"needed": 3, "number": "2"}, "p.number", "needs a number, not '2'"),
        ({"needed": 3, "number": float("nan")}, "p.number", "needs a finite number"),
        ({"needed": 3, "word": "gren"}, "p.word", "'gren' is not a choice; did you mean green?"),
        ({"needed": 3, "word": 5}, "p.word", "needs a text, not 5"),
        ({"needed": 3, "name": "B"}, "p.name", "'B' does not match"),
        ({"needed": 3, "truth": 1}, "p.truth", "needs true or false, not 1"),
        ({"needed": 3, "numbers": [1, 4]}, "p.numbers[1]", "must be at most 3"),
        ({"needed": 3, "numbers": [[1]]}, "p.numbers[0]", "needs a number, not [1]"),
        ({"needed": 3, "numbers": [0] * 5000}, "p.numbers", "at most 4096"),
    ],
)
def test_each_departure_names_step_and_key(written: dict[str, object], step: str, words: str) -> None:
    with pytest.raises(PipelineMisfit) as caught:
        read_options(Everything, written, "p")
    assert caught.value.step == step
    assert words in str(caught.value)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
CLASSES: list[Any] = [step_class(role, name, name) for role in ("pre", "post") for name in own_steps(role)]
KEYS = sorted({key for cls in CLASSES for key in cls.__dataclass_fields__})


@given(
    st.sampled_from(CLASSES), st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), plain, max_size=5)
)
def test_any_plain_values_make_a_step_or_one_error(cls: Any, written: dict[str, object]) -> None:
    try:
        step = read_options(cls, written, "preprocess[0].x")
    except PipelineMisfit as error:
        assert error.step.startswith("preprocess[0].x")
    else:
        assert isinstance(step, cls)
