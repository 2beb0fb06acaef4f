"""What a child gets of the environment."""

from __future__ import annotations

import os

import pytest

from gateway.operations.child_environment import child_environment


def test_a_child_gets_what_it_finds_its_way_by_and_what_is_named_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in tuple(os.environ):
        monkeypatch.delenv(name)
    every = (
        "PATH",
        "PYTHONPATH",
        "MALLOC_ARENA_MAX",
        "SSL_CERT_FILE",
        "SSL_KEY",
        "OMP_NUM_THREADS",
        "MQTT_PASSWORD",
    )
    for name in every:
        monkeypatch.setenv(name, "x")
    assert set(child_environment()) == {"PATH", "PYTHONPATH", "MALLOC_ARENA_MAX"}
    more = child_environment(["SSL_CERT_FILE"], ("OMP_",))
    assert set(more) == set(every) - {"SSL_KEY", "MQTT_PASSWORD"}
