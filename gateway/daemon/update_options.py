"""What the updater's process is told, from what is configured."""

from __future__ import annotations

from pathlib import Path

from gateway.configuration.settings import Settings
from gateway.errors import StoreFailed
from gateway.operations.build import BUILT_UNIX_S
from gateway.updates.store.store import Store
from gateway.updates.updater_wire import UpdaterOptions


def updater_options(settings: Settings, store: Store) -> UpdaterOptions:
    """Return the options of the next updater.

    Raises:
        StoreFailed: The root of trust cannot be read.
    """
    updates = settings.updates
    try:
        root = Path(updates.root_file).read_bytes()
    except OSError as error:
        raise StoreFailed(f"updates.root_file: {updates.root_file}: {error.strerror or error}") from error
    return UpdaterOptions(
        store_dir=store.root,
        repository=updates.repository,
        root=root,
        group=updates.group,
        inbox_dir=Path(updates.inbox_dir) if updates.inbox_dir else None,
        mqtt=settings.mqtt if updates.mqtt_chunks else None,
        prefix=settings.mqtt.topic_prefix,
        quota_bytes=updates.quota_bytes,
        reserve_bytes=updates.reserve_bytes,
        deltas=updates.deltas,
        min_rate_bytes_s=float(updates.min_rate_bytes_s),
        build_unix_s=BUILT_UNIX_S,
    )
