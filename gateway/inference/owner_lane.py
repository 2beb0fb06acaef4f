"""One lane inside the GPU owner: a thread that loads, or joins, a model and then serves as a process does."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from gateway.errors import EngineFailed, GatewayError, OutOfMemory
from gateway.inference.engines.sticky import is_sticky
from gateway.inference.loaded import LoadedModel, LoadSpec
from gateway.inference.opening import OpenedModel, open_folder
from gateway.inference.pages import ReadOnlyPage
from gateway.inference.polite import politely
from gateway.inference.reading import read_message
from gateway.inference.shared_models import SharedModel, SharedModels, close_opened, model_key
from gateway.inference.watched_engine import WatchedEngine
from gateway.inference.wire import Head, encode
from gateway.inference.worker_loop import Line, serve

_SPARE_WAIT_S: Final = 0.2
_TURN_LOOK_S: Final = 0.2
WAITING: Final = "wait"


class LaneChannel(socket.socket):
    """A lane's socket, on which its thread speaks, and last of all whoever ends the process."""

    def __init__(self, fd: int) -> None:
        """Take over a descriptor."""
        super().__init__(fileno=fd)
        self._speaking = threading.Lock()

    def sendall(self, data: bytes, flags: int = 0, /) -> None:  # type: ignore[override]
        """Send a whole message.

        Raises:
            OSError: The front end has closed the socket.
        """
        with self._speaking:
            super().sendall(data, flags)

    def spare(self) -> None:
        """Say that the process ends for another lane's fault; nothing is ever said after that."""
        if not self._speaking.acquire(timeout=_SPARE_WAIT_S):
            return  # half a message is on its way: the closed socket must do
        try:
            self.send(encode({"t": "spared"}), socket.MSG_DONTWAIT)
        except OSError:
            return


@dataclass(frozen=True, slots=True)
class House:
    """What lanes of the process have in common.

    Attributes:
        models: Models that they share.
        turn: Held by the one that loads.
        say: Tells the front end, by the control socket.
        fall: Ends the process for a lane's sticky error; does not return.
        confined: What keeps the process from changing files.
    """

    models: SharedModels
    turn: threading.Lock
    say: Callable[[Head], None]
    fall: Callable[[int, str], None]
    confined: str


class OwnerLane:
    """One lane: a thread, a socket, two pages.

    Attributes:
        number: What the front end calls it.
        channel: Its socket.
        is_building: Whether it has the turn to load.
    """

    def __init__(self, number: int, spec: LoadSpec, fds: tuple[int, ...], house: House) -> None:
        """Take over three descriptors; ``start`` begins.

        Args:
            number: What the front end calls it.
            spec: What it will load, but for the pipelines.
            fds: Socket, page, page.
            house: What it has in common with others.
        """
        self.number = number
        self.channel = LaneChannel(fds[0])
        self._pages = (ReadOnlyPage(fds[1]), ReadOnlyPage(fds[2]))
        self._spec = spec
        self._house = house
        self._stage = WAITING
        self._began_s = time.monotonic()
        self._loading = True
        self.is_building = False
        self._unwanted = threading.Event()
        self._thread = threading.Thread(target=self._live, name=f"lane-{number}", daemon=True)

    @property
    def name(self) -> str:
        """Name of its model."""
        return self._spec.name

    @property
    def loading(self) -> tuple[str, float] | None:
        """How far its load is, and for how many seconds it has been going on; None when it serves."""
        return (self._stage, time.monotonic() - self._began_s) if self._loading else None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def enter(self, stage: str) -> None:
        """Note how far the load is."""
        self._stage = stage

    def leave(self) -> None:
        """Give up what has not begun: nobody waits for it any more."""
        self._unwanted.set()

    def _live(self) -> None:
        why = ""
        try:
            with self._house.models.joined(model_key(self._spec)) as shared:
                self._load_and_serve(shared)
        except OSError:
            why = ""  # the front end has closed the socket
        except Exception as error:  # noqa: BLE001 - the edge of this lane: the others must not go with it
            why = f"{type(error).__name__}: {error}"
        finally:
            self._loading = False
            self.channel.close()
            for page in self._pages:
                page.close()
            self._house.say({"t": "ended", "n": self.number, "why": why})

    def _load_and_serve(self, shared: SharedModel) -> None:
        own: list[OpenedModel] = []
        try:
            try:
                model = self._load(shared, own)
            except (GatewayError, MemoryError) as error:
                self._refuse(error)
                return
            if model is not None:
                self._loading = False
                line = Line(self.channel, self._pages, None, 0)
                serve(line, (model, self._house.confined), read_message)
        finally:
            for opened in own:
                close_opened(opened)

    def _load(self, shared: SharedModel, own: list[OpenedModel]) -> LoadedModel | None:
        """Load the model, or join those who have it; None if nobody wants it any more."""
        if (opened := shared.get()) is not None:
            return self._ask_and(lambda spec: self._bind(spec, opened))
        while not self._house.turn.acquire(timeout=_TURN_LOOK_S):
            if shared.get() is not None:
                return self._load(shared, own)
            if self._unwanted.is_set():
                return None
        try:
            self.is_building = True
            return self._ask_and(lambda spec: self._build(spec, shared, own))
        finally:
            self.is_building = False
            self._house.turn.release()

    def _ask_and(self, load: Callable[[LoadSpec], LoadedModel]) -> LoadedModel | None:
        """Tell that it may begin, learn the pipelines, load."""
        self._began_s = time.monotonic()
        self._house.say({"t": "turn", "n": self.number})
        message = None if self._unwanted.is_set() else read_message(self.channel)
        if message is None:
            return None
        head, _ = message
        spec = LoadSpec.from_json(head["spec"])
        return politely(lambda: load(spec), head["politeness"], threads=spec.options.threads)

    def _build(self, spec: LoadSpec, shared: SharedModel, own: list[OpenedModel]) -> LoadedModel:
        if (opened := shared.get()) is not None:  # loaded by another while we waited for our turn
            return self._bind(spec, opened)
        opened = open_folder((spec.name, spec.folder, spec.file), spec.engine, spec.options, self.enter)
        own.append(opened)
        model = self._bind(spec, opened)
        if shared.keep(opened):
            own.clear()
        return model

    def _bind(self, spec: LoadSpec, opened: OpenedModel) -> LoadedModel:
        model = LoadedModel(spec, replace(opened, engine=WatchedEngine(opened.engine, self._fell)))
        model.set_pipelines(spec.pipelines)
        self.enter("warm_up")
        model.warm_up()
        return model

    def _refuse(self, error: GatewayError | MemoryError) -> None:
        if not isinstance(error, GatewayError):
            error = OutOfMemory(f"model {self.name}: no memory to load it")
        said = {"t": "failed", "of": "ready", "label": error.label, "message": error.message}
        self.channel.sendall(encode(said))
        if is_sticky(error.message):
            self._house.fall(self.number, error.message)

    def _fell(self, error: EngineFailed) -> None:
        """End the process; a lane that loads says first what came of it, a batch is left to its fate."""
        if self._loading:
            self._refuse(error)
        self._house.fall(self.number, error.message)
