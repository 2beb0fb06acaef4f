"""A configuration file from disk to checked settings, or every issue at once."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

from gateway.config_issue import ConfigIssue
from gateway.configuration.alias_checks import check_aliases
from gateway.configuration.checks import Finding, check
from gateway.configuration.document import MAX_BYTES, text_from
from gateway.configuration.file_checks import check_files, check_mode
from gateway.configuration.place import Positions
from gateway.configuration.reader import MAX_ISSUES, in_order, read_leniently
from gateway.configuration.secrets import SecretSource
from gateway.configuration.serving_checks import check_serving
from gateway.configuration.settings import Settings
from gateway.configuration.tls_checks import check_tls
from gateway.configuration.update_checks import check_updates
from gateway.errors import ConfigError


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """A configuration file that was read.

    Attributes:
        settings: Every path in it is absolute.
        positions: Where each key stands.
        file: Path of the file, as given.
        base_dir: Folder against which its relative paths were resolved.
        warnings: What is unwise but not wrong.
        issues: What is wrong; always empty in what ``load`` returns.
    """

    settings: Settings
    positions: Positions
    file: str
    base_dir: Path
    warnings: tuple[ConfigIssue, ...] = ()
    issues: tuple[ConfigIssue, ...] = ()


def load(path: str | Path, environment: Mapping[str, str] | None = None) -> LoadedSettings:
    """Read and check a file; models are not looked into.

    Args:
        path: The file.
        environment: Environment variables for ``${env:...}`` and ``${credential:...}``;
            this process's own when None.

    Raises:
        ConfigError: Something is wrong; every issue is in it.
    """
    loaded = inspect(path, environment)
    if loaded.issues:
        raise ConfigError(loaded.issues)
    return loaded


def inspect(path: str | Path, environment: Mapping[str, str] | None = None) -> LoadedSettings:
    """Read and check a file, keeping what is right beside the issues (for ``gateway check``).

    Raises:
        ConfigError: It cannot be read, or is not YAML at all.
    """
    file = str(path)
    data, mode = _read(Path(path), file)
    # Real, so that ../models is what the shell would make of it; a linked file is not followed.
    base_dir = Path(path).parent.resolve()
    source = SecretSource(os.environ if environment is None else environment, base_dir)
    reading = read_leniently(data, file, Settings, secrets=source)
    settings = absolute(reading.value, base_dir)
    text = data.decode()

    def written(key: str) -> str:
        return text_from(text, reading.positions.at(key))

    # More than can be told need not be found: names are compared for each finding.
    found = chain(
        check(settings),
        check_aliases(settings),
        check_serving(settings),
        check_updates(settings),
        check_files(settings),
        check_tls(settings.serving.tls),
        check_mode(settings, written, mode),
    )
    findings = list(islice(found, 2 * MAX_ISSUES))
    wrong = _beside(reading.issues, (f for f in findings if not f.is_warning))
    issues = [*reading.issues, *(reading.positions.issue(f.path, f.what) for f in wrong)]
    warnings = [
        *reading.warnings,
        *(reading.positions.issue(f.path, f.what) for f in findings if f.is_warning),
    ]
    return LoadedSettings(settings, reading.positions, file, base_dir, in_order(warnings), in_order(issues))


def _read(path: Path, file: str) -> tuple[bytes, int]:
    """Return a file's bytes, one more than allowed at most, and its permissions."""
    try:
        # Opening a FIFO would block the start for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(0, "not a regular file")
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1), os.fstat(stream.fileno()).st_mode
    except (OSError, ValueError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        raise ConfigError((ConfigIssue(file, 0, 0, "(file)", f"cannot be read: {reason}"),)) from None


def absolute(settings: Settings, base_dir: Path) -> Settings:
    """Return settings in which every path is absolute; relative ones were meant from ``base_dir``."""

    def resolved(path: str) -> str:
        return os.path.normpath(base_dir / path) if path else ""

    mqtt = replace(
        settings.mqtt,
        ca_file=resolved(settings.mqtt.ca_file),
        client_certificate_file=resolved(settings.mqtt.client_certificate_file),
        client_key_file=resolved(settings.mqtt.client_key_file),
    )
    updates = replace(
        settings.updates,
        repository=_source(settings.updates.repository, resolved),
        root_file=resolved(settings.updates.root_file),
        store_dir=resolved(settings.updates.store_dir),
        inbox_dir=resolved(settings.updates.inbox_dir),
    )
    tls = replace(
        settings.serving.tls,
        certificate_file=resolved(settings.serving.tls.certificate_file),
        key_file=resolved(settings.serving.tls.key_file),
        client_ca_file=resolved(settings.serving.tls.client_ca_file),
    )
    memory = settings.serving.shared_memory
    serving = replace(
        settings.serving,
        tls=tls,
        models_dir=resolved(settings.serving.models_dir),
        shared_memory=replace(memory, socket=resolved(memory.socket)),
    )
    identity = replace(settings.gateway, cache_dir=resolved(settings.gateway.cache_dir))
    models = {name: replace(model, path=resolved(model.path)) for name, model in settings.models.items()}
    return replace(settings, mqtt=mqtt, gateway=identity, models=models, updates=updates, serving=serving)


def _source(repository: str, resolved: Callable[[str], str]) -> str:
    """Return an address as it stands, and a folder's path made absolute."""
    return repository if "://" in repository else resolved(repository)


def _beside(issues: tuple[ConfigIssue, ...], findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that do not merely follow from an issue at the same key."""
    known = {issue.path for issue in issues}
    return [finding for finding in findings if finding.path not in known]
