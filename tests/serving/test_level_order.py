"""A real lane runs what waits in the order of priorities, whichever door it came through."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np

from gateway.configuration.serving_settings import PrioritySettings, ServingSettings
from gateway.daemon.mqtt_requests import RequestFrame
from gateway.daemon.request_codec import RequestCodec
from gateway.inference.dataplane import DataPlane
from gateway.inference.request import InferRequest
from gateway.inference.tensor_call import TENSORS, PlacedTensor, TensorLayout
from gateway.serving.broker.request_topic import Address
from gateway.serving.door_count import DoorCount
from gateway.serving.inferring import Inferring
from gateway.serving.rest.app import RestApp, RestParts
from gateway.serving.rest.routes import ROUTES
from tests.inference.bench_of_lanes import Seen
from tests.serving.rest.rest_house import Ready, RestHouse
from tests.serving.rpc.door import open_door
from tests.serving.rpc.raw_client import client_of
from tests.serving.rpc.requests import add_raw, request
from tests.serving.serving_models import MOTION, inferring

WINDOW = np.zeros((1, 100, 6), "<f4")
Ask = Callable[[int], Coroutine[Any, Any, object]]


@dataclass
class Place:
    """The gateway before one real lane.

    Attributes:
        asks: Ask with a priority, by the name of the door; return what it says.
    """

    models: Inferring
    dataplane: DataPlane
    seen: Seen
    asks: dict[str, Ask]

    @contextlib.asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """Keep the lane from what comes meanwhile: its process stands still with one request."""
        (lane,) = self.dataplane.serving[MOTION].pool.lanes
        os.kill(lane.pid, signal.SIGSTOP)
        try:
            self.frame("first")
            yield
        finally:
            os.kill(lane.pid, signal.SIGCONT)

    def frame(self, stream: str) -> None:
        """Give the lane a frame of a sensor."""
        tensor = PlacedTensor(self.models.view(MOTION).inputs[0].name, "float32", WINDOW.shape, 0)
        declared, now_s = TensorLayout((tensor,), (), 1).to_json(), time.monotonic()
        frame = InferRequest(MOTION, TENSORS, stream, WINDOW.tobytes(), declared, now_s, now_s + 20.0)
        self.dataplane.submit(frame, lambda _ticket, _outcome: None)

    async def waiting(self, count: int) -> None:
        """Return once so many wait for the lane."""
        while self.dataplane.serving[MOTION].queued < count:  # noqa: ASYNC110 - `run` bounds the wait
            await asyncio.sleep(0.005)

    async def order(self, count: int) -> list[tuple[str, int]]:
        """Return streams and levels of so many requests, in the order in which the lane got them."""
        while len(self.seen.ended) < count:  # noqa: ASYNC110 - `run` bounds the wait
            await asyncio.sleep(0.005)
        done = [ticket for ticket, _ in self.seen.ended if ticket.dispatched_s]
        done.sort(key=lambda ticket: ticket.dispatched_s)
        return [(ticket.request.stream, ticket.request.level) for ticket in done]


@contextlib.asynccontextmanager
async def place(priority: PrioritySettings) -> AsyncIterator[Place]:
    """Serve a model on one lane through REST, gRPC and the codec of requests over the broker."""
    settings = ServingSettings(priority=priority)
    house = RestHouse(priority=priority)
    codec_frame = RequestFrame(Address(MOTION, ""), time.monotonic(), None, "mqtt:replies/me")
    async with (
        inferring(MOTION) as (models, dataplane, seen),
        open_door(settings, models=models, mesh=False) as door,
        client_of(door.address) as client,
    ):
        name = models.view(MOTION).inputs[0].name
        count = DoorCount("http", {route.action for route in ROUTES}, house.metrics.door_requests)
        parts = RestParts(models, house.models, Ready(house.models), None, door.gate, count, house.log)
        house.app = RestApp(parts, house.settings)
        codec = RequestCodec(settings, models)

        def body(priority: int) -> bytes:
            tensor = f'"name":"{name}","shape":[1,100,6],"datatype":"FP32","data":{WINDOW.tolist()}'
            return f'{{"inputs":[{{{tensor}}}],"parameters":{{"priority":{priority}}}}}'.encode()

        async def rest(priority: int) -> object:
            got = await house.ask("POST", f"/v2/models/{MOTION}/infer", body(priority))
            assert got is not None
            return got.status

        async def rpc(priority: int) -> object:
            made = request(MOTION, priority=priority)
            add_raw(made, name, WINDOW, "FP32")
            try:
                await client.call("ModelInfer", made)
            except grpc.aio.AioRpcError as error:
                return error.code().name
            return "OK"

        async def broker(priority: int) -> object:
            call, _ = codec.read(body(priority), None, codec_frame)
            return await models.infer(call)

        yield Place(models, dataplane, seen, {"rest": rest, "rpc": rpc, "broker": broker})


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 180))


async def queue_up(where: Place, wanted: list[tuple[str, int]]) -> list[asyncio.Task[object]]:
    """Ask one after the other, so that all wait in this order."""
    asked = []
    for door, priority in wanted:
        before = where.dataplane.serving[MOTION].queued
        asked.append(asyncio.ensure_future(where.asks[door](priority)))
        await where.waiting(before + 1)
    return asked


def test_what_is_first_runs_first_whichever_door_it_came_through() -> None:
    async def test() -> None:
        async with place(PrioritySettings()) as where:
            wanted = [("rest", 10), ("rpc", 3), ("broker", 2), ("rpc", 2), ("rest", 3), ("broker", 1)]
            async with where.busy():
                asked = await queue_up(where, wanted)
                where.frame("camera")
            levels = [level for _, level in await where.order(len(wanted) + 2)]
            assert levels == [0, 0, 0, 1, 1, 2, 2, 9]
            assert {str(said) for said in (await asyncio.gather(*asked))[:2]} == {"200", "OK"}

    run(test())


def test_requests_go_before_frames_where_that_is_configured() -> None:
    async def test() -> None:
        async with place(PrioritySettings(levels=5, default=4, frames=3)) as where:
            wanted = [("rpc", 0), ("rest", 2), ("broker", 1)]
            async with where.busy():
                where.frame("camera")
                await queue_up(where, wanted)
            order = await where.order(len(wanted) + 2)
            assert [level for _, level in order] == [0, -2, -1, 0, 1]
            assert [stream for stream, level in order if level == 0] == ["first", "camera"]

    run(test())


def test_a_flood_of_the_first_priority_keeps_no_frame_waiting_for_more_than_its_share() -> None:
    async def test() -> None:
        async with place(PrioritySettings()) as where:
            async with where.busy():
                await queue_up(where, [("rpc", 1)] * 60)
                where.frame("camera")
            streams = [stream for stream, _ in await where.order(62)]
            # Of 60 that came before it: a batch, and what a stream may be ahead.
            assert streams.index("camera") <= 1 + 2 * 8

    run(test())


def test_a_priority_beyond_the_levels_is_none_at_every_door() -> None:
    async def test() -> None:
        async with place(PrioritySettings(levels=4, default=3)) as where:
            async with where.busy():
                await queue_up(where, [("rest", 5), ("rpc", 2**40), ("broker", 5), ("rest", 4)])
            assert [level for _, level in await where.order(5)][1:] == [2, 2, 2, 3]

    run(test())
