"""Small judgements of the doctor: versions, rights, CUDA code, power modes."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.doctor.rules.power import fastest
from gateway.doctor.rules.version import at_least, name_of, unmet, version_of
from gateway.doctor.rules.who import Node, Who, drop_in, may_use

NUMBERS = st.lists(st.integers(0, 999), min_size=1, max_size=5)


@given(st.text(max_size=40))
@example("5.15.148-tegra")
def test_any_text_is_a_version_or_none(text: str) -> None:
    assert all(isinstance(number, int) for number in version_of(text))


def test_versions_are_read_as_far_as_they_are_numbers() -> None:
    assert version_of("5.15.148-tegra") == (5, 15, 148)
    assert version_of("v2.0.5\n") == (2, 0, 5)
    assert version_of("tegra") == ()


@given(NUMBERS, NUMBERS)
def test_of_two_versions_at_least_one_is_at_least_the_other(one: list[int], other: list[int]) -> None:
    first, second = tuple(one), tuple(other)
    assert at_least(first, second) or at_least(second, first)
    assert at_least(first, first)
    assert at_least((*first, 0), first)
    assert at_least(first, (*first, 0))
    assert not at_least((), first)


@pytest.mark.parametrize(
    ("requirement", "installed", "wrong"),
    [
        ("numpy>=1.24", "2.2.6", ""),
        ("numpy>=1.24", "1.9", "numpy 1.9 is older than 1.24"),
        ("tuf>=7", None, "tuf is not installed"),
        ("pillow (>=10.3)", "9.0", "pillow 9.0 is older than 10.3"),
        ('tflite-runtime>=2.13; extra == "tflite-runtime"', None, ""),
        ("h11", "0.14", ""),
    ],
)
def test_requirements_are_met_or_it_is_said_how_not(
    requirement: str, installed: str | None, wrong: str
) -> None:
    assert unmet(requirement, installed) == wrong


@given(st.text(max_size=60))
def test_any_requirement_has_a_name_or_none(text: str) -> None:
    assert isinstance(name_of(text), str)
    assert isinstance(unmet(text, "1.0"), str)


@given(
    st.integers(0, 3),
    st.frozensets(st.integers(0, 3)),
    st.builds(Node, st.just("/dev/x"), st.integers(0, 3), st.integers(0, 3), st.integers(0, 0o777)),
)
def test_rights_are_those_of_the_first_of_owner_group_and_others_that_fits(
    uid: int, gids: frozenset[int], node: Node
) -> None:
    shift = 6 if uid == node.uid else 3 if node.gid in gids else 0
    expected = uid == 0 or (node.mode >> shift) & 0o6 == 0o6
    assert may_use(Who("x", uid, gids), node) is expected


def test_the_fastest_mode_is_the_one_whose_name_says_so() -> None:
    assert fastest({0: "MAXN", 1: "5W"}) == 0
    assert fastest({0: "15W", 1: "25W", 2: "MAXN_SUPER"}) == 2
    assert fastest({0: "MAXN", 3: "MAXN_SUPER"}) == 3
    assert fastest({0: "15W"}) is None


def test_a_drop_in_is_three_lines_that_a_shell_takes() -> None:
    folder, text, reload = drop_in("gateway@hall.service", "memlock", "LimitMEMLOCK=64M")
    assert folder == "sudo mkdir -p /etc/systemd/system/gateway@hall.service.d"
    assert text.startswith("printf '[Service]\\nLimitMEMLOCK=64M\\n' | sudo tee ")
    assert reload == "sudo systemctl daemon-reload && sudo systemctl restart gateway@hall.service"
