"""Settings that every test shares: property tests give the same cases in every run."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from tests import children

# A shared, loaded machine makes wall-clock deadlines lie, and a suite that
# draws new cases each run cannot say whether a change broke it.
settings.register_profile(
    "suite",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def _own_children() -> None:
    """Tell apart the processes that this test starts."""
    children.begin()
