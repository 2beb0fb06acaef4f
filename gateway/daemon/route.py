"""From the configuration to what a frame's way needs at hand: one ``Route`` per stream and pipeline. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.configuration.settings import FilterSettings, PublishSettings, Settings


@dataclass(frozen=True, slots=True)
class Route:
    """A pipeline as one stream uses it.

    Attributes:
        pipeline: Name under ``pipelines:``.
        model: Name under ``models:``.
        ttl_s: Age at which a frame is worthless, unless stream or message say less.
        reset_gap_s: Silence after which carried state starts anew.
        topic: Topic of its results.
        publish: How results go out.
        filter: Which results go out.
        priority: Where memory is short, the lowest waits first.
    """

    pipeline: str
    model: str
    ttl_s: float
    reset_gap_s: float
    topic: str
    publish: PublishSettings
    filter: FilterSettings
    priority: int = 0


def route(settings: Settings, gateway: str, sensor: str, stream: str, pipeline: str) -> Route:
    """Return the route of a stream's frames through a pipeline.

    Raises:
        KeyError: No pipeline has this name.
    """
    known = settings.pipelines[pipeline]
    topic = known.publish.topic.format(
        prefix=settings.mqtt.topic_prefix,
        gateway=gateway,
        sensor=sensor,
        stream=stream,
        pipeline=pipeline,
        model=known.model,
    )
    return Route(
        pipeline,
        known.model,
        known.ttl_ms / 1e3,
        known.reset_gap_s,
        topic,
        known.publish,
        known.filter,
        known.priority,
    )
