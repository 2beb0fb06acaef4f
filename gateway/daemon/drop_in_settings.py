"""Drop-in models as settings, beside those of the configuration, and what to advise where one fails. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from gateway.configuration.settings import ModelSettings, Settings
from gateway.errors import CardMismatch, GatewayError, WarmupFailed
from gateway.model import CARD_FILE


def with_drop_ins(settings: Settings, found: Mapping[str, ModelSettings]) -> Settings:
    """Return settings with drop-in models; a name that the configuration has itself stays as it is there."""
    return replace(settings, models={**found, **settings.models}) if found else settings


def with_one(settings: Settings, name: str, model: ModelSettings) -> Settings:
    """Return settings with one model added, or in place of the one of its name."""
    return replace(settings, models={**settings.models, name: model})


def without(settings: Settings, name: str) -> Settings:
    """Return settings without one model."""
    return replace(settings, models={n: model for n, model in settings.models.items() if n != name})


def settings_of(folder: Path) -> ModelSettings:
    """Return how a drop-in model is served: as any model for which nothing is configured but its folder."""
    return ModelSettings(path=str(folder))


def advice_on(error: GatewayError, *, has_card: bool) -> str:
    """Return what to do about a drop-in model that failed."""
    if has_card:
        return f"correct its {CARD_FILE} or its files"
    if isinstance(error, (WarmupFailed, CardMismatch)):
        return f"put it in a folder of its own with a {CARD_FILE}: gateway models describe FILE begins one"
    return "copy or export it again"
