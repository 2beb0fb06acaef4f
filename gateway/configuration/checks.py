"""What one key cannot know of another: references, topics, addresses, limits that belong together.

Pure: files are looked at by ``file_checks``, models by their proof.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod

from gateway.configuration.address import Address, BadAddress, broker_address
from gateway.configuration.nearest import nearest
from gateway.configuration.scalars import shown
from gateway.configuration.settings import PipelineSettings, Settings, StreamSettings
from gateway.configuration.template import BadTemplate, check_template, template_filter
from gateway.errors import ForbiddenTopic, WrongDtype
from gateway.mqtt.topic import TopicTable, check_sensor_topic, is_valid_filter, is_valid_topic
from gateway.serving.address import parse_address
from gateway.tensor import dtype_named


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong, or unwise, at a key.

    Attributes:
        path: Dotted path of the key.
        what: What it is and what to do.
        is_warning: True if the gateway starts all the same.
    """

    path: str
    what: str
    is_warning: bool = False


def check(settings: Settings) -> Iterator[Finding]:
    """Yield everything that is wrong or unwise between the keys."""
    for one in _CHECKS:
        yield from one(settings)


def _broker(settings: Settings) -> Iterator[Finding]:
    mqtt = settings.mqtt
    try:
        address = broker_address(mqtt.url)
    except BadAddress as error:
        yield Finding("mqtt.url", str(error))
        return
    if not address.tls:
        for key in ("ca_file", "client_certificate_file", "client_key_file"):
            if getattr(mqtt, key):
                yield Finding(f"mqtt.{key}", "has no effect without TLS; write mqtts:// in mqtt.url")
    for key, other in (
        ("client_certificate_file", "client_key_file"),
        ("client_key_file", "client_certificate_file"),
    ):
        if getattr(mqtt, key) and not getattr(mqtt, other):
            yield Finding(f"mqtt.{key}", f"needs mqtt.{other} as well")
    yield from _login(settings, address)


def _login(settings: Settings, address: Address) -> Iterator[Finding]:
    mqtt = settings.mqtt
    if not mqtt.password.value:
        return
    if not mqtt.username and mqtt.version != "5":
        yield Finding("mqtt.password", "MQTT 3.1.1 takes no password without mqtt.username")
    if not address.tls and not address.is_loopback:
        what = (
            "the password crosses the network in clear; write mqtts:// in mqtt.url if the broker speaks TLS"
        )
        yield Finding("mqtt.password", what, is_warning=True)


def _http(settings: Settings) -> Iterator[Finding]:
    try:
        parse_address(settings.http.listen)
    except ValueError as error:
        yield Finding("http.listen", str(error))


def _ordered(settings: Settings) -> Iterator[Finding]:
    for section, low, high in (
        ("mqtt", "reconnect_min_s", "reconnect_max_s"),
        ("inference", "restart_min_s", "restart_max_s"),
        ("http", "canary_interval_s", "canary_max_age_s"),
    ):
        keys = getattr(settings, section)
        if getattr(keys, low) > getattr(keys, high):
            what = f"{getattr(keys, low):g} is more than {section}.{high} ({getattr(keys, high):g})"
            yield Finding(f"{section}.{low}", what)
    most, packet = settings.inference.max_payload_bytes, settings.mqtt.max_packet_bytes
    if most > packet:
        what = f"payloads over mqtt.max_packet_bytes ({packet}) never arrive"
        yield Finding("inference.max_payload_bytes", what, is_warning=True)


def _discovery(settings: Settings) -> Iterator[Finding]:
    sensors = settings.sensors
    prefix = sensors.discovery.homeassistant_prefix
    if not is_valid_topic(prefix) or prefix.startswith(("/", "$")) or prefix.endswith("/"):
        what = "needs one or more topic levels, such as homeassistant"
        yield Finding("sensors.discovery.homeassistant_prefix", what)
    for index, each in enumerate(sensors.learn.filters):
        path = f"sensors.learn.filters[{index}]"
        if not is_valid_filter(each):
            yield Finding(path, _bad_filter(each))
        elif each.startswith("$"):
            yield Finding(path, "topics that start with $ are the broker's own")


def _admission(settings: Settings) -> Iterator[Finding]:
    for index, rule in enumerate(settings.sensors.admission):
        path = f"sensors.admission[{index}]"
        if not is_valid_filter(rule.topic):
            yield Finding(f"{path}.topic", _bad_filter(rule.topic))
        yield from _known(path, rule.pipelines, settings.pipelines)
        if rule.action != "allow":
            for key in ("pipelines", "stream"):
                if getattr(rule, key):
                    what = f"has no effect in a rule whose action is {rule.action}"
                    yield Finding(f"{path}.{key}", what)


def _declared(settings: Settings) -> Iterator[Finding]:
    results = _result_topics(settings)
    for sensor_id, sensor in settings.sensors.declared.items():
        path = f"sensors.declared.{sensor_id}"
        if not sensor.streams:
            yield Finding(f"{path}.streams", "needs at least one stream")
        yield from _known(path, sensor.pipelines, settings.pipelines)
        for name, stream in sensor.streams.items():
            at = f"{path}.streams.{name}"
            yield from _topic(f"{at}.topic", stream.topic, settings, results)
            yield from _payload(at, stream, settings)
        if sensor.state_topic:
            yield from _topic(f"{path}.state_topic", sensor.state_topic, settings, results)
            if sensor.state_online == sensor.state_offline:
                yield Finding(f"{path}.state_offline", "is the same payload as state_online")


