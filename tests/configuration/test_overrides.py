"""Settings from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.configuration.load import LoadedSettings, load
from gateway.configuration.overrides import overridden
from gateway.errors import ConfigError


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedSettings:
    path = tmp_path / "gateway.yaml"
    path.write_text("gateway: {id: one}\nmqtt: {url: mqtt://a}\n")
    return load(path)


def test_later_values_win_over_earlier_ones_and_over_the_file(loaded: LoadedSettings) -> None:
    changed = overridden(
        loaded, ["mqtt.url=mqtt://b:1", "http.enabled=false", "mqtt.keepalive_s=30", "mqtt.keepalive_s=31"]
    ).settings

    assert (changed.mqtt.url, changed.http.enabled, changed.mqtt.keepalive_s) == ("mqtt://b:1", False, 31)
    assert changed.gateway.id == "one"
    assert loaded.settings.mqtt.url == "mqtt://a"


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("mqtt.url", "dotted.key=value"),
        ("mqtt.nonsense=1", "unknown key"),
        ("nonsense=1", "unknown key"),
        ("mqtt=1", "only plain keys"),
        ("mqtt.keepalive_s=fast", "keepalive_s"),
        ("mqtt.keepalive_s=1", "5"),
        ("http.enabled=maybe", "enabled"),
        ("sensors.learn.filters=a", "only plain keys"),
    ],
)
def test_what_cannot_be_set_is_refused_with_its_key(loaded: LoadedSettings, override: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what.replace(".", r"\.")) as caught:
        overridden(loaded, [override])

    assert caught.value.issues[0].file == "--set"


def test_text_that_looks_like_something_else_stays_text(loaded: LoadedSettings) -> None:
    changed = overridden(loaded, ["mqtt.username=it's", "mqtt.client_id=42", "gateway.id=007"]).settings

    assert (changed.mqtt.username, changed.mqtt.client_id, changed.gateway.id) == ("it's", "42", "007")
