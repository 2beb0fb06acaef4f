"""Every configuration key, as frozen dataclasses: the one place where keys, defaults and limits live.

The reader (strict YAML to these), the JSON Schema, the documented default file
and the key table in the operator's docs are all made from these declarations.
Units stand in the names; durations are seconds unless the name says ``_ms``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.configuration.option import option
from gateway.configuration.secret import Secret
from gateway.configuration.serving_settings import AliasSettings, ServingSettings

ID = r"[a-z0-9][a-z0-9-]{0,62}"
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """Who this gateway is and where it keeps things."""

    id: str = option("Name of this gateway in topics; the host name when empty.", "", pattern=rf"({ID})?")
    cache_dir: str = option(
        "Folder for derived files (proofs that a model loads); $CACHE_DIRECTORY or ~/.cache/gateway when empty.", ""
    )


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """The broker and how to reach it."""

    url: str = option("Broker address: mqtt://HOST[:1883] or mqtts://HOST[:8883].", "mqtt://127.0.0.1:1883")
    version: str = option("Protocol version; auto tries 5, then 3.1.1.", "auto", choices=("auto", "5", "3.1.1"))
    client_id: str = option("Prefix of the two client ids; gw-<gateway id> when empty.", "", pattern=r"[\x21-\x7e]{0,64}")
    username: str = option("User name; empty for none. May be a reference, as the password.", "", references=True)
    password: Secret = option("Password, best given as ${credential:NAME}.", factory=lambda: Secret(""))
    ca_file: str = option("CA certificates (PEM) that sign the broker's; the system's own when empty.", "")
    client_certificate_file: str = option("Client certificate (PEM) for mutual TLS.", "")
    client_key_file: str = option("Private key (PEM) of the client certificate.", "")
    keepalive_s: int = option("Longest silence before a ping.", 60, minimum=5, maximum=65535)
    connect_timeout_s: float = option("Longest wait for the broker's answer to a connect.", 10.0, minimum=0.1, maximum=300)
    reconnect_min_s: float = option("First pause before connecting again; it doubles, with jitter.", 0.5, minimum=0.01, maximum=60)
    reconnect_max_s: float = option("Longest pause before connecting again.", 30.0, minimum=0.1, maximum=3600)
    max_packet_bytes: int = option(
        "Largest message taken from the broker, announced to it on MQTT 5.", 8_388_608, minimum=1024, maximum=268_435_455
    )
    receive_maximum: int = option("Unacknowledged QoS 1 messages taken at once (MQTT 5).", 32, minimum=1, maximum=65535)
    session_expiry_s: int = option("How long the broker keeps the control session (MQTT 5).", 3600, minimum=0, maximum=4_294_967_294)
    topic_prefix: str = option("First level of all the gateway's own topics.", "gw", pattern=r"[A-Za-z0-9_.-]{1,64}")
    outgoing_messages: int = option("Results kept while the broker is away; the oldest goes first.", 1000, minimum=1, maximum=1_000_000)
    outgoing_bytes: int = option("Bytes of results kept while the broker is away.", 16_777_216, minimum=1024)


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """One topic of a sensor and what its payloads are."""

    topic: str = option("MQTT topic; no wildcards.")
    media: str = option(
        "Media type of the payloads (image/jpeg, audio/pcm, application/json ...); detected when empty.", ""
    )
    dtype: str = option("Element type of raw tensors and PCM (uint8, int16, float32 ...).", "")
    shape: tuple[int, ...] = option("Shape of raw tensors; -1 for one axis of any size.", ())
    layout: str = option("Axes of raw tensors, such as HWC or NCHW.", "", pattern=r"[NHWCTD]{0,5}")
    rate_hz: float = option("Samples a second of audio and numeric streams; 0 if unknown.", 0.0, minimum=0, maximum=10_000_000)
    channels: int = option("Channels of PCM audio.", 1, minimum=1, maximum=64)
    encoding: str = option("Wrapping around the payload.", "", choices=("", "base64", "data-uri", "gzip"))
    fields: tuple[str, ...] = option("Paths of the numbers in JSON or CBOR payloads, such as imu.x; all numbers when empty.", ())
    qos: int = option("QoS of the subscription.", 0, minimum=0, maximum=1)
    delivery: str = option(
        "latest: a newer frame replaces one still waiting; every: all are queued, acknowledged when handed on.",
        "latest",
        choices=("latest", "every"),
    )
    ttl_ms: int = option("Age at which a frame is worthless; the pipeline's own when 0.", 0, minimum=0, maximum=3_600_000)


@dataclass(frozen=True, slots=True)
class DeclaredSensor:
    """A sensor written down instead of discovered."""

    streams: Mapping[str, StreamSettings] = option("Streams by name.", keys=NAME)
    name: str = option("Words for people.", "")
    kind: str = option("camera, microphone, accelerometer ...", "")
    labels: Mapping[str, str] = option("Free labels, matched by admission rules.", factory=dict)
    pipelines: tuple[str, ...] = option("Pipelines that take its frames.", ())
    state_topic: str = option("Topic of the sensor's own presence messages; empty for none.", "")
    state_online: str = option("Payload that means online.", "online")
    state_offline: str = option("Payload that means offline.", "offline")
    expire_s: float = option("Silence after which the sensor is stale; learned from its cadence when 0.", 0.0, minimum=0, maximum=604_800)


@dataclass(frozen=True, slots=True)
class AdmissionRule:
    """First rule that matches a discovered sensor decides."""

    action: str = option("What to do with it.", choices=("allow", "deny", "pending"))
    dialect: str = option("Only this dialect (announce, homeassistant ...); any when empty.", "")
    id: str = option("Only ids that match this glob.", "*")
    kind: str = option("Only this kind; any when empty.", "")
    topic: str = option("Only streams whose topic matches this MQTT filter.", "#")
    labels: Mapping[str, str] = option("Only sensors that carry these labels (globs).", factory=dict)
    pipelines: tuple[str, ...] = option("Pipelines to bind; the sensor's own hint is used when empty.", ())
    stream: str = option("Only this stream of the sensor is bound; all that fit when empty.", "")


@dataclass(frozen=True, slots=True)
class DiscoverySettings:
    """How sensors make themselves known."""

    announce: bool = option("Take native announcements (<prefix>/announce/<sensor>).", True)
    homeassistant: bool = option("Take Home Assistant discovery messages.", False)
    homeassistant_prefix: str = option("First levels of Home Assistant discovery topics.", "homeassistant", pattern=r"[^+#$\x00]{1,128}")
    max_sensors: int = option("Sensors kept at most.", 10_000, minimum=1, maximum=1_000_000)
    max_streams: int = option("Streams of one sensor at most.", 64, minimum=1, maximum=4096)
    max_announcement_bytes: int = option("Largest announcement read.", 65_536, minimum=256, maximum=1_048_576)


@dataclass(frozen=True, slots=True)
class LearnSettings:
    """Listing topics that nobody declared, as pending sensors."""

    filters: tuple[str, ...] = option("MQTT filters to listen on; empty turns learning off.", ())
    max_topics: int = option("Topics listed at most.", 256, minimum=1, maximum=10_000)


@dataclass(frozen=True, slots=True)
class PresenceSettings:
    """When a silent sensor counts as stale, offline, gone."""

    min_stale_s: float = option("Least silence before stale, whatever the cadence.", 5.0, minimum=0.1, maximum=86_400)
    cadence_factor: float = option("Silence of this many median gaps means stale.", 4.0, minimum=1.5, maximum=1000)
    offline_after_s: float = option("Stale for this long means offline.", 60.0, minimum=0.1, maximum=604_800)
    gone_after_s: float = option("Offline for this long means gone: forgotten, with its metrics.", 86_400.0, minimum=1, maximum=31_536_000)


@dataclass(frozen=True, slots=True)
class SensorSettings:
    """Sensors: discovered, declared, admitted, watched."""

    discovery: DiscoverySettings = field(default_factory=DiscoverySettings, metadata={"doc": "How sensors make themselves known."})
    learn: LearnSettings = field(default_factory=LearnSettings, metadata={"doc": "Listing undeclared topics as pending."})
    presence: PresenceSettings = field(default_factory=PresenceSettings, metadata={"doc": "When silence means what."})
    admission: tuple[AdmissionRule, ...] = option(
        "Rules for discovered sensors, first match decides; none matching means pending.", ()
    )
    declared: Mapping[str, DeclaredSensor] = option("Sensors written down here, by id.", factory=dict, keys=ID)


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """One model and how it runs."""

    path: str = option("Folder with the model file and its card (card.yaml), relative to this file.")
    engine: str = option(
        "Runtime; auto takes LiteRT for .tflite (tflite-runtime if it is absent) and ONNX Runtime for .onnx.",
        "auto",
        choices=("auto", "litert", "tflite-runtime", "onnxruntime"),
    )
    threads: int = option("Threads inside one inference; more lanes are nearly always better.", 1, minimum=1, maximum=64)
    providers: tuple[str, ...] = option(
        "ONNX Runtime execution providers, in order; empty for the best that the board has and that passes its proof.", ()
    )
    precision: str = option(
        "Precision; auto takes the best that the GPU can do, of those that the model comes in.", "auto", choices=("auto", "int8", "fp16", "fp32")
    )
    gpu_memory_bytes: int = option("Most bytes of a GPU provider's arena; 0 for half of the board's memory.", 0, minimum=0)
    gpu_workspace_bytes: int = option(
        "Most bytes that TensorRT works with; 0 for an eighth of the board's memory, 1 GiB at most.", 0, minimum=0
    )
    delegates: tuple[str, ...] = option("TFLite delegates, in order; xnnpack is built in; compiled or webgpu alone ask for LiteRT's CompiledModel.", ("xnnpack",))
    load: str = option(
        "always: it serves from the start; on_demand: the first request loads it, and it may be unloaded when memory is short.",
        "always",
        choices=("always", "on_demand"),
    )
    lanes: int = option("Lanes at the start: how many batches of this model run side by side.", 1, minimum=1, maximum=64)
    max_lanes: int = option(
        "Lanes at most while demand lasts and memory allows (scaling:); 0 for as many as there are processors.", 0, minimum=0, maximum=64
    )
    max_batch_rows: int = option("Most rows in one batch; 1 for a model with a fixed batch of 1.", 8, minimum=1, maximum=1024)
    max_queued_rows: int = option("Rows that may wait for this model.", 256, minimum=1, maximum=100_000)
    run_timeout_s: float = option("A batch that runs longer hangs: its worker is replaced.", 10.0, minimum=0.05, maximum=3600)
    load_timeout_s: float = option("Longest load and first runs, in the throw-away process and in a lane.", 60.0, minimum=1, maximum=7200)


@dataclass(frozen=True, slots=True)
class StepSettings:
    """One step of a pipeline as written: ``- name: {options}`` or ``- name``.

    Attributes:
        name: Name under which the step is registered.
        options: Plain values as read from the file.
    """

    name: str
    options: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class FilterSettings:
    """Which results are published."""

    classes: tuple[str, ...] = option("Only these labels; all when empty.", ())
    min_score: float = option("Only classes, objects and voices with at least this score.", 0.0, minimum=0, maximum=1)
    on_change: bool = option("Only when the answer differs from the last one published.", False)
    min_interval_s: float = option("Least time between two results of one stream.", 0.0, minimum=0, maximum=86_400)
    empty: bool = option("Publish results in which nothing is left after filtering.", True)


@dataclass(frozen=True, slots=True)
class PublishSettings:
    """Where and how results go out."""

    topic: str = option(
        "Topic template; {prefix} {gateway} {sensor} {stream} {pipeline} {model} are filled in.",
        "{prefix}/{gateway}/results/{sensor}/{pipeline}",
    )
    qos: int = option("QoS of results.", 0, minimum=0, maximum=1)
    retain: bool = option("Let the broker keep the last result.", False)
    expiry_s: int = option("Message expiry on MQTT 5; 0 for none.", 0, minimum=0, maximum=4_294_967_294)


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """Decode, pre-process, model, post-process, filter, publish."""

    model: str = option("Name under models:.")
    preprocess: tuple[StepSettings, ...] | None = option("Steps before the model; those of the model's card when absent.", None)
    postprocess: tuple[StepSettings, ...] | None = option("Steps after the model; those of the model's card when absent.", None)
    filter: FilterSettings = field(default_factory=FilterSettings, metadata={"doc": "Which results are published."})
    publish: PublishSettings = field(default_factory=PublishSettings, metadata={"doc": "Where and how results go out."})
    ttl_ms: int = option("Age at which a frame is worthless, unless its stream or message says less.", 1000, minimum=1, maximum=3_600_000)
    reset_gap_s: float = option("Silence after which a stream's carried state starts anew.", 2.0, minimum=0.01, maximum=86_400)
    priority: int = option("Where memory is short, frames of the lowest priority wait first.", 0, minimum=0, maximum=100)


@dataclass(frozen=True, slots=True)
class InferenceSettings:
    """Limits of the inference core."""

    max_payload_bytes: int = option("Largest frame payload taken.", 8_388_608, minimum=1024, maximum=268_435_455)
    max_pixels: int = option("Most pixels of an image, checked in its header before decoding.", 33_177_600, minimum=1)
    max_elements: int = option("Most elements of a decoded tensor or number list.", 33_554_432, minimum=1)
    restart_min_s: float = option("First pause before a crashed worker is replaced; it doubles.", 0.1, minimum=0.01, maximum=60)
    restart_max_s: float = option("Longest pause before a crashed worker is replaced.", 30.0, minimum=0.1, maximum=3600)
    crash_limit: int = option("Crashes within the window after which a model is out of service.", 8, minimum=1, maximum=1000)
    crash_window_s: float = option("The window for crash_limit.", 60.0, minimum=1, maximum=86_400)
    quarantined_payloads: int = option("Hashes of crashing payloads remembered.", 256, minimum=1, maximum=65_536)
    niceness: int = option("Nice value of lanes, above the gateway's own: what answers goes before what computes.", 5, minimum=0, maximum=19)


@dataclass(frozen=True, slots=True)
class ScalingSettings:
    """Lanes that follow demand, within the memory that the board really has."""

    enabled: bool = option("Add and retire lanes; if not, each model keeps the lanes it starts with.", True)
    sample_interval_s: float = option("Time between two samples of memory.", 5.0, minimum=0.2, maximum=3600)
    high_mark: float = option("Share of memory in use above which lanes are retired.", 0.85, minimum=0.1, maximum=1)
    samples: int = option("Samples in a row that a condition must last before lanes change.", 3, minimum=1, maximum=1000)
    reserve_bytes: int = option("Memory that stays free beside every lane.", 134_217_728, minimum=0)
    cooldown_s: float = option("Least time between two changes of one model's lanes, emergencies apart.", 30.0, minimum=0, maximum=86_400)
    idle_s: float = option("A lane above the configured number goes after so long without need.", 120.0, minimum=1, maximum=86_400)
    full_pressure: float = option(
        "Share of time in which everything waits for memory (PSI full, ten seconds) that is an emergency.", 0.1, minimum=0.01, maximum=1
    )


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """What is read of the board, and under which names it is exported."""

    nvml: bool = option("Ask NVIDIA's management library, where there is one.", True)
    triton_names: bool = option("Export the nv_gpu_* metrics too, which dashboards made for Triton read.", False)


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Health, metrics and status over HTTP."""

    enabled: bool = option("Serve /healthz, /readyz, /metrics and /status.", True)
    listen: str = option("Address and port, or unix:/path for programs of this machine.", "127.0.0.1:8080")
    canary_interval_s: float = option("Time between canary inferences of each serving model.", 10.0, minimum=1, maximum=3600)
    canary_max_age_s: float = option("A canary older than this makes the gateway not ready.", 30.0, minimum=2, maximum=86_400)


