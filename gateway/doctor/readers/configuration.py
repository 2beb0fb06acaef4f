"""Reads the configuration file as whoever asks the doctor can, which need not be as the service does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateway.configuration.load import inspect
from gateway.configuration.settings import Settings
from gateway.doctor.readers.text import is_there
from gateway.doctor.rules.configuration import ConfigurationFacts
from gateway.errors import ConfigError

_CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"


def read_configuration(root: Path, file: str, unit: str) -> tuple[Settings, ConfigurationFacts]:
    """Return what is right in a file, with defaults for the rest, and what is to be said of it.

    Never raises, whatever is wrong with the file.

    Args:
        root: Where ``/`` is, for the credentials of the running service.
        file: The configuration; empty for none.
        unit: The service's name.
    """
    if not file:
        return Settings(), ConfigurationFacts("")
    try:
        loaded = inspect(file, _environment(root, unit))
    except ConfigError as error:
        denied = is_there(Path(file)) is not False and not os.access(file, os.R_OK)
        return Settings(), ConfigurationFacts(file, error.issues, denied=denied)
    # What only the service is given is not wrong; it is merely not for our eyes.
    hidden = tuple(each for each in loaded.issues if f"${_CREDENTIALS} is not set" in each.what)
    issues = tuple(each for each in loaded.issues if each not in hidden)
    return loaded.settings, ConfigurationFacts(file, issues, loaded.warnings, hidden)


def _environment(root: Path, unit: str) -> Mapping[str, str]:
    """Return our environment, with the running service's credentials if we may read them."""
    folder = root / "run/credentials" / unit
    if _CREDENTIALS in os.environ or not os.access(folder, os.R_OK | os.X_OK):
        return os.environ
    return {**os.environ, _CREDENTIALS: str(folder)}
