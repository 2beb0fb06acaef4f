"""``dotted.key=value`` settings from the command line, laid over a file that was read.

Only plain keys can be set this way (text, numbers, true and false); each is held
to the same limits as in the file, and to the rest of the file. A relative path is
relative to the folder in which the command was given, as elsewhere on its line.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from gateway.config_issue import ConfigIssue
from gateway.configuration.alias_checks import check_aliases
from gateway.configuration.checks import check
from gateway.configuration.file_checks import check_files
from gateway.configuration.load import LoadedSettings, absolute
from gateway.configuration.nearest import nearest
from gateway.configuration.place import Place, Positions
from gateway.configuration.reader import read_word
from gateway.configuration.secrets import SecretSource
from gateway.configuration.serving_checks import check_serving
from gateway.configuration.settings import Settings
from gateway.configuration.shape import Key, Leaf, MapOf, Section, section_of
from gateway.configuration.tls_checks import check_tls
from gateway.errors import ConfigError

_PLACE = Positions("--set", {"": Place(0, 0)})


def overridden(loaded: LoadedSettings, overrides: Sequence[str]) -> LoadedSettings:
    """Return the settings with every override applied, in order.

    Raises:
        ConfigError: An override names no plain key, its value is not allowed, or it
            does not fit the rest of the file; every issue is in it.
    """
    if not overrides:
        return loaded
    secrets = SecretSource(os.environ, Path.cwd())
    settings: Any = loaded.settings
    issues: list[ConfigIssue] = []
    for override in overrides:
        path, sign, text = override.partition("=")
        try:
            if not sign:
                raise _wrong(override, "write --set dotted.key=value")
            key, keys = _key(settings, path)
            settings = _set(settings, keys, read_word(text, key, path, _PLACE, secrets))
        except ConfigError as error:
            issues.extend(error.issues)
    settings = absolute(settings, Path.cwd())
    # The file was right by itself: whatever is found now comes of the overrides.
    issues.extend(_PLACE.issue(path, what) for path, what in _found(settings))
    if issues:
        raise ConfigError(tuple(issues))
    return dataclasses.replace(loaded, settings=settings)


def _key(settings: Settings, path: str) -> tuple[Key, tuple[str, ...]]:
    """Return the declaration of a plain key, and the names that lead to it."""
    section = section_of(Settings)
    holder: Any = settings
    names: list[str] = []
    rest = path
    while True:
        known = {key.name: key for key in section.keys}
        name, _, rest = rest.partition(".")
        names.append(name)
        if name not in known:
            raise _wrong(path, f"unknown key; {nearest(name, list(known))}")
        key, holder = known[name], getattr(holder, name)
        shape = key.shape
        if isinstance(shape, MapOf) and isinstance(shape.item, Section) and rest:
            # Names may hold dots themselves; the longest that is there is meant.
            inner = max((n for n in holder if rest.startswith(f"{n}.")), key=len, default=None)
            if inner is None:
                raise _wrong(path, f"no such name; {nearest(rest.partition('.')[0], list(holder))}")
            names.append(inner)
            holder, rest, shape = holder[inner], rest[len(inner) + 1 :], shape.item
        if isinstance(shape, Section) and rest:
            section = shape
        elif isinstance(shape, Leaf) and not rest:
            return key, tuple(names)
        else:
            raise _wrong(path, "only plain keys can be set from the command line")


def _set(holder: Any, names: Sequence[str], value: object) -> Any:
    """Return ``holder`` with the key at the end of ``names`` changed."""
    name, rest = names[0], names[1:]
    if isinstance(holder, Mapping):
        return {**holder, name: _set(holder[name], rest, value)}
    inner = _set(getattr(holder, name), rest, value) if rest else value
    return dataclasses.replace(holder, **{name: inner})


def _found(settings: Settings) -> Iterator[tuple[str, str]]:
    found = chain(
        check(settings),
        check_aliases(settings),
        check_serving(settings),
        check_files(settings),
        check_tls(settings.serving.tls),
    )
    for finding in found:
        if not finding.is_warning:
            yield finding.path, finding.what


def _wrong(path: str, what: str) -> ConfigError:
    return ConfigError((_PLACE.issue(path, what),))
