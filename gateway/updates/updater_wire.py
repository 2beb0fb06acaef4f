"""What parent and updater child say to each other: settings, commands, answers, errors, as lines of JSON."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from gateway.configuration.secret import Secret
from gateway.configuration.settings import MqttSettings
from gateway.error_words import from_wire
from gateway.errors import GatewayError
from gateway.operations.build import BUILT_UNIX_S

# A manifest of the longest, in base64, and words around it.
MOST_LINE_BYTES: Final = 1 << 20
_MOST_MESSAGE: Final = 4000


@dataclass(frozen=True, slots=True)
class UpdaterOptions:
    """What an updater child has to know.

    Attributes:
        store_dir: Folder of the model store.
        repository: Address of the repository: ``http(s)://``, or a folder.
        root: The root of trust as it was delivered with the configuration.
        group: Group whose assignment counts.
        inbox_dir: Folder that may hold a dropped repository; None for none.
        mqtt: The broker where blobs may be asked for; None for not asking there.
        prefix: First level of the topics there.
        quota_bytes: Most bytes of the store.
        reserve_bytes: Bytes of the disk that are left free.
        deltas: ``auto``, ``off`` or ``only``.
        delta_memory_bytes: What a patch may take of memory under ``auto``.
        min_rate_bytes_s: A server that delivers less is given up.
        build_unix_s: When this software was built: the clock cannot be before.
        refresh_s: Longest time of a refresh.
        fetch_s: Longest time of the fetch of one release.
    """

    store_dir: Path
    repository: str
    root: bytes
    group: str
    inbox_dir: Path | None = None
    mqtt: MqttSettings | None = None
    prefix: str = "gw"
    quota_bytes: int = 4 << 30
    reserve_bytes: int = 64 << 20
    deltas: str = "auto"
    delta_memory_bytes: int = 28 << 20
    min_rate_bytes_s: float = 1024.0
    build_unix_s: int = BUILT_UNIX_S
    refresh_s: float = 120.0
    fetch_s: float = 21_600.0


def options_words(options: UpdaterOptions) -> dict[str, Any]:
    """Return options as JSON values, secrets in the clear: for the child's standard input alone."""
    words = asdict(options)
    words["store_dir"] = str(options.store_dir)
    words["inbox_dir"] = str(options.inbox_dir) if options.inbox_dir is not None else None
    words["root"] = packed(options.root)
    if options.mqtt is not None:
        words["mqtt"]["password"] = options.mqtt.password.value
    return words


def read_options(words: Mapping[str, Any]) -> UpdaterOptions:
    """Return the options that ``options_words`` made values of.

    Raises:
        KeyError, TypeError, ValueError: They are none.
    """
    plain = dict(words)
    plain["store_dir"] = Path(plain["store_dir"])
    plain["inbox_dir"] = Path(plain["inbox_dir"]) if plain["inbox_dir"] is not None else None
    plain["root"] = unpacked(plain["root"])
    if plain["mqtt"] is not None:
        plain["mqtt"] = MqttSettings(**{**plain["mqtt"], "password": Secret(plain["mqtt"]["password"])})
    return UpdaterOptions(**plain)


def line(words: Mapping[str, Any]) -> bytes:
    """Return one line of what is said."""
    return json.dumps(words, separators=(",", ":")).encode() + b"\n"


def packed(data: bytes) -> str:
    """Return bytes as text that JSON can hold."""
    return base64.b64encode(data).decode("ascii")


def unpacked(text: str) -> bytes:
    """Return the bytes that ``packed`` made text of.

    Raises:
        ValueError: It is none of its texts.
    """
    return base64.b64decode(text, validate=True)


def error_words(error: GatewayError) -> dict[str, Any]:
    """Return an error as JSON values."""
    return {
        "label": error.label,
        "message": error.message[:_MOST_MESSAGE],
        "attributes": dict(error.attributes),
    }


def read_error(words: Mapping[str, Any]) -> GatewayError:
    """Return the error that crossed over.

    Raises:
        KeyError, TypeError, ValueError: It is none.
    """
    error = from_wire(str(words["label"]), str(words["message"]))
    error.attributes.update(words["attributes"])
    return error
