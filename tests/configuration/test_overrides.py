"""Settings from the command line over a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.configuration.load import LoadedSettings, load
from gateway.configuration.overrides import overridden
from gateway.configuration.settings import Settings
from gateway.errors import ConfigError

ROOT = Path(__file__).parents[2]
SHIPPED = load(ROOT / "config" / "gateway.yaml", {})


def settings(*overrides: str, over: LoadedSettings = SHIPPED) -> Settings:
    return overridden(over, overrides).settings


def refusals(*overrides: str) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        overridden(SHIPPED, overrides)
    assert all((issue.file, issue.line) == ("--set", 0) for issue in caught.value.issues)
    return [(issue.path, issue.what) for issue in caught.value.issues]


def test_plain_keys_of_every_kind_are_set() -> None:
    changed = settings(
        "mqtt.url=mqtt://broker:1884",
        "mqtt.keepalive_s=7",
        "http.enabled=false",
        "http.canary_interval_s=2.5",
        "gateway.id=",
        "pipelines.classify.filter.min_score=0.5",
        "models.efficientnet-lite0.lanes=2",
        "sensors.presence.min_stale_s=1",
    )
    assert changed.mqtt.url == "mqtt://broker:1884"
    assert changed.mqtt.keepalive_s == 7
    assert changed.http.enabled is False
    assert changed.http.canary_interval_s == 2.5
    assert changed.gateway.id == ""
    assert changed.pipelines["classify"].filter.min_score == 0.5
    assert changed.models["efficientnet-lite0"].lanes == 2
    assert changed.models["motion"] == SHIPPED.settings.models["motion"]


def test_a_text_is_taken_whole() -> None:
    changed = settings("mqtt.username=a: #b 'c", "mqtt.password=x # y")
    assert (changed.mqtt.username, changed.mqtt.password.value) == ("a: #b 'c", "x # y")


def test_a_secret_may_be_a_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_PASSWORD", "hush")
    changed = settings("mqtt.username=me", "mqtt.password=${env:BROKER_PASSWORD}")
    assert changed.mqtt.password.value == "hush"


def test_names_may_hold_dots(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    model = f"{{path: {ROOT}/models/motion-int8}}"
    file.write_text(
        f"models: {{a: {model}, a.b: {model}}}\npipelines: {{p: {{model: a}}, q: {{model: a.b}}}}\n"
    )
    changed = settings("models.a.b.lanes=3", "models.a.lanes=2", over=load(file, {}))
    assert (changed.models["a"].lanes, changed.models["a.b"].lanes) == (2, 3)


def test_a_relative_path_is_meant_from_where_the_command_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "models")
    changed = settings("models.motion.path=motion-int8-onnx")
    assert changed.models["motion"].path == str(ROOT / "models" / "motion-int8-onnx")


@pytest.mark.parametrize(
    ("override", "path", "words"),
    [
        ("mqtt.url", "mqtt.url", "write --set"),
        ("mqtt.ulr=x", "mqtt.ulr", "did you mean url?"),
        ("mqtt=x", "mqtt", "only plain keys"),
        ("models=x", "models", "only plain keys"),
        ("models.motion=x", "models.motion", "no such name"),
        ("models.motoin.lanes=2", "models.motoin.lanes", "did you mean motion?"),
        ("sensors.learn.filters=x", "sensors.learn.filters", "only plain keys"),
        ("sensors.admission[0].id=x", "sensors.admission[0].id", "did you mean admission?"),
        ("mqtt.url.x=1", "mqtt.url.x", "only plain keys"),
        ("mqtt.keepalive_s=1", "mqtt.keepalive_s", "less than 5"),
        ("mqtt.keepalive_s=soon", "mqtt.keepalive_s", "whole number"),
        ("http.enabled=no", "http.enabled", "write false"),
        ("mqtt.password=${env:SURELY_NOT_SET}", "mqtt.password", "not set"),
        ("mqtt.url=broker", "mqtt.url", "mqtt://HOST"),
        ("models.motion.path=/nowhere", "models.motion.path", "cannot be read"),
        ("pipelines.motion.model=motoin", "pipelines.motion.model", "did you mean motion?"),
        ("=", "", "unknown key"),
    ],
)
def test_what_cannot_be_set_is_refused(override: str, path: str, words: str) -> None:
    ((at, what),) = refusals(override)
    assert at == path
    assert words in what


def test_every_wrong_override_is_told_at_once() -> None:
    assert [path for path, _ in refusals("mqtt.ulr=x", "http.listen=x", "log.level=loud")] == [
        "mqtt.ulr",
        "log.level",
        "http.listen",
    ]


@given(
    st.text(max_size=20)
    | st.text(max_size=12).map(lambda text: f"mqtt.{text}")
    | st.text(max_size=9).map("models.m.{}".format)
)
def test_any_override_is_applied_or_refused(override: str) -> None:
    try:
        outcome: LoadedSettings | ConfigError = overridden(SHIPPED, [override])
    except ConfigError as error:
        outcome = error
    assert isinstance(outcome, ConfigError)
    assert outcome.issues
