"""How long signatures hold, and when they are due."""

from __future__ import annotations

import pytest

from gateway.updates.publishing.roles import DAY_S, PATHS, ROLES, Profile, is_due, keys_of, lifetime_s


def test_two_of_three_keys_make_a_root_and_one_makes_the_others() -> None:
    assert {role: (keys_of(role).threshold, keys_of(role).count) for role in ROLES if role != "root"} == (
        dict.fromkeys(set(ROLES) - {"root"}, (1, 1))
    )
    assert (keys_of("root").threshold, keys_of("root").count) == (2, 3)


@pytest.mark.parametrize("role", ROLES)
def test_an_air_gapped_site_signs_its_state_for_90_days_and_the_rest_as_others_do(role: str) -> None:
    online, gapped = (lifetime_s(role, profile) for profile in (Profile.ONLINE, Profile.AIR_GAPPED))
    assert gapped == (90 * DAY_S if role in ("snapshot", "timestamp") else online)


def test_a_signature_is_due_when_a_third_of_its_life_is_left() -> None:
    assert not is_due(1000, 1000 - 101, 300)
    assert is_due(1000, 1000 - 100, 300)
    assert is_due(1000, 2000, 300)


def test_what_a_delegated_role_may_sign_does_not_overlap() -> None:
    assert PATHS == {"models": "models/*/*", "assign": "assign/*"}
