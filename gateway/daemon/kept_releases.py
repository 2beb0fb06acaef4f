"""Finds the releases that are to serve although their store cannot be opened: read, never written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gateway.errors import GatewayError
from gateway.operations.log import log
from gateway.updates.state import ModelRecord, Phase
from gateway.updates.store import releases
from gateway.updates.store.ballast import Ballast
from gateway.updates.store.layout import Layout
from gateway.updates.store.records import Records


def kept_folders(root: Path, models: Sequence[str]) -> dict[str, str]:
    """Return by model the folder of the release that is to serve: whole, and not in its bake.

    Blocks while it hashes. Never raises for what the disk does: what cannot be read is left out.
    """
    folders: dict[str, str] = {}
    try:
        layout = Layout(root.resolve(strict=True))
    except (OSError, GatewayError):
        return folders
    records = Records(layout, Ballast(layout.ballast), mends=False, tell=lambda *_: None)
    for model in models:
        try:
            found = _folder(layout, records.read(model))
        except GatewayError as error:
            log.event("store_failed", what=f"record of {model}", error=error)
            continue
        if found is not None:
            folders[model] = str(found)
    return folders


def _folder(layout: Layout, record: ModelRecord) -> Path | None:
    # Nobody could count the starts of a release in its bake.
    active = () if record.phase is Phase.BAKING else (record.active,)
    for ref in (*active, record.previous):
        if ref is None:
            return None
        try:
            releases.verify(layout, record.model, ref)
        except GatewayError as error:
            log.event("store_failed", what=f"release {ref.number} of {record.model}", error=error)
        else:
            return layout.release(record.model, ref.number)
    return None
