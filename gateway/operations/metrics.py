"""Every metric of the gateway, declared once: name, meaning, labels.

One ``Metrics`` is made by the daemon and handed to whoever counts. Durations are
in seconds and sizes in bytes, as OpenMetrics wants; docs/operations.md lists all.
"""

from __future__ import annotations

import platform
from typing import Final

from gateway.operations.build import VERSION
from gateway.operations.series import Counters, Family, Gauges, Histograms, MetricKind

DURATION_BOUNDS_S: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
PAUSE_BOUNDS_S: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.0083, 0.025, 0.1, 0.5)
ROW_BOUNDS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


def _counter(name: str, doc: str, *labels: str, closed: int = 0) -> Counters:
    return Counters(MetricKind(name, "counter", doc, labels, closed))


def _gauge(name: str, doc: str, *labels: str) -> Gauges:
    return Gauges(MetricKind(name, "gauge", doc, labels))


class Metrics:
    """The gateway's metrics; the attributes are the families."""

    def __init__(self) -> None:
        self._make_frames()
        self._make_inference()
        self._make_models()
        self._make_scaling()
        self._make_sensors_and_mqtt()
        self._make_doors()
        self._make_updates()
        self._make_memory()
        self._make_board()
        self._make_triton()
        self._make_process()

    def families(self) -> tuple[Family, ...]:
        """Return every family, in the order in which they are declared."""
        return tuple(vars(self).values())

    def forget_sensor(self, sensor: str) -> None:
        """Drop every series of a sensor that is gone."""
        for family in (self.frames_received, self.frames_dropped, self.results):
            family.forget(sensor)

    def _make_frames(self) -> None:
        self.frames_received = _counter(
            "gateway_frames_received", "Frames taken from the broker.", "sensor", "stream"
        )
        self.frames_dropped = _counter(
            "gateway_frames_dropped",
            "Frames that gave no result: superseded by a newer one, or the label of an error.",
            "sensor",
            "reason",
            closed=1,
        )
        self.results = _counter("gateway_results", "Results that pipelines gave.", "sensor", "pipeline")
        self.results_published = _counter(
            "gateway_results_published", "Results handed to the broker.", "pipeline"
        )
        self.results_dropped = _counter(
            "gateway_results_dropped",
            "Results not published: filtered, or the queue for the absent broker was full.",
            "pipeline",
            "reason",
            closed=1,
        )

    def _make_inference(self) -> None:
        self.requests = _counter(
            "gateway_requests",
            "Requests by how they ended: done, failed, expired, cancelled.",
            "model",
            "outcome",
            closed=1,
        )
        self.request_duration = Histograms(
            MetricKind(
                "gateway_request_duration_seconds",
                "histogram",
                "Time of answered requests: queue, wait, decode, preprocess, infer, postprocess, total.",
                ("model", "pipeline", "stage"),
                closed=1,
            ),
            DURATION_BOUNDS_S,
        )
        self.batch_rows = Histograms(
            MetricKind("gateway_batch_rows", "histogram", "Rows of the batches that ran.", ("model",)),
            ROW_BOUNDS,
        )
        self.queue_rows = _gauge("gateway_queue_rows", "Rows waiting for a lane.", "model")
        self.lanes = _gauge("gateway_lanes", "Lanes by state: ready, wanted.", "model", "state")
        self.worker_restarts = _counter(
            "gateway_worker_restarts", "Workers replaced, by why they ended.", "model", "reason"
        )
        self.worker_memory = _gauge(
            "gateway_worker_memory_bytes",
            "Memory of a model's workers; shared pages are counted in part (PSS).",
            "model",
        )
        self.worker_major_faults = _counter(
            "gateway_worker_major_faults", "Pages for which a batch waited for the disk.", "model"
        )
        self.quarantined_payloads = _counter(
            "gateway_quarantined_payloads", "Payloads that crashed a worker and are refused.", "model"
        )

    def _make_models(self) -> None:
        self.model_info = Gauges(
            MetricKind(
                "gateway_model", "info", "What serves each model.", ("model", "version", "digest", "engine")
            )
        )
        self.model_loads = _counter(
            "gateway_model_loads",
            "Models loaded for a request or by order, unloaded, or not loaded: loaded, unloaded, failed.",
            "model",
            "outcome",
            closed=1,
        )
        self.canary_age = _gauge(
            "gateway_canary_age_seconds", "Time since a canary inference last succeeded.", "model"
        )
        self.canaries = _counter(
            "gateway_canaries", "Canary inferences by outcome: ok, failed.", "model", "outcome", closed=1
        )

    def _make_scaling(self) -> None:
        self.lanes_most = _gauge("gateway_lanes_max", "Lanes that a model may have at most.", "model")
        self.lane_cost = _gauge(
            "gateway_lane_cost_bytes", "Memory that one more lane of a model is reckoned to take.", "model"
        )
        self.scaling_decisions = _counter(
            "gateway_scaling_decisions",
            "Lanes added and retired, growth held, frames paused and resumed; of models or devices.",
            "subject",
            "action",
            "reason",
        )
        self.scale_out_wanted = _gauge(
            "gateway_scale_out_wanted",
            "1 while demand lasts that no lane can be added for here: more replicas are wanted.",
        )
        self.scale_in_possible = _gauge(
            "gateway_scale_in_possible", "1 while this replica could do twice the work that it does."
        )
        self.paused_through = _gauge(
            "gateway_admission_paused_priority",
            "Frames of this priority and lower ones wait; absent while none do.",
            "device",
        )

    def _make_sensors_and_mqtt(self) -> None:
        self.sensors = _gauge("gateway_sensors", "Sensors by presence.", "presence")
        self.announcements_refused = _counter(
            "gateway_announcements_refused", "Announcements dropped, by error label.", "label"
        )
        self.mqtt_connected = _gauge(
            "gateway_mqtt_connected", "1 while a connection to the broker stands.", "connection"
        )
        self.mqtt_reconnects = _counter(
            "gateway_mqtt_reconnects", "Connections lost and made again.", "connection"
        )
        self.mqtt_received_messages = _counter(
            "gateway_mqtt_received_messages", "Messages received.", "connection"
        )
        self.mqtt_received_bytes = _counter(
            "gateway_mqtt_received_bytes", "Payload bytes received.", "connection"
        )
        self.mqtt_dropped_messages = _counter(
            "gateway_mqtt_dropped_messages",
            "Messages not taken from the broker or given up before they reached it, by reason.",
            "connection",
            "reason",
            closed=2,
        )
        self.outgoing_messages = _gauge("gateway_outgoing_messages", "Results waiting for the broker.")
        self.mqtt_requests = _counter(
            "gateway_mqtt_requests",
            "Requests over the broker: answered, refused, unanswerable, repeated, cancelled.",
            "outcome",
        )
        self.mqtt_requests_refused = _counter(
            "gateway_mqtt_requests_refused",
            "Requests over the broker that got no tensors, by error label.",
            "reason",
        )
        self.mqtt_requests_pending = _gauge(
            "gateway_mqtt_requests_pending", "Requests over the broker under way."
        )

    def _make_doors(self) -> None:
        self.access_refused = _counter(
            "gateway_access_refused", "Requests that were not let in, by reason (docs/access.md).", "reason"
        )
        self.door_requests = _counter(
            "gateway_door_requests",
            "Requests by door, by what they asked for, and by outcome: done, cancelled, or an error label.",
            *("door", "method", "outcome"),
            closed=3,
        )

    def _make_updates(self) -> None:
        self.release = Gauges(
            MetricKind(
                "gateway_release", "info", "Which release serves each model.", ("model", "release", "digest")
            )
        )
        self.release_phase = _gauge(
            "gateway_release_phase", "1 for the phase in which each model's rollout is.", "model", "phase"
        )
        self.release_steps = _counter(
            "gateway_release_steps", "Steps of rollouts.", "model", "step", closed=1
        )
        self.release_failures = _counter(
            "gateway_release_failures",
            "Releases that did not get in or were sent back, by error label.",
            "model",
            "code",
        )
        self.update_looks = _counter(
            "gateway_update_looks", "Looks at the repository: ok, or the label of an error.", "outcome"
        )
        self.update_child_peak = _gauge(
            "gateway_update_child_peak_bytes", "Greatest memory of the last updater process."
        )
        self.trust_expiry = _gauge(
            "gateway_trust_expiry_timestamp_seconds", "When each role of the repository expires.", "role"
        )
        self.store_used = _gauge("gateway_store_bytes", "Bytes in the model store.")
        self.store_quota = _gauge("gateway_store_quota_bytes", "Bytes that the model store may take.")
        self.store_free = _gauge("gateway_store_disk_free_bytes", "Bytes left on the store's disk.")

    def _make_memory(self) -> None:
        source = ("device", "source")
        self.memory_total = _gauge(
            "gateway_memory_total_bytes", "Memory of the board or a control group, or of a GPU.", *source
        )
        self.memory_available = _gauge(
            "gateway_memory_available_bytes", "What can be had without swapping or being killed.", *source
        )
        self.memory_used = _gauge(
            "gateway_memory_used_ratio", "Share of memory that cannot be had any more.", *source
        )
        self.memory_page_cache = _gauge(
            "gateway_memory_page_cache_bytes", "Part of what is available that holds files now.", *source
        )
        self.memory_swap_used = _gauge(
            "gateway_memory_swap_used_bytes", "Swapped out, zram too; never counted as memory.", "device"
        )
        self.memory_pressure = _gauge(
            "gateway_memory_pressure_ratio",
            "Share of ten seconds in which something (some) or everything (full) waited for memory.",
            "kind",
        )
        self.memory_swapped_pages = _counter(
            "gateway_memory_swapped_pages", "Pages that the machine swapped in or out."
        )
        self.memory_oom_kills = _counter(
            "gateway_memory_oom_kills", "Processes killed for memory, in our control group where it counts."
        )
        self.telemetry_age = _gauge("gateway_telemetry_age_seconds", "Age of the newest sample of the board.")
        self.telemetry_troubles = _gauge(
            "gateway_telemetry_troubles", "Parts of the board that could not be read."
        )

    def _make_board(self) -> None:
        self.processors_busy = _gauge("gateway_processors_busy_ratio", "Busy share of all processors.")
        self.gpu_info = Gauges(
            MetricKind("gateway_gpu", "info", "Which GPUs there are.", ("device", "name", "uuid", "memory"))
        )
        self.gpu_load = _gauge("gateway_gpu_load_ratio", "Busy share of a GPU.", "device")
        self.gpu_clock = _gauge("gateway_gpu_clock_hertz", "Clock of a GPU now.", "device")
        self.gpu_clock_max = _gauge(
            "gateway_gpu_clock_max_hertz", "Highest clock that the power mode allows a GPU.", "device"
        )
        self.gpu_temperature = _gauge("gateway_gpu_temperature_celsius", "Temperature of a GPU.", "device")
        self.gpu_power = _gauge("gateway_gpu_power_watts", "Electric power of a GPU.", "device")
        self.gpu_held = _gauge(
            "gateway_gpu_held_bytes", "The board's memory that the driver holds for its GPU.", "device"
        )
        self.board_info = Gauges(
            MetricKind(
                "gateway_board", "info", "Which board this is, in which mode.", ("model", "power_mode")
            )
        )
        self.board_power = _gauge("gateway_board_power_watts", "Electric power of the whole board.")
        self.board_rail_power = _gauge(
            "gateway_board_rail_power_watts", "Electric power by rail of the board.", "rail"
        )
        self.board_temperature = _gauge(
            "gateway_board_temperature_celsius", "Temperature by zone of the board.", "zone"
        )
        self.board_throttled = _gauge(
            "gateway_board_throttled", "1 while the board is held back for this reason, inferred.", "reason"
        )

    def _make_triton(self) -> None:
        self.nv_gpu_utilization = _gauge(
            "nv_gpu_utilization", "GPU utilization rate [0.0 - 1.0), as Triton names it.", "gpu_uuid"
        )
        self.nv_gpu_memory_total = _gauge(
            "nv_gpu_memory_total_bytes", "GPU total memory, as Triton names it.", "gpu_uuid"
        )
        self.nv_gpu_memory_used = _gauge(
            "nv_gpu_memory_used_bytes", "GPU used memory, as Triton names it.", "gpu_uuid"
        )
        self.nv_gpu_power_usage = _gauge(
            "nv_gpu_power_usage", "GPU power usage in watts, as Triton names it.", "gpu_uuid"
        )

    def _make_process(self) -> None:
        self.errors = _counter("gateway_errors", "Errors of requests, frames and models, by label.", "label")
        self.config_reloads = _counter(
            "gateway_config_reloads", "Reloads by outcome: applied, refused.", "outcome"
        )
        self.collector_pause = Histograms(
            MetricKind(
                "gateway_collector_pause_seconds",
                "histogram",
                "How long runs of the garbage collector held everything else, by generation: 0, 1, 2.",
                ("generation",),
            ),
            PAUSE_BOUNDS_S,
        )
        self.ready = _gauge("gateway_ready", "1 while /readyz answers 200.")
        self.build_info = Gauges(
            MetricKind("gateway_build", "info", "Which build this is.", ("version", "python"))
        )
        self.build_info.read_from(lambda: [((VERSION, platform.python_version()), 1)])
