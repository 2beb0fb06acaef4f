"""Choosing what a model runs on: the candidates are proven one after the other until one holds.

A GPU that is there may still have no kernels for the board, end its process, fall
back to the processor without a word, or answer wrongly. Whatever a candidate does
happens in the throw-away process of its proof; then the next one is tried, and
everybody is told. Nothing is remembered of a failure: a board may be mended.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from gateway.errors import ConfigError, EngineFailed, GatewayError, LoadFailed, PipelineMisfit
from gateway.inference.candidates import AUTO, Candidate, Ladder, ModelFile, PassedOver, Wish, ladder
from gateway.inference.card import inside, read_folder
from gateway.inference.engine_cache import EngineCache, is_filled
from gateway.inference.engines.board import Board
from gateway.inference.engines.board_facts import board_facts
from gateway.inference.engines.file_precision import file_precision
from gateway.inference.engines.plugins import CPU, CUDA
from gateway.inference.engines.precision import Precision
from gateway.inference.engines.select import choose
from gateway.inference.loaded import LoadSpec
from gateway.inference.proof import Effort, prove
from gateway.inference.proof_cache import ProofCache, prove_once
from gateway.inference.proven import Proof
from gateway.model import ModelCard, ModelFolder

# An engine is built once, at its proof: many minutes on a small board, and never on the way of a request.
BUILD_LIMIT_S: Final = 3600.0
_TELL_EVERY_S: Final = 5.0
_WITHOUT_ENGINES: Final = (CPU, CUDA)
_ENGINES: Final = "engines"
_MOST_WORKSPACE_BYTES: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Choice:
    """What a model runs on here.

    Attributes:
        spec: What its lanes load.
        proof: What was seen of it.
        candidate: The file and the backend.
        failed: Better candidates that did not hold, with what happened.
        passed_over: What the rules kept out.
    """

    spec: LoadSpec
    proof: Proof
    candidate: Candidate
    failed: tuple[PassedOver, ...]
    passed_over: tuple[PassedOver, ...]

    def why(self) -> str:
        """Return in words why this one: what it is good for, and what failed before it."""
        return "; ".join((self.candidate.why, *(f"{each.what} failed" for each in self.failed)))


class ChoiceObserver(Protocol):
    """Who is told how a choice goes; called in the event loop, must not raise."""

    def engine_building(self, model: str, engine: str, progress: str) -> None:
        """An engine is being built, and this far."""
        ...

    def engine_failed(self, model: str, engine: str, reason: str) -> None:
        """A candidate did not hold; the next one is tried."""
        ...

    def engine_chosen(self, model: str, choice: Choice) -> None:
        """A candidate held."""
        ...


class Unheard:
    """An observer that tells nobody."""

    def engine_building(self, model: str, engine: str, progress: str) -> None:
        """Tell nobody."""

    def engine_failed(self, model: str, engine: str, reason: str) -> None:
        """Tell nobody."""

    def engine_chosen(self, model: str, choice: Choice) -> None:
        """Tell nobody."""


class Chooser:
    """Proves candidates and keeps proofs and built engines.

    Attributes:
        choices: The last choice for each model, by its name.
    """

    def __init__(
        self,
        cache: ProofCache | None,
        folder: Path | None,
        observer: ChoiceObserver,
        board: Callable[[], Board] = board_facts,
    ) -> None:
        """Make a chooser.

        Args:
            cache: Keeps proofs; None to prove every time.
            folder: Where caches lie; None to keep no built engines.
            observer: Who is told.
            board: Looks at the board; asked at every choice, in a thread.
        """
        self.choices: dict[str, Choice] = {}
        self._cache = cache
        self._engines = EngineCache(folder / _ENGINES) if folder is not None else None
        self._observer = observer
        self._board = board
        self._building = asyncio.Lock()

    async def choose(
        self, spec: LoadSpec, *, timeout_s: float, effort: Effort | None = None, afresh: bool = False
    ) -> Choice:
        """Return the best candidate that holds.

        Args:
            spec: What is configured: empty ``providers`` and ``precision`` leave the choice to the board.
            timeout_s: Longest proof of a candidate; one whose engine must be built gets ``BUILD_LIMIT_S``.
            effort: As ``prove`` takes it.
            afresh: Whether a kept proof does not count.

        Raises:
            LoadFailed: No candidate is left by the rules, or the last one cannot be loaded.
            GatewayError: As ``prove``, from the last candidate.

        Cancel-safe: the process is ended, and what it left of an engine is deleted.
        """
        steps, board, folder = await asyncio.to_thread(self._look, spec)
        failed: list[PassedOver] = []
        for candidate in steps.candidates:
            tried = self._resolved(spec, candidate, board, folder.card.of_file(candidate.file))
            try:
                proof = await self._attempt(tried, (timeout_s, effort or Effort(), afresh))
            except (EngineFailed, PipelineMisfit) as error:
                if candidate is steps.candidates[-1]:
                    raise
                failed.append(PassedOver(str(candidate), error.message))
                self._observer.engine_failed(spec.name, str(candidate), error.message)
                continue
            choice = Choice(tried, proof, candidate, tuple(failed), steps.passed_over)
            self.choices[spec.name] = choice
            self._observer.engine_chosen(spec.name, choice)
            return choice
        reasons = "; ".join(map(str, steps.passed_over)) or "nothing that is installed runs it"
        raise LoadFailed(f"model {spec.name}: nothing here may run it: {reasons}", model=spec.name)

    def _look(self, spec: LoadSpec) -> tuple[Ladder, Board, ModelFolder]:
        board = self._board()
        try:
            folder = read_folder(spec.folder)
        except ConfigError as error:
            raise LoadFailed(str(error), model=spec.name) from error
        options = spec.options
        wish = Wish(options.providers, options.delegates, options.precision or AUTO)
        names = ("", *(twin.file for twin in folder.card.twins))
        files = [ModelFile(*_facts(folder, name)) for name in names]
        return ladder(wish, files, board, _runtimes(files, spec.engine)), board, folder

    def _resolved(self, spec: LoadSpec, candidate: Candidate, board: Board, card: ModelCard) -> LoadSpec:
        """Return what lanes load for a candidate: nothing is left to be decided in it."""
        options = replace(spec.options, providers=candidate.providers, exact=candidate.exact, precision="")
        if candidate.file or candidate.exact:
            options = replace(options, precision=candidate.precision.value)
        if candidate.exact:
            options = replace(
                options,
                gpu_memory_bytes=options.gpu_memory_bytes or board.memory_bytes // 2,
                gpu_workspace_bytes=options.gpu_workspace_bytes
                or min(_MOST_WORKSPACE_BYTES, board.memory_bytes // 8),
            )
        if candidate.exact and self._engines is not None and candidate.backend not in _WITHOUT_ENGINES:
            told = (candidate.backend, candidate.precision.value, options.gpu_workspace_bytes)
            options = replace(options, engine_cache=str(self._engines.place(card.sha256, board, told)))
        return replace(spec, file=candidate.file, options=options)

    async def _attempt(self, spec: LoadSpec, how: tuple[float, Effort, bool]) -> Proof:
        """Prove one candidate; where an engine must be built for it, one at a time and with more patience."""
        cache_folder = spec.options.engine_cache
        if not cache_folder or await asyncio.to_thread(is_filled, cache_folder):
            return await self._prove(spec, how)
        assert self._engines is not None
        place = Path(cache_folder)
        timeout_s, effort, afresh = how
        backend = spec.options.providers[0]

        def heard(words: str) -> None:
            self._observer.engine_building(spec.name, backend, words)

        async with self._building, self._telling(heard):
            if not await asyncio.to_thread(self._engines.make, place):
                spec = replace(spec, options=replace(spec.options, engine_cache=""))
            try:
                patience_s = max(timeout_s, BUILD_LIMIT_S)
                return await self._prove(spec, (patience_s, replace(effort, heard=heard), afresh))
            except BaseException:
                self._engines.drop(place)
                raise

    @asynccontextmanager
    async def _telling(self, heard: Callable[[str], None]) -> AsyncIterator[None]:
        """Say every few seconds for how long a build has been going on: most builders say nothing."""
        started_s = time.monotonic()

        async def tell() -> None:
            while True:
                await asyncio.sleep(_TELL_EVERY_S)
                heard(f"{time.monotonic() - started_s:.0f} s")

        telling = asyncio.create_task(tell(), name="engine-build-progress")
        try:
            yield
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)

    async def _prove(self, spec: LoadSpec, how: tuple[float, Effort, bool]) -> Proof:
        timeout_s, effort, afresh = how
        if self._cache is None:
            return await prove(spec, timeout_s=timeout_s, effort=effort)
        if not afresh:
            return (await prove_once(spec, self._cache, timeout_s=timeout_s, effort=effort))[0]
        before = await asyncio.to_thread(_key, self._cache, spec)
        proof = await prove(spec, timeout_s=timeout_s, effort=effort)
        if before and await asyncio.to_thread(_key, self._cache, spec) == before:
            await asyncio.to_thread(self._cache.keep, before, proof)
        return proof


def _facts(folder: ModelFolder, file: str) -> tuple[str, str, Precision]:
    """Return name, format and precision of a file."""
    card = folder.card.of_file(file)
    path = inside(folder.folder, card.file, "file")
    return file, card.format, file_precision(path, card)


def _runtimes(files: list[ModelFile], engine: str) -> dict[str, str]:
    """Return the runtime of each format.

    Raises:
        LoadFailed: There is none for any of them.
    """
    found: dict[str, str] = {}
    trouble: LoadFailed | None = None
    for each in files:
        try:
            found[each.format] = choose(each.format, engine)
        except LoadFailed as error:
            trouble = trouble or error
    if trouble is not None and not found:
        raise trouble
    return found


def _key(cache: ProofCache, spec: LoadSpec) -> str:
    """Return the key of a proof; empty if the files cannot be read, which proving says better."""
    try:
        return cache.key(spec)
    except GatewayError:
        return ""
