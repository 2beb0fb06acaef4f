"""What is wished of models, versions and aliases while the gateway runs, and how it comes true.

The configuration, the repository's calls and updates over the air all end in one
catalogue; this is the part that answers orders, and that keeps aliases and the
versions which they name as they should be.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from gateway.configuration.serving_settings import AliasTarget
from gateway.configuration.settings import Settings
from gateway.daemon.alias_table import Alias, AliasState, AliasTable, said
from gateway.daemon.beside import Beside, Place
from gateway.daemon.catalog import Catalog
from gateway.daemon.load_parameters import LoadParameters
from gateway.daemon.loading import Loading
from gateway.daemon.model_state import Rest
from gateway.daemon.resolver import Resolver
from gateway.daemon.stored_releases import Releases
from gateway.errors import (
    AlreadyThere,
    GatewayError,
    LostRace,
    NotReady,
    NotSupported,
    RequestRefused,
    UnknownModel,
)
from gateway.mqtt.wait import set_by
from gateway.operations.log import log
from gateway.serving.alias_view import AliasChange, AliasView

_AGAIN_S: Final = 30.0
_LONGEST_WAIT_S: Final = 3600.0


class Wishes:
    """``Repository``, aliases, and the versions that they name; lives in the event loop.

    Attributes:
        table: Aliases.
        beside: Versions beside those that names lead to.
        resolver: Where names lead.
        on_expected: Told when other models than before must answer for the gateway to be ready.
        on_forgotten: Told when the name of an alias is free again.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        catalog: Catalog,
        loading: Loading,
        beside: Beside,
        releases: Releases,
    ) -> None:
        self.table = AliasTable()
        self.beside = beside
        self.resolver = Resolver(settings, catalog, beside, loading, self.table)
        self.on_expected: Callable[[], Awaitable[None]] = _nobody
        self.on_forgotten: Callable[[], None] = lambda: None
        self._settings = settings
        self._catalog = catalog
        self._loading = loading
        self._releases = releases
        self._wake = asyncio.Event()
        self._settling = asyncio.Lock()
        self._changing: dict[str, asyncio.Task[None]] = {}

    # What administrators ask: ``Repository``.

    async def load(self, name: str, parameters: Mapping[str, object]) -> None:
        """Load a model, or load it anew beside what serves; return when it serves.

        Args:
            name: A model under ``models:``.
            parameters: The protocol's. Of ``config`` only ``instance_group`` is done: its count is lanes.

        Raises:
            UnknownModel: No such model is known here.
            NotSupported: The parameters ask for what is not done here, or the name is an alias.
            Malformed: The parameters cannot be read.
            LostRace: A release of it is in its bake, or others changed it too often meanwhile.
            GatewayError: It does not load; what served before serves on.

        Cancel-safe: a load that was begun goes on.
        """
        try:
            wanted = LoadParameters.read(parameters)
            self._check_known(name)
        except RequestRefused as error:
            # The words are Triton's, which clients look for.
            raise type(error)(f"failed to load {name[:80]!r}: {error.message}", **error.attributes) from error
        await self._loading.load(name)
        version = self._catalog.versions.get(name)
        if wanted.lanes and version is not None:
            version.scheduler.pool.resize(wanted.lanes)
        self._releases.loaded()
        await self.on_expected()

    async def unload(self, name: str) -> None:
        """Let a model finish what it holds and end its lanes; it stays known.

        Raises:
            UnknownModel: No such model is known here.
            NotSupported: The name is an alias.
            LostRace: An update watches it: a release of it is in its bake.

        Cancel-safe: an unload that was begun goes on.
        """
        self._check_known(name)
        busy = self._releases.busy(name)
        if busy:
            raise LostRace(f"model {name}: {busy}; unload it when that is over", model=name)
        await self._loading.unload(name)
        await self.on_expected()

    async def set_alias(
        self,
        name: str,
        targets: Sequence[AliasTarget],
        expected: Sequence[AliasTarget] | None = None,
        *,
        load_now: bool = True,
        force: bool = False,
    ) -> Alias:
        """Lead an alias elsewhere, once what it leads to serves; return it as it is then.

        Args:
            name: The alias; a new one is made.
            targets: Where it should lead.
            expected: What must be wished until now; None for whatever is, nothing for no such alias.
            load_now: Whether models that are not loaded are loaded first, and not by their first request.
            force: Whether it is led there though something does not serve.

        Raises:
            Malformed: The targets are none that an alias can have.
            AlreadyThere: A model has this name.
            UnknownModel: A target names no model, or a release that is not here.
            LostRace: Something else was wished than expected, or another change came meanwhile.
            GatewayError: A target does not load; the alias leads where it did.

        Cancel-safe: the change goes on.
        """
        models = self._settings().models
        if name in models:
            raise AlreadyThere(f"{name} is a model; an alias needs a name of its own", model=name)
        for target in targets:
            if target.model not in models:
                raise UnknownModel(f"no model is named {target.model!r}", model=target.model)
            if not force and not self.beside.could_serve(target.model, target.version):
                raise UnknownModel(f"no release {target.version} of model {target.model} is here")
        begun = self.table.begin(name, tuple(targets), None if expected is None else tuple(expected))
        task = self._move(begun, "order", load_now=load_now, force=force)
        await asyncio.wait({task})
        if task.cancelled():
            raise LostRace(f"alias {name}: another change came before this one was done")
        task.result()
        return self.table.current(begun)

    def remove_alias(
        self, name: str, expected: Sequence[AliasTarget] | None = None, *, because: str = "order"
    ) -> None:
        """Forget an alias.

        Args:
            name: The alias.
            expected: What must be wished until now; None for whatever is.
            because: What the log says of it.

        Raises:
            UnknownModel: There is none of this name.
            LostRace: Something else is wished than expected.
        """
        was = self.table.aliases.get(name)
        self.table.remove(name, None if expected is None else tuple(expected))
        if was is not None:
            log.event("alias_moved", alias=name, targets="nothing", was=said(was.active), because=because)
        self._wake.set()
        self.on_forgotten()

    # The same as the doors ask it: ``Aliases``.

    def alias_views(self) -> list[AliasView]:
        """Return every alias, in order of name."""
        return [
            AliasView(name, each.wish, each.active, each.state.name, each.reason)
            for name, each in sorted(self.table.aliases.items())
        ]

    async def change_alias(self, name: str, change: AliasChange) -> None:
        """Lead an alias elsewhere or forget it; raises as ``set_alias`` and ``remove_alias``."""
        if not change.targets:
            self.remove_alias(name, change.expected)
            return
        await self.set_alias(
            name, change.targets, change.expected, load_now=change.load_now, force=change.force
        )

    # How it comes true.

    async def open(self) -> None:
        """Make aliases and the versions that they name true, as far as it goes; what fails is tried again."""
        self._catalog.standing.on_change = self._wake.set
        self._catalog.standing.adopt = self.beside.adopt
        self.beside.on_lost = self._wake.set
        self.table.configure(self._settings().aliases)
        await self._settle()

    def configured(self) -> None:
        """Take in that the configuration changed; aliases follow, and give their names to models."""
        settings = self._settings()
        for name in self.table.aliases.keys() & settings.models.keys():
            self.remove_alias(name, because="configuration")
        self.table.configure(settings.aliases)
        self._wake.set()

    async def run(self) -> None:
        """Follow what changes for ever; ends by cancellation."""
        while True:
            stuck = any(each.state is not AliasState.DEFINED for each in self.table.aliases.values())
            wait_s = _AGAIN_S if stuck or self.beside.trouble else _LONGEST_WAIT_S
            await set_by(self._wake, time.monotonic() + wait_s)
            self._wake.clear()
            await self._settle()

    async def close(self, deadline_s: float) -> None:
        """End loads and versions beside; requests finish until ``deadline_s``. Idempotent."""
        changing = [*self._changing.values()]
        for task in changing:
            task.cancel()
        await asyncio.gather(*changing, return_exceptions=True)
        await self._loading.close()
        await self.beside.close(deadline_s)

    def aliases(self) -> list[Alias]:
        """Return every alias, in order of name."""
        return [alias for _, alias in sorted(self.table.aliases.items())]

    def expected(self) -> list[str]:
        """Return the models that must answer for the gateway to be ready: not those that rest or may."""
        models, resting = self._settings().models, self._catalog.standing.resting
        return [name for name, model in models.items() if model.load == "always" and name not in resting]

    def kept_releases(self) -> frozenset[tuple[str, int]]:
        """Return the releases that aliases name: the store must not collect them."""
        named = self._named(active_too=True)
        return frozenset((model, int(label)) for model, label in named if label.isdecimal() and int(label))

    async def _settle(self) -> None:
        async with self._settling:
            self.beside.wished = self._wished()
            begun = [each for each in self.table.aliases.values() if each.state is not AliasState.DEFINED]
            tasks = [self._move(each, "configuration") for each in begun]
            if tasks:
                await asyncio.wait(tasks)
            for place in self.beside.wished - self.beside.versions.keys():
                with contextlib.suppress(GatewayError):  # its trouble says it
                    await self.beside.ensure(*place)
            self.beside.wished = self._wished()
            await self.beside.settle()

    def _move(
        self, alias: Alias, because: str, *, load_now: bool = False, force: bool = False
    ) -> asyncio.Task[None]:
        """Return the work that leads an alias where it should; what was under way for it ends."""
        old = self._changing.get(alias.name)
        if old is not None:
            if because == "configuration":
                return old
            old.cancel()
        moving = self._moved(alias, because, load_now=load_now, force=force)
        task = asyncio.get_running_loop().create_task(moving, name=f"alias[{alias.name}]")
        self._changing[alias.name] = task

        def over(done: asyncio.Task[None]) -> None:
            if self._changing.get(alias.name) is done:
                del self._changing[alias.name]
            if not done.cancelled():
                done.exception()  # the alias says it

        task.add_done_callback(over)
        return task

    async def _moved(self, alias: Alias, because: str, *, load_now: bool, force: bool) -> None:
        self.beside.wished = self._wished()
        try:
            for target in alias.wish:
                await self._ready(target, load_now=load_now)
        except GatewayError as error:
            if not force:
                self.table.failed(alias, error.message)
                if self.table.aliases.get(alias.name, alias).reason != alias.reason:
                    log.event("alias_stuck", alias=alias.name, targets=said(alias.wish), reason=error.message)
                raise
        was = self.table.current(alias).active
        self.table.moved(alias)
        if was != alias.wish:
            words = {"targets": said(alias.wish), "was": said(was)}
            log.event("alias_moved", alias=alias.name, because=because, **words)
        self._wake.set()

    async def _ready(self, target: AliasTarget, *, load_now: bool) -> None:
        """Have a target of an alias serve; one of weight 0 need not.

        Raises:
            GatewayError: It does not.
        """
        if not target.weight:
            return
        model, label = target.model, target.version
        if model not in self._settings().models:
            raise UnknownModel(f"no model is named {model!r}", model=model)
        resting = self._catalog.standing.resting
        comes = label in ("", self.beside.number_to_come(model))
        if load_now and model not in self._catalog.versions and (comes or resting.get(model) is Rest.ORDER):
            await self._loading.wake(model, float("inf"))
        rests = resting.get(model) is Rest.ORDER or (comes and model in resting)
        if label and not rests:
            await self.beside.ensure(model, label)
        why = self.resolver.why_not(target)
        if why:
            raise NotReady(why, model=model)

    def _wished(self) -> frozenset[Place]:
        """Return the versions that must serve under their own numbers, whatever names lead to."""
        resting = self._catalog.standing.resting
        models = self._settings().models
        return frozenset(
            (model, label)
            for model, label in self._named(active_too=True)
            if model in models
            and label
            and resting.get(model) is not Rest.ORDER
            and not (model in resting and label == self.beside.number_to_come(model))
        )

    def _named(self, *, active_too: bool) -> set[Place]:
        """Return the models and versions that aliases name with a weight."""
        found: set[Place] = set()
        for alias in self.table.aliases.values():
            targets = (*alias.wish, *alias.active) if active_too else alias.wish
            found |= {(each.model, each.version) for each in targets if each.weight}
        return found

    def _check_known(self, name: str) -> None:
        """See that a name is a model's.

        Raises:
            UnknownModel: Nothing has it.
            NotSupported: It is an alias.
        """
        if name in self._settings().models:
            return
        if name in self.table.aliases:
            raise NotSupported(f"{name} is an alias: load or unload the models that it leads to", model=name)
        raise UnknownModel(f"no model is named {name!r}", model=name)


async def _nobody() -> None:
    """Stand in for who is told."""
