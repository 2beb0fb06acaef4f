"""The closed list of log events: name, level, fields and what each one means.

``gateway.operations.log`` writes them, docs/operations.md lists them, and a rule
test finds every call in the tree and refuses names or fields that are not here.
An event that outside data can cause names its ``subject``: the fields that say
whom it is about. Repeats of one event and subject are written once per
``log.interval_s`` with a count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class Level(IntEnum):
    """Severity of an event; numbers grow with it."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


@dataclass(frozen=True, slots=True)
class EventKind:
    """What is known of one event.

    Attributes:
        level: Its severity.
        doc: One sentence for the operator: what happened, and what to do if anything.
        fields: Names of the fields it may carry besides those of ``COMMON_FIELDS``.
        subject: The fields that make two such events repeats; None if it is never held back.
    """

    level: Level
    doc: str
    fields: tuple[str, ...] = ()
    subject: tuple[str, ...] | None = None


COMMON_FIELDS: Final = ("error", "trace_id")

_DEBUG, _INFO, _WARNING, _ERROR = Level

EVENTS: Final[Mapping[str, EventKind]] = {
    # The process.
    "starting": EventKind(_INFO, "The gateway begins to start.", ("version", "pid", "config")),
    "ready": EventKind(_INFO, "Every model answers; frames are taken.", ("after_s", "models", "pipelines")),
    "stopping": EventKind(_INFO, "A stop was asked for; frames in flight are finished.", ("reason",)),
    "stopped": EventKind(_INFO, "Everything is closed.", ("after_s",)),
    "task_failed": EventKind(
        _ERROR, "A part of the gateway failed unexpectedly: please report it.", ("task",), ("task",)
    ),
    "socket_refused": EventKind(
        _WARNING,
        "The service manager handed over a socket that nobody here serves; it was closed.",
        ("name", "fd", "why"),
    ),
    "watchdog_not_fed": EventKind(
        _ERROR,
        "Models do not answer (or the loop stood still): the service manager will start the gateway anew.",
        ("models",),
        ("models",),
    ),
    "library_message": EventKind(
        _WARNING, "A library logged a warning or an error.", ("logger", "text"), ("logger",)
    ),
    "log_lines_lost": EventKind(
        _WARNING, "Standard error or the journal was too slow; that many log lines were dropped.", ("count",)
    ),
    "repeated": EventKind(
        _INFO, "How often an event was held back since it was last written.", ("of", "subject", "count")
    ),
    "unlisted": EventKind(
        _ERROR,
        "An event that is not on this list was logged: please report it.",
        ("name", "fields"),
        ("name",),
    ),
    # What models run on.
    "engine_building": EventKind(
        _INFO,
        "An engine is being built for the GPU, which is done once: the model serves when that is over.",
        ("model", "engine", "progress"),
        ("model",),
    ),
    "engine_failed": EventKind(
        _WARNING,
        "A model did not pass its proof on a better backend; the next one is tried. See docs/gpu.md.",
        ("model", "engine", "reason"),
    ),
    "engine_chosen": EventKind(
        _INFO, "What a model runs on from its next lane on, and why.", ("model", "engine", "file", "why")
    ),
    # Configuration.
    "config_refused": EventKind(
        _ERROR, "The file is wrong; what ran before goes on unchanged.", ("file", "issues")
    ),
    "config_reloaded": EventKind(
        _INFO, "The changes of the file are in force.", ("file", "added", "removed", "changed", "restart_for")
    ),
    # The status door.
    "grpc_listening": EventKind(_INFO, "The gRPC door is open.", ("address",)),
    "memory_listening": EventKind(_INFO, "The door for shared memory is open.", ("path",)),
    "tls_not_renewed": EventKind(
        _WARNING, "Certificates cannot be read anew; the doors go on with those that they have."
    ),
    "http_listening": EventKind(
        _INFO,
        "The status door is open, on a socket of its own or of the service manager.",
        ("address", "handed_over"),
    ),
    "http_failed": EventKind(
        _ERROR, "A page or a request raised; the client got a 500: please report it.", ("path",), ("path",)
    ),
    "rpc_failed": EventKind(
        _ERROR,
        "The gRPC door failed unexpectedly on a call; the client was told INTERNAL: please report it.",
        ("method",),
        ("method",),
    ),
    "rpc_certificate_unread": EventKind(
        _WARNING, "The gRPC door's renewed certificate cannot be read; the one before it serves on."
    ),
    "http_refused": EventKind(
        _WARNING,
        "An HTTP/2 request was malformed, or a connection was ended: a flood of frames, or no HTTP/2.",
        ("address", "reason"),
        ("address",),
    ),
    "tls_refused": EventKind(
        _WARNING,
        "A client did not get through TLS: no certificate that is known here, or no TLS at all.",
        ("address",),
        ("address",),
    ),
    # Who may use the doors.
    "access_refused": EventKind(
        _WARNING,
        "A request was not let in, for this reason. See docs/access.md.",
        ("address", "reason", "need", "call", "on"),
        ("address", "reason"),
    ),
    "admin_call": EventKind(
        _INFO,
        "An administrator's call ended: who made it from where, what it did to what, and how it ended.",
        ("who", "address", "call", "on", "outcome"),
    ),
    # Requests that belong to a trace.
    "request_failed": EventKind(
        _WARNING,
        "A request that came with a traceparent was answered with an error, or not let in.",
        ("door", "call", "model", "label", "took_ms"),
        ("door", "label"),
    ),
    "request_slow": EventKind(
        _WARNING,
        "A request that came with a traceparent took longer than serving.slow_request_s.",
        ("door", "call", "model", "took_ms"),
        ("door", "model"),
    ),
    # Model updates.
    "updates_on": EventKind(
        _INFO, "Model updates are taken.", ("repository", "group", "device", "store", "models")
    ),
    "updates_off": EventKind(
        _ERROR, "The model store cannot be used: what serves goes on, nothing new is installed.", ("reason",)
    ),
    "update_looked": EventKind(
        _INFO,
        "The repository was looked at and believed.",
        ("because", "assignment", "versions", "clock", "peak_bytes"),
    ),
    "update_look_failed": EventKind(
        _WARNING,
        "The repository could not be read, or is not believed; it is tried again.",
        ("because", "label", "retry_s"),
        ("label",),
    ),
    "update_trouble": EventKind(
        _WARNING, "A part of a look failed that others made up for.", ("trouble",), ("trouble",)
    ),
    "update_clock_untrusted": EventKind(
        _WARNING,
        "The clock is behind what signed metadata proves: a later time is assumed. Set the clock.",
        ("assumed",),
        (),
    ),
    "update_root_expires": EventKind(
        _WARNING, "The repository's root of trust expires soon: its owners must sign a new one.", ("at",), ()
    ),
    "release_step": EventKind(
        _INFO,
        "A release went a step on its way.",
        ("model", "release", "label", "step", "phase", "took_s", "code", "reason"),
    ),
    "release_refused": EventKind(
        _WARNING,
        "A release is not taken; what serves goes on.",
        ("model", "release", "code", "reason"),
        ("model", "code"),
    ),
    "release_switched": EventKind(
        _INFO,
        "Another release answers from now on.",
        ("model", "release", "was", "how", "reason"),
    ),
    "bake_alarm": EventKind(
        _WARNING,
        "A release in its bake answers differently than the one before.",
        ("model", "release", "alarm"),
        ("model",),
    ),
    "update_order": EventKind(
        _INFO, "Somebody gave an order about updates.", ("order", "model"), ("order", "model")
    ),
    "update_message_refused": EventKind(
        _WARNING, "A message about updates cannot be read.", ("topic",), ("topic",)
    ),
    "store_failed": EventKind(
        _ERROR, "The model store could not be written; it is tried again.", ("what",), ("what",)
    ),
    # Models and their workers.
    "worker_lost": EventKind(
        _WARNING,
        "A worker process ended unasked; the requests in its hands were answered or run again.",
        ("model", "worker_pid", "reason", "requests"),
        ("model",),
    ),
    "lanes_changed": EventKind(
        _INFO, "A worker became ready or has gone.", ("model", "ready", "wanted"), ("model",)
    ),
    "memory_source_changed": EventKind(
        _INFO,
        "Numbers of this device's memory come from elsewhere now, or from nowhere, for this reason.",
        ("device", "source", "was", "reason"),
        ("device", "source"),
    ),
    "telemetry_trouble": EventKind(
        _WARNING,
        "A part of the board cannot be read now; what it tells is unknown until it can.",
        ("trouble",),
        ("trouble",),
    ),
    "lanes_scaled": EventKind(
        _INFO,
        "A model got another lane because it was wanted, or lost some for want of memory or of work.",
        ("model", "was", "to", "reason", "why", "device"),
    ),
    "growth_held": EventKind(
        _INFO,
        "A model would use another lane and does not get it, for this reason; said when the reason changes.",
        ("model", "reason", "why"),
        ("model", "reason"),
    ),
    "admission_paused": EventKind(
        _WARNING,
        "Memory is short although no model has a lane to spare: frames of this priority and lower ones wait.",
        ("priority", "reason", "why", "device"),
    ),
    "admission_resumed": EventKind(
        _INFO, "Frames of this priority are taken again.", ("priority", "reason", "why", "device")
    ),
    "payload_quarantined": EventKind(
        _ERROR,
        "A payload crashed a worker twice and is refused from now on.",
        ("model", "stream", "sha256"),
        ("model",),
    ),
    "model_out_of_service": EventKind(
        _ERROR, "A model does not serve; reload once the reason is gone.", ("model", "reason"), ("model",)
    ),
    "model_loaded": EventKind(
        _INFO,
        "A model that was not loaded serves now, or one was loaded anew: for a request, or by order.",
        ("model", "because", "after_s"),
    ),
    "model_load_failed": EventKind(
        _WARNING,
        "A model could not be loaded for a request or by order; the next request tries again after a while.",
        ("model", "reason"),
        ("model",),
    ),
    "model_unloaded": EventKind(
        _INFO,
        "A model's lanes ended, by order or because memory is short; it stays known.",
        ("model", "because"),
    ),
    "alias_moved": EventKind(
        _INFO,
        "An alias leads elsewhere from the next request on.",
        ("alias", "targets", "was", "because"),
    ),
    "alias_stuck": EventKind(
        _WARNING,
        "An alias goes on leading where it did: something that it should lead to does not serve.",
        ("alias", "targets", "reason"),
        ("alias",),
    ),
    "version_beside": EventKind(
        _INFO,
        "Another release of a model serves beside the one that its name leads to, or no longer.",
        ("model", "release", "serves"),
    ),
    "version_trouble": EventKind(
        _WARNING,
        "A release that an alias names does not serve; it is tried again.",
        ("model", "release", "reason"),
        ("model", "release"),
    ),
    "canary_failed": EventKind(_WARNING, "A model did not answer when asked.", ("model",), ("model",)),
    # Drop-in models.
    "drop_in_watched": EventKind(
        _INFO,
        "The folder for drop-in models is watched; slow says why changes are noticed late, if they are.",
        ("folder", "slow"),
    ),
    "drop_in_serves": EventKind(
        _INFO,
        "A model that was dropped into the folder serves; missing names what its card should say besides.",
        ("model", "file", "version", "took_s", "missing"),
    ),
    "drop_in_gone": EventKind(
        _INFO, "A drop-in model's file has gone; it finishes what it holds.", ("model", "file")
    ),
    "drop_in_refused": EventKind(
        _WARNING,
        "What was dropped into the folder is not served; what served before goes on.",
        ("file", "reason", "advice"),
        ("file", "reason"),
    ),
    "drop_in_trouble": EventKind(
        _WARNING,
        "The folder for drop-in models cannot be read; what serves goes on until it can.",
        ("folder", "reason"),
        ("folder", "reason"),
    ),
    # Sensors and frames.
    "sensor_presence": EventKind(
        _INFO,
        "A sensor came, fell silent or went.",
        ("sensor", "presence", "was", "reason"),
        ("sensor", "presence"),
    ),
    "sensor_noted": EventKind(
        _INFO,
        "Something to know of a sensor: admitted, pending, denied, the same device as another.",
        ("sensor", "kind", "note"),
        ("sensor", "kind"),
    ),
    "announcement_refused": EventKind(
        _WARNING, "An announcement or message of a sensor was dropped.", ("topic", "label"), ("label",)
    ),
    "frame_refused": EventKind(
        _WARNING, "A frame gave no result.", ("sensor", "stream", "label"), ("sensor", "label")
    ),
    # The broker.
    "mqtt_state": EventKind(
        _INFO,
        "A connection to the broker came, went or was refused.",
        ("connection", "state", "reason"),
    ),
    "mqtt_dropped": EventKind(
        _WARNING,
        "A message was not taken or not sent.",
        ("connection", "reason", "topic"),
        ("connection", "reason"),
    ),
    "mqtt_filter_refused": EventKind(
        _WARNING, "The broker refused a subscription.", ("connection", "filter", "code"), ("connection",)
    ),
    "mqtt_request_refused": EventKind(
        _WARNING,
        "A request over the broker cannot be answered: it names no topic for that, or a forbidden one.",
        ("topic", "label"),
        ("label",),
    ),
}
