"""``dotted.key=value`` settings from the command line, laid over a file that was read.

Only plain keys can be set this way (text, numbers, true and false), and each is
held to the same limits as in the file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.configuration.load import LoadedSettings
from gateway.configuration.reader import read_leniently
from gateway.configuration.settings import Settings
from gateway.errors import ConfigError, ConfigIssue

_PLACE = "--set"


def overridden(loaded: LoadedSettings, overrides: Sequence[str]) -> LoadedSettings:
    """Return the settings with every override applied, in order.

    Raises:
        ConfigError: An override names no plain key, or its value is not allowed.
    """
    settings = loaded.settings
    for override in overrides:
        path, sign, value = override.partition("=")
        if not sign:
            raise _wrong(override, "write --set dotted.key=value")
        settings = _set(settings, path, path.split("."), value)
    return dataclasses.replace(loaded, settings=settings)


def _set(holder: Any, path: str, keys: Sequence[str], value: str) -> Any:
    """Return ``holder`` with the key at the end of ``keys`` changed."""
    key, rest = keys[0], keys[1:]
    if isinstance(holder, Mapping) and key in holder and rest:
        return {**holder, key: _set(holder[key], path, rest, value)}
    if not dataclasses.is_dataclass(holder) or key not in {
        field.name for field in dataclasses.fields(holder)
    }:
        raise _wrong(path, "no such key")
    current = getattr(holder, key)
    if rest:
        return dataclasses.replace(holder, **{key: _set(current, path, rest, value)})  # type: ignore[type-var]
    if dataclasses.is_dataclass(current) or isinstance(current, (Mapping, tuple)):
        raise _wrong(path, "only plain keys can be set from the command line")
    return dataclasses.replace(holder, **{key: _value(path, value)})  # type: ignore[type-var]


def _value(path: str, value: str) -> Any:
    """Read one value as the file would: through the reader, so that types and limits are its own."""
    keys = path.split(".")
    quoted = "'" + value.replace("'", "''") + "'"
    issues: list[ConfigIssue] = []
    for text in (value, quoted):
        document = "".join(f"{'  ' * depth}{key}:\n" for depth, key in enumerate(keys[:-1]))
        document += f"{'  ' * (len(keys) - 1)}{keys[-1]}: {text}\n"
        try:
            reading = read_leniently(document, _PLACE, Settings)
        except ConfigError as error:
            issues = list(error.issues)
            continue
        issues = [issue for issue in reading.issues if issue.path == path]
        if not issues:
            return _found(reading.value, keys)
    raise ConfigError(tuple(issues))


def _found(holder: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        holder = holder[key] if isinstance(holder, Mapping) else getattr(holder, key)
    return holder


def _wrong(path: str, what: str) -> ConfigError:
    return ConfigError((ConfigIssue(_PLACE, 0, 0, path, what),))