@dataclass(frozen=True, slots=True)
class BakeSettings:
    """How long a new release is watched, and what sends it back."""

    seconds: float = option("Watched service before a release is committed.", 600.0, minimum=0, maximum=604_800)
    requests: int = option("Answered requests that are needed as well.", 200, minimum=0, maximum=100_000_000)
    max_seconds: float = option("Commit after this time although too few requests came.", 86_400.0, minimum=0, maximum=2_592_000)
    error_rate: float = option("Share of failed requests that is always allowed.", 0.01, minimum=0, maximum=1)
    error_factor: float = option("Failed requests at most this many times as frequent as before.", 2.0, minimum=1, maximum=1000)
    p99_factor: float = option("Time of a model run at p99 at most this many times as long as before.", 1.25, minimum=1, maximum=1000)
    max_boots: int = option("Starts of the gateway during validation or bake after which a release is given up.", 3, minimum=1, maximum=100)


@dataclass(frozen=True, slots=True)
class UpdateSettings:
    """Model releases over the air."""

    repository: str = option("Where releases come from: an http(s):// address or a folder; empty turns updates off.", "")
    root_file: str = option("The repository's root of trust (root.json), delivered with the configuration.", "")
    group: str = option("Group whose assignment this gateway follows.", "default", pattern=NAME)
    device: str = option("Name of this board for percentages and canaries; the gateway's id when empty.", "", pattern=rf"({NAME})?")
    hardware: tuple[str, ...] = option("Names of this board that releases may ask for, besides those that are detected.", ())
    store_dir: str = option("Folder of the model store; $STATE_DIRECTORY or ~/.local/state/gateway, then /models, when empty.", "")
    inbox_dir: str = option("Folder that is looked at for a dropped repository (a USB stick, say); empty for none.", "")
    poll_interval_s: float = option("Time between two looks at the repository, with jitter.", 900.0, minimum=5, maximum=604_800)
    window: str = option("When a release may be switched to, HH:MM-HH:MM in UTC; any time when empty.", "", pattern=r"(\d\d:\d\d-\d\d:\d\d)?")
    quota_bytes: int = option("Most bytes of the store.", 4_294_967_296, minimum=1_048_576)
    reserve_bytes: int = option("Bytes of the disk that are left free.", 67_108_864, minimum=0)
    mqtt_chunks: bool = option("Ask for chunks over MQTT as well, from whoever serves blobs there.", True)
    deltas: str = option("Patches: auto takes them where they save bytes; only refuses whole files (metered links).", "auto", choices=("auto", "off", "only"))
    min_rate_bytes_s: int = option("A source that delivers less is given up.", 1024, minimum=1)
    commands: bool = option("Take orders on <prefix>/<id>/models/cmd; the broker's access list says who may give them.", True)
    keep_releases: int = option("Releases kept besides the active and the previous one.", 0, minimum=0, maximum=100)
    memory_reserve_bytes: int = option("Memory left free when old and new serve side by side; else the old one ends first.", 134_217_728, minimum=0)
    quarantine_s: float = option("How long a failed release is not tried again; 0 for ever.", 0.0, minimum=0)
    report_before_commit: bool = option("Commit only while the broker is there to be told.", False)
    bake: BakeSettings = field(default_factory=BakeSettings, metadata={"doc": "How long a new release is watched, and what sends it back."})


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Log lines on standard error, or in systemd's journal."""

    level: str = option("Least level that is written.", "info", choices=("debug", "info", "warning", "error"))
    format: str = option("json: one object a line; human: for terminals; journal: systemd's; auto picks.", "auto", choices=("auto", "json", "human", "journal"))
    interval_s: float = option("A repeated event of one kind and subject is written once in this time, with a count.", 30.0, minimum=0, maximum=3600)


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration file."""

    gateway: IdentitySettings = field(default_factory=IdentitySettings, metadata={"doc": "Who this gateway is."})
    mqtt: MqttSettings = field(default_factory=MqttSettings, metadata={"doc": "The broker and how to reach it."})
    sensors: SensorSettings = field(default_factory=SensorSettings, metadata={"doc": "Sensors: discovered, declared, admitted, watched."})
    models: Mapping[str, ModelSettings] = option("Models by name.", factory=dict, keys=NAME)
    pipelines: Mapping[str, PipelineSettings] = option("Pipelines by name.", factory=dict, keys=NAME)
    inference: InferenceSettings = field(default_factory=InferenceSettings, metadata={"doc": "Limits of the inference core."})
    scaling: ScalingSettings = field(default_factory=ScalingSettings, metadata={"doc": "Lanes that follow demand, within memory."})
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings, metadata={"doc": "What is read of the board."})
    updates: UpdateSettings = field(default_factory=UpdateSettings, metadata={"doc": "Model releases over the air."})
    aliases: Mapping[str, AliasSettings] = option("Further names for models, which may share requests by weight.", factory=dict, keys=NAME)
    serving: ServingSettings = field(default_factory=ServingSettings, metadata={"doc": "The doors for applications."})
    http: HttpSettings = field(default_factory=HttpSettings, metadata={"doc": "Health, metrics and status over HTTP."})
    log: LogSettings = field(default_factory=LogSettings, metadata={"doc": "Log lines on standard error, or in systemd's journal."})
