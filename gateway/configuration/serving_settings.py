"""Configuration keys of the doors for applications: HTTP, gRPC, shared memory, MQTT requests, and who may use them."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.configuration.option import option
from gateway.configuration.secret import Secret

_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"
SCOPES = ("infer", "read", "admin")


@dataclass(frozen=True, slots=True)
class GrpcSettings:
    """The gRPC door."""

    enabled: bool = option("Serve the Open Inference Protocol over gRPC.", True)
    listen: str = option("Address and port, or unix:/path for programs of this machine.", "127.0.0.1:8001")
    max_message_bytes: int = option("Largest message taken.", 67_108_864, minimum=1024, maximum=2_147_483_647)
    reflection: bool = option("Answer server reflection, for tools such as grpcurl.", True)


@dataclass(frozen=True, slots=True)
class SharedMemorySettings:
    """Tensors in memory that a program of this machine shares with the gateway."""

    system: bool = option("Take regions of /dev/shm, by name, from programs of this machine.", True)
    socket: str = option(
        "Path of a socket at which programs of this machine hand memory over as descriptors; empty for none.",
        "",
    )
    max_regions: int = option("Regions registered at most.", 256, minimum=1, maximum=65_536)
    max_region_bytes: int = option("Largest region.", 268_435_456, minimum=4096)


@dataclass(frozen=True, slots=True)
class MqttRequestSettings:
    """Requests over the broker: <prefix>/<id>/v2/models/<model>/infer."""

    enabled: bool = option("Answer requests that name a response topic.", True)
    max_pending: int = option("Requests under way at most.", 64, minimum=1, maximum=65_535)


@dataclass(frozen=True, slots=True)
class PrioritySettings:
    """Which requests go before others, and before the board's own frames."""

    levels: int = option(
        "Priorities that a request may name: 1, the first, to this; more counts as none.", 10, minimum=1, maximum=100
    )
    default: int = option("Priority of a request that names none, or 0.", 1, minimum=1, maximum=100)
    frames: int = option(
        "Priority at which frames of sensors run; requests of a lower number go before them.",
        1,
        minimum=1,
        maximum=100,
    )


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Encryption of the doors that other machines reach."""

    certificate_file: str = option("Certificate chain (PEM); empty for no TLS.", "")
    key_file: str = option("Private key (PEM) of the certificate.", "")
    client_ca_file: str = option(
        "CA certificates (PEM) that sign clients' certificates; every client must then show one.", ""
    )


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """One bearer token and what it allows."""

    name: str = option("Who carries it: named in logs, metrics and limits.", pattern=_NAME)
    token: Secret = option(
        "The token, at least 16 characters, best given as ${credential:NAME}.", factory=lambda: Secret("")
    )
    scopes: tuple[str, ...] = option("What it allows: infer, read, admin.", ("infer", "read"))


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """Who may use the doors."""

    tokens: tuple[TokenSettings, ...] = option(
        "Bearer tokens; with none, programs of this machine alone are served.", ()
    )
    certificate_scopes: tuple[str, ...] = option(
        "What a client certificate allows (with client_ca_file).", ("infer", "read")
    )
    open_to_everybody: bool = option(
        "Serve inference and status on an address that others reach without asking who they are; never administration.",
        False,
    )
    requests_per_s: float = option(
        "Requests a second of one client; 0 for no limit.", 0.0, minimum=0, maximum=1_000_000
    )
    burst: int = option(
        "Requests of one client above that rate for a moment.", 100, minimum=1, maximum=1_000_000
    )
    concurrent: int = option("Requests of one client at a time.", 256, minimum=1, maximum=65_536)
    connections: int = option("Connections at a time, of all clients.", 2048, minimum=8, maximum=65_536)


@dataclass(frozen=True, slots=True)
class ServingSettings:
    """The doors for applications: the Open Inference Protocol."""

    enabled: bool = option(
        "Serve models to applications; without it there are only health, metrics and status.", True
    )
    name: str = option("Name that the server gives itself.", "gateway", pattern=r"[\x20-\x7e]{1,64}")
    timeout_s: float = option("Deadline of a request that names none.", 30.0, minimum=0.001, maximum=3600)
    max_timeout_s: float = option(
        "Longest deadline that a request may name.", 300.0, minimum=0.001, maximum=86_400
    )
    slow_request_s: float = option(
        "Requests that came with a traceparent and take longer are logged; 0 for none.", 1.0, minimum=0, maximum=3600
    )
    max_body_bytes: int = option(
        "Largest body of a request, after decompression.", 67_108_864, minimum=1024, maximum=2_147_483_647
    )
    max_json_depth: int = option("Deepest nesting of JSON.", 32, minimum=4, maximum=512)
    models_dir: str = option(
        "Folder in which every model file or model folder that appears is served; empty for none.", ""
    )
    grpc: GrpcSettings = field(default_factory=GrpcSettings, metadata={"doc": "The gRPC door."})
    shared_memory: SharedMemorySettings = field(
        default_factory=SharedMemorySettings,
        metadata={"doc": "Tensors in memory shared with programs of this machine."},
    )
    mqtt: MqttRequestSettings = field(
        default_factory=MqttRequestSettings, metadata={"doc": "Requests over the broker."}
    )
    priority: PrioritySettings = field(
        default_factory=PrioritySettings, metadata={"doc": "Which requests go before others."}
    )
    tls: TlsSettings = field(default_factory=TlsSettings, metadata={"doc": "Encryption of the doors."})
    access: AccessSettings = field(default_factory=AccessSettings, metadata={"doc": "Who may use the doors."})


@dataclass(frozen=True, slots=True)
class AliasTarget:
    """One model that a name leads to, and its share."""

    model: str = option("A name under models:.", pattern=_NAME)
    version: str = option(
        "A version or release of it; the one that serves when empty.", "", pattern=r"[A-Za-z0-9.+_-]{0,64}"
    )
    weight: int = option("Its share among the targets.", 100, minimum=0, maximum=10_000)


@dataclass(frozen=True, slots=True)
class AliasSettings:
    """A name that leads to models."""

    targets: tuple[AliasTarget, ...] = option("Where it leads; one client or stream keeps to one of them.")
