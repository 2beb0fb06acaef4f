"""What keys mean to each other."""

from __future__ import annotations

import pytest

from gateway.configuration.checks import check
from gateway.configuration.reader import read
from gateway.configuration.settings import Settings

SOUND = """
mqtt: {url: "mqtts://broker.example", username: me, password: hush}
models: {m: {path: /models/m}}
pipelines:
  p: {model: m}
sensors:
  admission: [{action: allow, topic: "yard/+/frame", pipelines: [p]}]
  learn: {filters: ["old/#"]}
  declared:
    cam:
      pipelines: [p]
      state_topic: yard/cam/state
      streams:
        frame: {topic: yard/cam/frame, media: image/jpeg}
        raw: {topic: yard/cam/raw, dtype: FP32, shape: [-1, 6], layout: TC}
"""


def found(text: str, *, warnings: bool = False) -> dict[str, str]:
    """Return what is found in ``text``, by path."""
    findings = check(read(text, "f.yaml", Settings))
    return {f.path: f.what for f in findings if f.is_warning is warnings}


def changed(old: str, new: str) -> str:
    assert old in SOUND
    return SOUND.replace(old, new, 1)


def test_a_sound_configuration_has_no_findings() -> None:
    assert not found(SOUND)
    assert not found(SOUND, warnings=True)


def test_the_defaults_have_no_findings() -> None:
    assert not list(check(Settings()))


@pytest.mark.parametrize(
    ("old", "new", "path", "words"),
    [
        ("{model: m}", "{model: n}", "pipelines.p.model", "known: m"),
        ("p: {model: m}", "x: {model: m}", "sensors.declared.cam.pipelines[0]", "no pipeline 'p'"),
        ("pipelines: [p]}]", "pipelines: [q]}]", "sensors.admission[0].pipelines[0]", "no pipeline 'q'"),
        ("allow, topic", "deny, topic", "sensors.admission[0].pipelines", "no effect"),
        ("yard/+/frame", "yard/+x/frame", "sensors.admission[0].topic", "no MQTT filter"),
        ("old/#", "old/#/x", "sensors.learn.filters[0]", "no MQTT filter"),
        ("old/#", "$SYS/#", "sensors.learn.filters[0]", "broker's own"),
        ("yard/cam/frame", "yard/+/frame", "sensors.declared.cam.streams.frame.topic", "wildcard"),
        ("yard/cam/frame", "$SYS/x", "sensors.declared.cam.streams.frame.topic", "$"),
        ("yard/cam/frame", "gw/x/results/a/b", "sensors.declared.cam.streams.frame.topic", "gateway's own"),
        ("yard/cam/state", "gw", "sensors.declared.cam.state_topic", "gateway's own"),
        (
            "state_topic: yard/cam/state",
            "state_topic: yard/cam/state\n      state_online: offline",
            "sensors.declared.cam.state_offline",
            "same payload",
        ),
        (
            "{model: m}",
            '{model: m, publish: {topic: "yard/{sensor}/frame"}}',
            "sensors.declared.cam.streams.frame.topic",
            "feed itself",
        ),
        ("{model: m}", '{model: m, publish: {topic: "a/{who}"}}', "pipelines.p.publish.topic", "{sensor}"),
        ("{model: m}", '{model: m, publish: {topic: "a/#"}}', "pipelines.p.publish.topic", "no +, #"),
        ("image/jpeg", "jpeg", "sensors.declared.cam.streams.frame.media", "type/subtype"),
        ("image/jpeg", "audio/pcm", "sensors.declared.cam.streams.frame.rate_hz", "samples a second"),
        ("FP32", "FP31", "sensors.declared.cam.streams.raw.dtype", "FP31"),
        ("[-1, 6]", "[-1, 0]", "sensors.declared.cam.streams.raw.shape[1]", "1 or more"),
        ("[-1, 6]", "[-1, -1]", "sensors.declared.cam.streams.raw.shape", "only one axis"),
        ("[-1, 6]", "[99999, 99999]", "sensors.declared.cam.streams.raw.shape", "max_elements"),
        ("layout: TC", "layout: NTC", "sensors.declared.cam.streams.raw.layout", "names 3 axes"),
        ("layout: TC", "layout: TT", "sensors.declared.cam.streams.raw.layout", "twice"),
        ("mqtts://broker.example", "http://broker", "mqtt.url", "mqtts://HOST"),
        ("username: me, ", "", "mqtt.password", "3.1.1"),
        ("username: me", "username: me, client_key_file: k.pem", "mqtt.client_key_file", "as well"),
    ],
)
def test_what_does_not_fit_is_found_at_its_key(old: str, new: str, path: str, words: str) -> None:
    assert words in found(changed(old, new))[path]


def test_files_for_tls_without_tls_are_refused() -> None:
    text = "mqtt: {url: 'mqtt://b', ca_file: a, client_certificate_file: b, client_key_file: c}"
    assert set(found(text)) == {"mqtt.ca_file", "mqtt.client_certificate_file", "mqtt.client_key_file"}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("mqtt: {reconnect_min_s: 40}", "mqtt.reconnect_min_s"),
        ("inference: {restart_min_s: 31}", "inference.restart_min_s"),
        ("http: {canary_interval_s: 31}", "http.canary_interval_s"),
        ("http: {listen: '127.0.0.1'}", "http.listen"),
        ("sensors: {discovery: {homeassistant_prefix: /a}}", "sensors.discovery.homeassistant_prefix"),
        ("sensors: {declared: {cam: {streams: {}}}}", "sensors.declared.cam.streams"),
    ],
)
def test_limits_and_addresses_are_held_together(text: str, path: str) -> None:
    assert list(found(text)) == [path]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("mqtt: {url: 'mqtt://far.example', username: a, password: b}", "mqtt.password"),
        ("models: {m: {path: x}}\nserving: {enabled: false}", "models.m"),
        ("inference: {max_payload_bytes: 9000000}", "inference.max_payload_bytes"),
        ("sensors: {declared: {c: {streams: {s: {topic: a, qos: 1}}}}}", "sensors.declared.c.streams.s.qos"),
    ],
)
def test_what_is_unwise_is_a_warning(text: str, path: str) -> None:
    assert list(found(text, warnings=True)) == [path]
    assert not found(text)


def test_a_model_without_a_pipeline_is_there_for_applications() -> None:
    assert not found("models: {m: {path: x}}", warnings=True)


def test_a_password_to_this_machine_needs_no_tls() -> None:
    assert not found("mqtt: {url: 'mqtt://[::1]', username: a, password: b}", warnings=True)
