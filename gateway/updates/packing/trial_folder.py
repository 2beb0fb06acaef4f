"""Writes a model folder that differs from another in a few bytes, and whose card says so."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.configuration.settings import StepSettings
from gateway.inference.card import file_digest
from gateway.model import CARD_FILE, ModelCard, ModelFolder


def write_trial(
    place: Path, model: ModelFolder, names: Sequence[str], changed: Mapping[str, NDArray[np.uint8]]
) -> None:
    """Write a folder from which ``model`` can be loaded with some of its files changed.

    Args:
        place: The folder to fill; empty.
        model: Card and labels as they shall be; other files are taken from its folder.
        names: Every file that the folder needs, relative to it.
        changed: New bytes by name.

    Raises:
        OSError: Something cannot be written.
    """
    for name in names:
        target = place / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if name in changed:
            changed[name].tofile(target)
        elif name == model.card.labels:
            target.write_text("\n".join(model.labels) + "\n", encoding="utf-8")
        elif name != CARD_FILE:
            _take(model.folder / name, target)
    digest = file_digest(place / model.card.file)
    (place / CARD_FILE).write_text(json.dumps(card_document(replace(model.card, sha256=digest))))


def card_document(card: ModelCard) -> dict[str, Any]:
    """Return a card as plain values; their JSON is YAML that reads back as the same card."""
    document = asdict(card)
    for key in ("preprocess", "postprocess"):
        document[key] = [_step(step) for step in getattr(card, key)]
    return document


def _step(step: StepSettings) -> str | dict[str, Any]:
    return {step.name: dict(step.options)} if step.options else step.name


def _take(source: Path, target: Path) -> None:
    """Link a file, or copy it where links do not reach."""
    with contextlib.suppress(OSError):
        os.link(source.resolve(), target)
        return
    shutil.copyfile(source, target)
