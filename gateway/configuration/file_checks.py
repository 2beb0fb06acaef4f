"""What the configuration says of files: are they there, readable, and closed to others."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.configuration.checks import Finding
from gateway.configuration.secrets import is_reference
from gateway.configuration.settings import ModelSettings, Settings
from gateway.model import CARD_FILE

_ENGINES = {"litert": "tflite", "tflite-runtime": "tflite", "onnxruntime": "onnx"}
_SUFFIXES = {".tflite": "tflite", ".onnx": "onnx"}


def check_files(settings: Settings) -> Iterator[Finding]:
    """Yield every path that leads nowhere, and every key file that others may read.

    Args:
        settings: With absolute paths.
    """
    mqtt = settings.mqtt
    for key in ("ca_file", "client_certificate_file", "client_key_file"):
        path = getattr(mqtt, key)
        if path:
            yield from check_pem(f"mqtt.{key}", Path(path), is_private=key == "client_key_file")
    for name, model in settings.models.items():
        yield from _model(f"models.{name}", model)


def check_mode(settings: Settings, written: Callable[[str], str], mode: int) -> Iterator[Finding]:
    """Yield a warning for every secret that stands in a configuration file that every user may read.

    Args:
        settings: What the file says.
        written: Returns the file's text from the place of a key's value on.
        mode: Its permissions.
    """
    if not mode & stat.S_IROTH:
        return
    secrets = {"mqtt.password": settings.mqtt.password} | {
        f"serving.access.tokens[{index}].token": each.token
        for index, each in enumerate(settings.serving.access.tokens)
    }
    for path, secret in secrets.items():
        if secret.value and not is_reference(written(path).lstrip("\"'")):
            what = "stands in a file that every user may read; chmod 640, or write ${credential:NAME}"
            yield Finding(path, what, is_warning=True)


def check_pem(key: str, path: Path, *, is_private: bool) -> Iterator[Finding]:
    """Yield what is wrong with a PEM file; a private one that others may read is unwise."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            head = file.read(65_536)
    except (OSError, ValueError) as error:
        yield Finding(key, f"{path} cannot be read: {reason(error)}")
        return
    if b"-----BEGIN " not in head:
        yield Finding(key, f"{path} is not a PEM file")
    if is_private and mode & (stat.S_IROTH | stat.S_IWOTH):
        what = f"{path} is open to every user (mode {stat.S_IMODE(mode):o}); chmod 600"
        yield Finding(key, what, is_warning=True)


def _model(key: str, model: ModelSettings) -> Iterator[Finding]:
    folder = Path(model.path)
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except (OSError, ValueError) as error:
        yield Finding(f"{key}.path", f"{folder} cannot be read: {reason(error)}")
        return
    if CARD_FILE not in names:
        yield Finding(f"{key}.path", f"{folder} holds no {CARD_FILE}")
    formats = {_SUFFIXES[suffix] for name in names if (suffix := Path(name).suffix) in _SUFFIXES}
    wanted = _ENGINES.get(model.engine)
    if wanted is not None and formats and wanted not in formats:
        what = f"{model.engine} runs .{wanted} files; {folder} holds .{', .'.join(sorted(formats))}"
        yield Finding(f"{key}.engine", what)


def reason(error: OSError | ValueError) -> str:
    """Return in words why a file cannot be read."""
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
