"""The second half of the demo: an author publishes one release after the other, and the board answers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gateway.configuration.load import load
from gateway.configuration.settings import MqttSettings
from gateway.demo.act_screen import act_lines
from gateway.demo.act_summary import act_summaries
from gateway.demo.acts import ACTS, Act, Outcome, Played, Progress, label_of
from gateway.demo.frame_count import NOTHING, FrameCount, frame_count
from gateway.demo.stage import GATEWAY, PREFIX, BrokerInUse, Stage
from gateway.demo.witness import Witness, witness
from gateway.errors import Unavailable

if TYPE_CHECKING:
    from gateway.demo.author import Author

MODEL: Final = "efficientnet-lite0"
CAMERA: Final = "demo-camera"
BAKE_S: Final = 3.0
# The gates of a bake judge the time of a run from fifty on.
BAKE_REQUESTS: Final = 60
# A machine that also does other things must not make a good release look slow.
P99_FACTOR: Final = 2.0
_ACT_LIMIT_S: Final = 180.0
_BALANCE_LIMIT_S: Final = 20.0
_BALANCE_POLL_S: Final = 0.05
_QUIET_S: Final = 1.0
_SERVES_LIMIT_S: Final = 20.0


@dataclass(slots=True)
class SecondAct:
    """All acts. Mutable.

    Attributes:
        stage: What runs.
        author: Publishes.
        witness: Listens.
        address: Where the repository is served.
        played: The acts that began, in their order.
        over: Whether all of them have been played.
    """

    stage: Stage
    author: Author
    witness: Witness
    address: str
    played: list[Played] = field(default_factory=list)
    over: bool = False
    _counted: FrameCount = NOTHING

    @property
    def ok(self) -> bool:
        """Whether every act ended as it should."""
        return self.over and all(played.ok for played in self.played)

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a board that follows the author, by dotted key."""
        return {
            "updates.repository": self.address,
            "updates.root_file": str(self.author.root_file),
            "updates.store_dir": str(self.stage.folder / "store"),
            "updates.poll_interval_s": "600",
            "updates.reserve_bytes": "0",
            "updates.mqtt_chunks": "false",
            "updates.bake.seconds": f"{BAKE_S:g}",
            "updates.bake.requests": f"{BAKE_REQUESTS}",
            "updates.bake.p99_factor": f"{P99_FACTOR:g}",
        }

    def lines(self, width: int) -> list[str]:
        """Return what is to be shown, for a width in letters."""
        return act_lines(self.played, self.address, width)

    def added(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """Return the summary of a run with all acts in it."""
        return {**told, "ok": told["ok"] and self.ok, "updates": act_summaries(self.played)}

    async def play(self, stop: asyncio.Event) -> None:
        """Play every act, and set ``stop`` at the end.

        Raises:
            GatewayError: The author cannot publish, or a part has ended.

        Cancel-safe: what was begun counts as unfinished.
        """
        try:
            # What served before is judged by as much as what is to serve.
            await self._until(lambda: self.witness.results > BAKE_REQUESTS)
            self._counted = await self._balance(None)
            for act in ACTS:
                await self._play(act)
            self.over = True
        finally:
            stop.set()

    async def _play(self, act: Act) -> None:
        progress = Progress(act)
        played = Played(progress)
        version = await asyncio.to_thread(self.author.publish, act.release)
        rung_s = time.monotonic()
        self.played.append(played)
        self.witness.on_event = lambda event: progress.take(event, MODEL, time.monotonic() - rung_s)
        request_id = f"act-{act.release}"
        await self.witness.ring(version, request_id)
        await self._until(lambda: progress.outcome is not Outcome.UNFINISHED)
        played.settled = await self._until(lambda: self._agrees(progress, request_id))
        played.longest_gap_s = self.witness.gaps.longest_s
        counted = await self._balance(self._counted)
        played.frames, self._counted = counted.since(self._counted), counted
        # The version before has answered what it held; the last of that may still be on its way to us.
        heard, serves = self.witness.results, label_of(act.serves)
        await self.witness.until(
            lambda: self.witness.results > heard and self.witness.version == serves, _SERVES_LIMIT_S
        )
        played.serves, played.workers = self.witness.version, self._workers()

    def _agrees(self, progress: Progress, request_id: str) -> bool:
        """Say whether the board's report and the newest result agree with the events."""
        report = self.witness.report
        if report is None or report.request_id != request_id or not progress.is_settled(report, MODEL):
            return False
        active = report.models[MODEL].active
        return active is not None and self.witness.version == label_of(active.release)

    def _workers(self) -> tuple[int, ...]:
        held = self.witness.report.models.get(MODEL) if self.witness.report else None
        return tuple(sorted(int(pid) for pid in held.active.mapped)) if held and held.active else ()

    async def _until(self, holds: Callable[[], bool]) -> bool:
        return await self.witness.until(holds, _ACT_LIMIT_S)

    async def _balance(self, before: FrameCount | None) -> FrameCount:
        """Hold the camera until it is known what became of each of its frames; return the count.

        Only that makes a count exact: at any other moment some frame is on its way.

        Args:
            before: The count from which on every frame must be known; None for the first one: what was sent
                before the gateway subscribed never came, so that one is taken once nothing comes any more.
        """
        self.stage.hold_sensors()
        now_s = since_s = time.monotonic()
        deadline_s = now_s + _BALANCE_LIMIT_S
        counted = NOTHING
        while now_s < deadline_s:
            held, sent = CAMERA in self.stage.held, self.stage.sent.get(CAMERA, 0)
            found = counted
            with contextlib.suppress(Unavailable):
                found = frame_count(await self.stage.status(), CAMERA, sent)
            now_s = time.monotonic()
            if found != counted or not held:
                counted, since_s = found, now_s
            quiet = now_s - since_s >= _QUIET_S if before is None else counted.since(before).is_balanced
            if held and quiet:
                break
            await asyncio.sleep(_BALANCE_POLL_S)
        self.witness.gaps.begin()
        self.stage.release_sensors()
        return counted


async def begin_second_act(config: Path, stage: Stage, broker: BrokerInUse) -> SecondAct:
    """Set up an author, a web server and a witness; what runs is the stage's to end.

    Args:
        config: The gateway's configuration file.
        stage: What runs.
        broker: Where the gateway will be.

    Raises:
        GatewayError: The configuration names no such model, signing is not installed, or a part did not
            start.
    """
    from gateway.demo.author import Author  # signing is heavy, and not needed by the first half

    source = _model_folder(config)
    author = await asyncio.to_thread(Author.begin, stage.folder / "author", MODEL, source)
    address = await stage.start_web(author.served)
    mqtt = MqttSettings(url=broker.url, version=broker.version, topic_prefix=PREFIX)
    heard = await stage.stack.enter_async_context(witness(mqtt, GATEWAY, CAMERA))
    return SecondAct(stage, author, heard, address)


def _model_folder(config: Path) -> Path:
    """Return the folder of the classifier that a configuration names.

    Raises:
        ConfigError: The configuration is wrong.
        Unavailable: It names none.
    """
    models = load(config).settings.models
    if MODEL not in models:
        raise Unavailable(f"{config}: --update needs the model {MODEL}")
    return Path(models[MODEL].path)
