"""The short tier of the crash tests: faults of disk, power and calls, and mistakes that must be seen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.crew import Crew
from tests.faults.needs import missing
from tests.faults.outcome import SHORT_SEED
from tests.faults.parts import PARTS, SHORT, SHORT_PARTS, run_part

pytestmark = pytest.mark.slow


def _named(name: str) -> str:
    return PARTS[name].sentence.replace(" ", "_")


@pytest.fixture(name="crew", scope="module")
def _crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    with Crew(tmp_path_factory.mktemp("crew") / "stderr") as crew:
        yield crew


@pytest.mark.parametrize("name", SHORT_PARTS, ids=_named)
def test_crashes(name: str, crew: Crew) -> None:
    lacking = missing(PARTS[name].needs)
    if lacking:
        pytest.skip(f"NOT TRIED, for {', '.join(lacking)} is not there: {PARTS[name].sentence}")
    outcome = run_part(name, PARTS[name].effort(SHORT, SHORT_SEED), crew)
    assert outcome.cases, "nothing was tried"
    assert outcome.faults == [], f"seed {SHORT_SEED}, {outcome.cases} cases, {outcome.figures}"
