"""What the configuration says of aliases: names of their own, models that are there, weights. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.configuration.checks import Finding
from gateway.configuration.nearest import nearest
from gateway.configuration.scalars import shown
from gateway.configuration.serving_settings import AliasSettings
from gateway.configuration.settings import Settings


def check_aliases(settings: Settings) -> Iterator[Finding]:
    """Yield everything that keeps aliases from leading anywhere."""
    for name, alias in settings.aliases.items():
        path = f"aliases.{name}"
        if name in settings.models:
            yield Finding(path, "a model under models: has this name; an alias needs one of its own")
        yield from _targets(f"{path}.targets", alias, settings)


def _targets(path: str, alias: AliasSettings, settings: Settings) -> Iterator[Finding]:
    if not any(target.weight for target in alias.targets):
        yield Finding(path, "no target has any weight")
    seen: set[tuple[str, str]] = set()
    for index, target in enumerate(alias.targets):
        if target.model not in settings.models:
            near = nearest(target.model, list(settings.models))
            # With a folder of models the name may come with a file.
            is_warning = bool(settings.serving.models_dir)
            what = f"no model {shown(target.model)} under models:; {near}"
            yield Finding(f"{path}[{index}].model", what, is_warning=is_warning)
        if (target.model, target.version) in seen:
            yield Finding(f"{path}[{index}]", "the same target is there already; add their weights")
        seen.add((target.model, target.version))
