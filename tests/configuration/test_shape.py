"""What a dataclass accepts, read from its annotations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from gateway.configuration.option import option
from gateway.configuration.settings import Settings, StepSettings
from gateway.configuration.shape import Key, Leaf, ListOf, MapOf, Maybe, Section, section_of


@dataclass(frozen=True, slots=True)
class Every:
    """Every shape once.

    More words that are no part of the doc.
    """

    names: Mapping[str, int] = option("Names.")
    number: float | None = option("Number.", None)
    steps: tuple[StepSettings, ...] = option("Steps.", ())


@dataclass(frozen=True, slots=True)
class Odd:
    """A type that no file can hold."""

    value: set[int] = option("Odd.")  # noqa: RUF009 - as settings are declared


def test_annotations_become_shapes() -> None:
    section = section_of(Every)
    assert section.doc == "Every shape once."
    assert [key.shape for key in section.keys] == [MapOf(Leaf.WHOLE), Maybe(Leaf.NUMBER), ListOf(Leaf.STEP)]
    assert [key.required for key in section.keys] == [True, False, False]


def test_a_type_that_no_file_can_hold_is_a_bug() -> None:
    with pytest.raises(TypeError, match="cannot be declared"):
        section_of(Odd)


def keys(section: Section) -> list[Key]:
    found = []
    for key in section.keys:
        found.append(key)
        inner = key.shape.item if isinstance(key.shape, ListOf | MapOf) else key.shape
        if isinstance(inner, Section):
            found.extend(keys(inner))
    return found


def test_every_key_of_the_configuration_has_a_sentence() -> None:
    for key in keys(section_of(Settings)):
        assert key.option.doc.endswith((".", "...")), key.name


def test_every_default_keeps_its_own_limits() -> None:
    for key in keys(section_of(Settings)):
        low, high, choices = key.option.minimum, key.option.maximum, key.option.choices
        if isinstance(key.default, int | float):
            assert low is None or key.default >= low, key.name
            assert high is None or key.default <= high, key.name
        if choices:
            assert key.required or key.default in choices, key.name
