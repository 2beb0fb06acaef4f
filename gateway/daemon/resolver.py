"""Where a name leads: an alias to a model, a model to the version that serves, a version to its lanes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.configuration.serving_settings import AliasTarget
from gateway.configuration.settings import Settings
from gateway.daemon.alias_routing import ranked
from gateway.daemon.alias_table import AliasTable
from gateway.daemon.beside import Beside, numbers_beside
from gateway.daemon.catalog import Catalog
from gateway.daemon.loading import Loading
from gateway.daemon.model_index import Known, entries
from gateway.daemon.model_state import Rest
from gateway.errors import NotReady, UnknownModel
from gateway.inference.scheduler import Scheduler
from gateway.serving.model_view import IndexEntry


@dataclass(frozen=True, slots=True)
class Resolved:
    """Where a name leads for one request.

    Attributes:
        asked: The name that was asked for.
        model: The model under ``models:``.
        version: The version that was asked for, or that the alias names; empty for the one that serves.
        scheduler: Its lanes; None for a model that is loaded by this request.
    """

    asked: str
    model: str
    version: str
    scheduler: Scheduler | None


class Resolver:
    """Knows models, versions and aliases as they are at this moment; called in the event loop."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        catalog: Catalog,
        beside: Beside,
        loading: Loading,
        table: AliasTable,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._beside = beside
        self._loading = loading
        self._table = table

    def resolve(self, name: str, version: str, key: str) -> Resolved:
        """Return where a name leads for whoever has this key. Never waits.

        An alias leads a key to the same target every time, and to the next one of its own ranking while
        that one does not serve.

        Args:
            name: A model or an alias.
            version: A release number or a card's version; empty for the one that the name leads to.
            key: Who asks: a caller, a stream, a sequence. Empty to be led to the greatest weight.

        Raises:
            UnknownModel: Nothing has this name or version.
            NotReady: It does not serve now, and a request does not load it.
        """
        if name in self._settings().models:
            return self._place(name, name, version)
        alias = self._table.aliases.get(name)
        if alias is None:
            raise _unknown(name)
        if not alias.active:
            why = alias.reason or "its targets are being loaded"
            raise NotReady(f"alias {name}: {why}", model=name)
        targets = [each for each in alias.active if self._has(each, version)] if version else alias.active
        if not targets:
            raise UnknownModel(f"alias {name} leads to no version {version}", model=name)
        return self._first(name, targets, key)

    async def ready(self, resolved: Resolved, deadline_s: float) -> Resolved:
        """Return the same place with lanes, after loading it if need be: proven, and warm.

        Raises:
            DeadlineQueued: The deadline passed; the load goes on.
            Overloaded: As many wait for it as may be queued.
            UnknownModel: What was loaded is not the version that was asked for.
            NotReady: It does not fit into memory, or failed to load only just now.
            GatewayError: It cannot be proven or started.

        Cancel-safe: others who wait for the same load are not disturbed.
        """
        if resolved.scheduler is not None:
            return resolved
        await self._loading.wake(resolved.model, deadline_s)
        found = self._place(resolved.asked, resolved.model, resolved.version)
        if found.scheduler is None:  # unloaded in the very turn in which its load was done
            raise NotReady(f"model {resolved.model} was unloaded again", model=resolved.model)
        return found

    def versions(self, name: str) -> tuple[str, ...]:
        """Return the versions that serve under a name: the one that it leads to first, or an alias's targets.

        Raises:
            UnknownModel: Nothing has this name.
        """
        if name in self._settings().models:
            leading = self._catalog.versions.get(name)
            first = (leading.card_version,) if leading is not None and leading.card_version else ()
            return (*first, *numbers_beside(self._beside.versions, name))
        alias = self._table.aliases.get(name)
        if alias is None:
            raise _unknown(name)
        found = [self._beside.find(each.model, each.version) for each in alias.active]
        said = (
            each.version or version.card_version
            for each, version in zip(alias.active, found, strict=True)
            if version is not None
        )
        return tuple(dict.fromkeys(said))  # two models may call theirs the same

    def index(self) -> Sequence[IndexEntry]:
        """Return every model, version and alias that is known, in order of name, with why it is not ready."""
        known = Known(
            models=sorted(self._settings().models),
            status=self._catalog.status,
            serving={name: each.card_version for name, each in self._catalog.versions.items()},
            beside=sorted(self._beside.versions),
            trouble=self._beside.trouble,
            aliases=self._table.aliases,
        )
        return entries(known, self.why_not)

    def why_not(self, target: AliasTarget) -> str:
        """Return why a target of an alias would not answer; empty if it does, or is loaded by its request."""
        try:
            self._place(target.model, target.model, target.version)
        except (NotReady, UnknownModel) as error:
            return error.message
        return ""

    def _first(self, name: str, targets: Sequence[AliasTarget], key: str) -> Resolved:
        """Return the first target in a key's ranking that answers.

        Raises:
            UnknownModel: None has any weight.
            NotReady: None answers: why the first one does not.
        """
        trouble: NotReady | UnknownModel | None = None
        for index in ranked(targets, key) or range(len(targets)):
            target = targets[index]
            try:
                return self._place(name, target.model, target.version)
            except (NotReady, UnknownModel) as error:
                trouble = trouble or error
        assert trouble is not None
        raise NotReady(f"alias {name}: {trouble.message}", model=name)

    def _place(self, asked: str, model: str, version: str) -> Resolved:
        """Return the lanes of a model's version.

        Raises:
            UnknownModel: There is no such model or version.
            NotReady: It does not serve, and a request does not load it.
        """
        found = self._beside.find(model, version)
        if found is not None:
            if found.watch.lost_because:
                raise NotReady(f"model {model} is out of service: {found.watch.lost_because}", model=model)
            return Resolved(asked, model, version, found.scheduler)
        status = self._catalog.status.get(model)
        if status is None:
            raise _unknown(model)
        serves = model in self._catalog.versions
        wakes = not serves and self._catalog.standing.resting.get(model) is Rest.REQUEST
        if wakes and self._may_become(model, version):
            return Resolved(asked, model, version, None)
        if (model, version) in self._beside.wished:
            why = self._beside.trouble.get((model, version), "it is being loaded")
            raise NotReady(f"release {version} of model {model}: {why}", model=model)
        if version and serves:
            here = ", ".join(self.versions(model))
            raise UnknownModel(f"model {model} has no version {version}; {here} serves", model=model)
        raise NotReady(f"model {model}: {status.reason}", model=model)

    def _may_become(self, model: str, version: str) -> bool:
        """Return whether loading a model could bring this version: what its card says is not known before."""
        return not version or not version.isdecimal() or version == self._beside.number_to_come(model)

    def _has(self, target: AliasTarget, version: str) -> bool:
        if target.version == version:
            return True
        found = self._beside.find(target.model, target.version)
        return found is not None and version in (found.card_version, self._beside.number_of(found))


def _unknown(name: str) -> UnknownModel:
    """Return the error for a name that nothing has; its first words are Triton's, which clients look for."""
    return UnknownModel(f"Request for unknown model: no model is named {name!r}", model=name)