def _topic(path: str, topic: str, settings: Settings, results: TopicTable[str]) -> Iterator[Finding]:
    try:
        check_sensor_topic(topic)
    except ForbiddenTopic as error:
        yield Finding(path, error.message)
        return
    prefix = settings.mqtt.topic_prefix
    if topic == prefix or topic.startswith(prefix + "/"):
        what = f"topics under {prefix}/ are the gateway's own; use another one, or change mqtt.topic_prefix"
        yield Finding(path, what)
        return
    for pipeline in results.match(topic)[:1]:
        yield Finding(path, f"the results of pipeline {pipeline} go there: it would feed itself")


def _payload(path: str, stream: StreamSettings, settings: Settings) -> Iterator[Finding]:
    if stream.media and not _is_media(stream.media):
        yield Finding(f"{path}.media", "needs type/subtype, such as image/jpeg, without parameters")
    if stream.dtype:
        try:
            dtype_named(stream.dtype)
        except WrongDtype as error:
            yield Finding(f"{path}.dtype", error.message)
    yield from _shape(path, stream, settings)
    if stream.media.startswith("audio/pcm") and stream.rate_hz == 0:
        yield Finding(f"{path}.rate_hz", "PCM audio does not say its own rate; write samples a second")
    if stream.qos == 1 and stream.delivery == "latest":
        what = "redelivery is for nothing where newer frames replace older; write qos: 0 or delivery: every"
        yield Finding(f"{path}.qos", what, is_warning=True)


def _shape(path: str, stream: StreamSettings, settings: Settings) -> Iterator[Finding]:
    shape = stream.shape
    for index, size in enumerate(shape):
        if size == 0 or size < -1:
            yield Finding(f"{path}.shape[{index}]", "a size is 1 or more, or -1 for one axis of any size")
    if shape.count(-1) > 1:
        yield Finding(f"{path}.shape", "only one axis may be of any size (-1)")
    most = settings.inference.max_elements
    if prod(abs(size) for size in shape) > most:
        yield Finding(f"{path}.shape", f"holds more than inference.max_elements ({most})")
    if stream.layout and shape and len(stream.layout) != len(shape):
        what = f"names {len(stream.layout)} axes, the shape has {len(shape)}"
        yield Finding(f"{path}.layout", what)
    if len(set(stream.layout)) != len(stream.layout):
        yield Finding(f"{path}.layout", "names an axis twice")


def _pipelines(settings: Settings) -> Iterator[Finding]:
    for name, pipeline in settings.pipelines.items():
        path = f"pipelines.{name}"
        if pipeline.model not in settings.models:
            near = nearest(pipeline.model, list(settings.models))
            yield Finding(f"{path}.model", f"no model {shown(pipeline.model)} under models:; {near}")
        try:
            check_template(pipeline.publish.topic)
        except BadTemplate as error:
            yield Finding(f"{path}.publish.topic", str(error))
    if settings.serving.enabled:
        return  # applications may ask for every model
    used = {pipeline.model for pipeline in settings.pipelines.values()}
    for name in settings.models:
        if name not in used:
            what = "no pipeline uses this model and serving.enabled is false; it takes memory for nothing"
            yield Finding(f"models.{name}", what, is_warning=True)


def _known(path: str, names: Iterable[str], pipelines: Mapping[str, object]) -> Iterator[Finding]:
    for index, name in enumerate(names):
        if name not in pipelines:
            what = f"no pipeline {shown(name)} under pipelines:; {nearest(name, list(pipelines))}"
            yield Finding(f"{path}.pipelines[{index}]", what)


def _result_topics(settings: Settings) -> TopicTable[str]:
    """Return a table from topics to the pipelines that publish there."""
    table: TopicTable[str] = TopicTable()
    for name, pipeline in settings.pipelines.items():
        if _is_template(pipeline.publish.topic):
            table.add(template_filter(pipeline.publish.topic, _names(settings, name, pipeline)), name)
    return table


def _names(settings: Settings, name: str, pipeline: PipelineSettings) -> dict[str, str]:
    return {"prefix": settings.mqtt.topic_prefix, "pipeline": name, "model": pipeline.model}


def _is_template(text: str) -> bool:
    try:
        check_template(text)
    except BadTemplate:
        return False
    return True


def _is_media(text: str) -> bool:
    kind, slash, subtype = text.partition("/")
    allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$&^_.+-"
    return bool(slash and kind and subtype) and len(text) <= 127 and not (kind + subtype).strip(allowed)


def _bad_filter(text: str) -> str:
    return f"{text[:80]!r} is no MQTT filter: + fills one level (a/+/b), # the last ones (a/#)"


_CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    _broker,
    _http,
    _ordered,
    _discovery,
    _admission,
    _declared,
    _pipelines,
)
