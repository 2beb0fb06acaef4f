"""What is examined in which order: puts readers and rules together, and keeps what several of them need."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from gateway.configuration.settings import Settings
from gateway.doctor.examination import LIMIT_S, Examine
from gateway.doctor.finding import Finding
from gateway.doctor.readers.board import read_board
from gateway.doctor.readers.broker import read_broker
from gateway.doctor.readers.clock import read_clock
from gateway.doctor.readers.configuration import read_configuration
from gateway.doctor.readers.door import read_door
from gateway.doctor.readers.gpu import read_gpu
from gateway.doctor.readers.memory import read_memory
from gateway.doctor.readers.models import limit_s, read_models
from gateway.doctor.readers.packages import pip_command, read_packages
from gateway.doctor.readers.power import read_power
from gateway.doctor.readers.runtimes import read_trials
from gateway.doctor.readers.service import Service, read_service, service_facts
from gateway.doctor.readers.store import read_store
from gateway.doctor.readers.telemetry import read_nvml, read_sample
from gateway.doctor.readers.text import Run, run_command
from gateway.doctor.readers.tls import read_tls
from gateway.doctor.rules.board import judge_board
from gateway.doctor.rules.broker import judge_broker
from gateway.doctor.rules.clock import judge_clock
from gateway.doctor.rules.configuration import ConfigurationFacts, judge_configuration
from gateway.doctor.rules.door import judge_door
from gateway.doctor.rules.gpu import judge_gpu
from gateway.doctor.rules.jetson import is_jetson
from gateway.doctor.rules.memory import judge_memory
from gateway.doctor.rules.models import judge_models
from gateway.doctor.rules.packages import judge_packages
from gateway.doctor.rules.power import judge_power
from gateway.doctor.rules.runtimes import judge_trials
from gateway.doctor.rules.service import judge_service
from gateway.doctor.rules.store import judge_store
from gateway.doctor.rules.tls import judge_tls
from gateway.inference.engines.board import Board
from gateway.inference.engines.board_facts import board_facts
from gateway.scaling.sample import HOST, Sample

UNIT: Final = "gateway.service"
_SPARE_S: Final = 15.0
_TRIALS_LIMIT_S: Final = 600.0
_MOST_CANDIDATES: Final = 4


@dataclass(frozen=True)
class Choices:
    """What whoever asks wants.

    Attributes:
        file: The configuration; empty for none.
        unit: The service.
        models: Whether to load runtimes and models.
        offline: Whether to leave the broker alone.
        root: Where ``/`` is.
        run: Runs commands.
    """

    file: str = ""
    unit: str = UNIT
    models: bool = True
    offline: bool = False
    root: Path = Path("/")
    run: Run = run_command


class VisitPlan:
    """The groups to examine. What several need is read once, by the first that needs it."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices
        self._root = choices.root

    def groups(self) -> list[tuple[str, Examine, float]]:
        """Return name, what examines it, and its time in seconds, in the order of ``GROUPS``."""
        choices = self._choices
        plan: list[tuple[str, Examine, float]] = [
            ("configuration", self._configuration_findings, LIMIT_S),
            ("service", self._service_findings, LIMIT_S),
            ("board", self._board_findings, LIMIT_S),
            ("packages", self._package_findings, LIMIT_S),
        ]
        if choices.models:
            plan.append(("runtimes", self._runtime_findings, _TRIALS_LIMIT_S))
        plan += [
            ("gpu", self._gpu_findings, LIMIT_S),
            ("memory", self._memory_findings, LIMIT_S),
            ("power", self._power_findings, LIMIT_S),
            ("clock", self._clock_findings, LIMIT_S),
            ("store", self._store_findings, LIMIT_S),
            ("tls", self._tls_findings, LIMIT_S),
        ]
        if not choices.offline:
            plan.append(("broker", self._broker_findings, 2 * LIMIT_S))
        if choices.models:
            names = self._settings.models
            times = sum(limit_s(name, self._settings, self._board) + _SPARE_S for name in names)
            plan.append(("models", self._model_findings, _MOST_CANDIDATES * times + _SPARE_S))
        return plan

    @cached_property
    def _configuration(self) -> tuple[Settings, ConfigurationFacts]:
        return read_configuration(self._root, self._choices.file, self._choices.unit)

    @property
    def _settings(self) -> Settings:
        return self._configuration[0]

    @cached_property
    def _service(self) -> Service:
        return read_service(self._root, self._choices.run, self._choices.unit)

    @cached_property
    def _board(self) -> Board:
        return board_facts(self._root)

    @cached_property
    def _sample(self) -> Sample:
        return read_sample(self._root, nvml=self._settings.telemetry.nvml)

    def _configuration_findings(self) -> Iterator[Finding]:
        yield from judge_configuration(self._configuration[1])

    def _service_findings(self) -> Iterator[Finding]:
        lanes = sum(model.lanes for model in self._settings.models.values())
        yield from judge_service(service_facts(self._root, self._service, lanes))
        if (door := read_door(self._settings.http, self._service)) is not None:
            yield from judge_door(door, self._choices.unit)

    def _board_findings(self) -> Iterator[Finding]:
        yield from judge_board(read_board(self._root, self._choices.run, self._settings, self._service))

    def _package_findings(self) -> Iterator[Finding]:
        yield from judge_packages(read_packages(self._settings, self._board))

    def _runtime_findings(self) -> Iterator[Finding]:
        yield from judge_trials(read_trials(self._settings, self._board), pip_command())

    def _gpu_findings(self) -> Iterator[Finding]:
        nvml = read_nvml() if self._settings.telemetry.nvml else None
        yield from judge_gpu(read_gpu(self._root, self._settings, self._board, self._service, nvml))

    def _memory_findings(self) -> Iterator[Finding]:
        jetson = is_jetson(self._board)
        facts = read_memory(self._root, self._settings, self._service, self._sample, jetson=jetson)
        yield from judge_memory(facts)

    def _power_findings(self) -> Iterator[Finding]:
        jetson = is_jetson(self._board)
        yield from judge_power(read_power(self._root, self._choices.run, self._sample, jetson=jetson))

    def _clock_findings(self) -> Iterator[Finding]:
        yield from judge_clock(read_clock())

    def _store_findings(self) -> Iterator[Finding]:
        yield from judge_store(read_store(self._settings, self._service))

    def _tls_findings(self) -> Iterator[Finding]:
        yield from judge_tls(read_tls(self._settings.mqtt, offline=self._choices.offline))

    def _broker_findings(self) -> Iterator[Finding]:
        hidden = bool(self._configuration[1].out_of_reach)
        facts = asyncio.run(read_broker(self._settings, self._root, without_secret=hidden))
        yield from judge_broker(facts)

    def _model_findings(self) -> Iterator[Finding]:
        memory = self._sample.memory.get(HOST)
        yield from judge_models(
            asyncio.run(read_models(self._settings, self._board)),
            available_bytes=None if memory is None else memory.available_bytes,
            reserve_bytes=self._settings.scaling.reserve_bytes,
            file=self._choices.file,
        )
