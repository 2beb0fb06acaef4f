"""Every door of one house: opened on one gate, over one service, and closed in reverse order."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from typing import TYPE_CHECKING, Final

from gateway.configuration.settings import Settings
from gateway.daemon.answer_topics import AnswerTopics
from gateway.daemon.cold_shape import ColdShapes
from gateway.daemon.model_counts import ModelCounts, ModelMemory
from gateway.daemon.mqtt_requests import MqttRequests, RequestPorts
from gateway.daemon.request_codec import RequestCodec
from gateway.mqtt.connection import Connection
from gateway.mqtt.link import Link
from gateway.operations.log import log
from gateway.serving.access.opening import check_bound, configured_policy, gate_of
from gateway.serving.asgi import Application
from gateway.serving.door_count import DoorCount
from gateway.serving.doors import Doors
from gateway.serving.gated_status import GatedStatus
from gateway.serving.http.limits import HttpLimits
from gateway.serving.inferring import Inferring
from gateway.serving.listener import Listener
from gateway.serving.regions import Regions
from gateway.serving.rest.app import RestApp, RestParts
from gateway.serving.rest.routes import ROUTES
from gateway.serving.shared_memory.door import MemoryDoor
from gateway.serving.shared_memory.door_connection import METHODS, DoorParts
from gateway.serving.shared_memory.local_regions import LocalRegions, NoRegions
from gateway.serving.tls import build_tls

if TYPE_CHECKING:
    from gateway.daemon.house import House
    from gateway.operations.listen_fds import HandedOver

# An application that is silent for longer than any load or request is stuck.
_PATIENCE_S: Final = 30.0


class HouseDoors:
    """The doors of one house.

    Attributes:
        models: The service behind all of them.
        broker: The connection over which requests come; None where they do not.
    """

    def __init__(self, house: House, handed: HandedOver) -> None:
        """Prepare.

        Args:
            house: Whose doors they are; its catalogue, wishes and data plane are there.
            handed: Sockets that the service manager opened.
        """
        settings = house.settings
        self._house = house
        self._handed = handed
        self._settings = settings
        self._listeners: list[Listener] = []
        self._bound: list[str] = []
        self._stack = contextlib.AsyncExitStack()
        self.broker: Connection | None = None
        self._gate = gate_of(settings.serving, self._configured_addresses(), house.metrics)
        wishes = house.wishes
        counts = ModelCounts(house.catalog.versions, wishes.beside, wishes.table.aliases)
        cold = ColdShapes(lambda name: house.catalog.folder_of(name, house.settings), lambda: house.settings)
        self.models = Inferring(
            house.dataplane, house.wishes.resolver, counts.of, cold.of, house.drop_ins.facts_of
        )
        memory = settings.serving.shared_memory
        self._regions: Regions = LocalRegions(memory) if memory.system else NoRegions("shared memory is off")

    async def open(self, status: Application) -> None:
        """Open the doors to programs: HTTP, gRPC and memory. Models need not serve yet.

        Args:
            status: The status pages.

        Raises:
            ConfigError: Other machines reach a socket that was handed over, and nobody would be asked.
            OSError: An address cannot be bound, or a certificate cannot be read.
            ValueError: TLS files do not fit each other.

        Cancel-safe: ``close`` closes what was opened.
        """
        serving = self._settings.serving
        tls = build_tls(serving.tls)
        app = self._application(status)
        for listen in self._http_addresses():
            handed_over = listen.startswith("fd://")
            is_network = not listen.startswith("unix:") and listen not in self._control_addresses()
            door = Listener(app, listen, self._limits(), tls if is_network else None)
            self._listeners.append(await self._stack.enter_async_context(door))
            log.event("http_listening", address=door.address, handed_over=handed_over)
        self._bound = [door.address for door in self._listeners]
        check_bound(serving, self._bound)
        if serving.enabled:
            await self._open_rpc()
            await self._open_memory()
            if serving.grpc.enabled:
                self._bound.append(serving.grpc.listen)
        self._gate.apply(configured_policy(serving, self._bound), serving.access)

    async def open_to_broker(self, link: Link) -> None:
        """Open the door for requests over the broker; returns at once. Models should serve by now.

        Raises:
            ConfigError: The broker's address or a certificate cannot be used.
        """
        serving = self._settings.serving
        if not (serving.enabled and serving.mqtt.enabled):
            return
        house = self._house
        topics = AnswerTopics(lambda: house.settings, house.id, link)
        ports = RequestPorts(self.models, RequestCodec(serving, self.models), topics.check, house.metrics)
        door = MqttRequests(self._settings, house.id, ports)
        await self._stack.enter_async_context(door)
        self.broker = door.connection

    def check(self, settings: Settings) -> None:
        """Hold other settings to the addresses that are bound.

        Raises:
            ConfigError: Other machines reach one of them, and nobody would be asked.
        """
        check_bound(settings.serving, self._bound)

    def renew(self, settings: Settings) -> None:
        """Go by other tokens and limits, and read certificates anew: a broken one leaves the old in force."""
        self._gate.apply(configured_policy(settings.serving, self._bound), settings.serving.access)
        try:
            context = build_tls(settings.serving.tls)
        except (OSError, ValueError) as error:
            log.event("tls_not_renewed", error=error)
            return
        for door in self._listeners:
            if context is not None and door.tls is not None:
                door.renew_tls(context)

    async def close(self) -> None:
        """Close every door: who asked already is answered within a short time. Idempotent."""
        await self._stack.aclose()

    def is_live(self) -> bool:
        """Return that the process works: it answers."""
        return True

    def is_ready(self) -> bool:
        """Return whether every model that should serve does."""
        return self._house.health.judge(time.monotonic()).ready

    def _application(self, status: Application) -> Application:
        serving = self._settings.serving
        if not serving.enabled:
            return status
        actions = {route.action for route in ROUTES}
        parts = RestParts(
            models=self.models,
            repository=self._house.wishes,
            health=self,
            regions=self._regions if serving.shared_memory.system else None,
            gate=self._gate,
            count=DoorCount("http", actions, self._house.metrics.door_requests, serving.slow_request_s),
            log=log,
            aliases=self._house.wishes,
        )
        return Doors(GatedStatus(status, self._gate), RestApp(parts, serving))

    async def _open_rpc(self) -> None:
        serving, house = self._settings.serving, self._house
        if not serving.grpc.enabled:
            return
        # Where the door is off, its libraries cost neither time nor memory.
        from gateway.serving.rpc.inference_service import Behind
        from gateway.serving.rpc.server import RpcServer

        behind = Behind(self.models, house.wishes, self, self._regions)
        memory = ModelMemory(
            house.catalog.versions,
            house.costs.of,
            lambda: list(house.settings.models),
            house.catalog.chooser.choices,
        )
        door = RpcServer(behind, serving, self._gate, house.metrics.door_requests, memory)
        await self._stack.enter_async_context(door)
        log.event("grpc_listening", address=door.address)

    async def _open_memory(self) -> None:
        serving = self._settings.serving
        path = serving.shared_memory.socket
        if not path:
            return
        count = DoorCount("memory", METHODS, self._house.metrics.door_requests, serving.slow_request_s)
        parts = DoorParts(self.models, self._gate, count, serving)
        await self._stack.enter_async_context(MemoryDoor(path, parts))
        log.event("memory_listening", path=path)

    def _limits(self) -> HttpLimits:
        serving = self._settings.serving
        if not serving.enabled:
            return HttpLimits()
        most = serving.access.connections
        loads = [model.load_timeout_s for model in self._settings.models.values()]
        patience_s = max(serving.max_timeout_s, *loads, 0.0) + _PATIENCE_S
        return dataclasses.replace(
            HttpLimits(), connections=most, connections_per_address=most, response_s=patience_s
        )

    def _http_addresses(self) -> list[str]:
        """Return where to listen; a socket of the service manager that is not wanted is closed."""
        http = [f"fd://{fd}" for fd in self._handed.of("http")]
        if self._settings.http.enabled:
            http = http or [self._settings.http.listen]
        else:
            for fd in self._handed.of("http"):
                os.close(fd)
            http = []
        # The control socket is the same door for programs of this machine, without a port.
        return [*http, *self._control_addresses()]

    def _control_addresses(self) -> list[str]:
        return [f"fd://{fd}" for fd in self._handed.of("control")]

    def _configured_addresses(self) -> list[str]:
        serving = self._settings.serving
        found = [self._settings.http.listen] if self._settings.http.enabled else []
        return [*found, serving.grpc.listen] if serving.enabled and serving.grpc.enabled else found
