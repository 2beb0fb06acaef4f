"""One ModelStreamInfer: requests run side by side, answers go out in the order of the requests.

In that order because Triton's streams keep it for models of one answer a request, and
clients rely on it: many send no ids. A request that fails is answered with words, and the
stream goes on. How much is under way is bounded: past that nothing is read, and gRPC's flow
control makes the client wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import Draining, GatewayBug, GatewayError
from gateway.operations.tracing import begin_within, current_span, enter_span
from gateway.serving.access.caller import INFER
from gateway.serving.door_count import CANCELLED, DONE
from gateway.serving.rpc.asking import LARGE_BYTES, Arrival, Asking, now_s, words_of_request
from gateway.serving.rpc.calls import COMPRESSION_KEY, Calls, Visit, compress, known
from gateway.serving.rpc.reading import RpcWords, id_of
from gateway.serving.rpc.statuses import words_of
from gateway.serving.rpc.writing import stream_error, stream_response

METHOD: Final = "ModelStreamInfer"
MOST_UNDER_WAY: Final = 64
_ERRORS_END_IT: Final = "triton_grpc_error"


@dataclass(frozen=True, slots=True)
class Room:
    """What one stream may have under way; it is read on while there is less.

    Attributes:
        requests: How many requests.
        bytes: Bytes that they came with.
    """

    requests: int
    bytes: int


def room_of(max_message_bytes: int, concurrent: int) -> Room:
    """Return the room of a stream.

    Args:
        max_message_bytes: Largest message.
        concurrent: Requests that one client may have under way; a stream waits before it takes them all.
    """
    return Room(max(1, min(MOST_UNDER_WAY, concurrent // 2)), 2 * max_message_bytes)


@dataclass(frozen=True, slots=True)
class _Due:
    """A request under way: who works on it, its bytes, and what ends once its answer is taken."""

    task: asyncio.Task[bytes | GatewayError]
    size: int
    taken: asyncio.Future[None]


class Stream:
    """One stream; ``run`` once."""

    def __init__(self, calls: Calls, asking: Asking, context: Any, room: Room) -> None:
        """Prepare.

        Args:
            calls: Lets requests in.
            asking: Answers them.
            context: gRPC's, of the stream.
            room: What it may have under way.
        """
        self._calls = calls
        self._asking = asking
        self._context = context
        self._most = room
        self._visit: Visit = calls.visit(context)
        self._span = current_span()
        self._errors_end_it = self._visit.word(_ERRORS_END_IT).lower() == "true"
        self._due: deque[_Due] = deque()
        self._due_bytes = 0
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._all_read = False
        self._retired = False
        self._reading: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Answer until the client has sent everything, or the stream is retired or cancelled.

        Raises:
            AccessRefused: The client may not infer.
            Malformed: It asks for a compression that is none.
            Draining: The stream was retired; what was read is answered.
            GatewayError: A request failed, and the client wants streams to end then.

        Cancel-safe: everything under way is cancelled.
        """
        # Asks once for the whole of it, so that a stranger's stream ends instead of failing bit by bit.
        self._calls.gate.admit(self._visit.peer, INFER, METHOD).close()
        if how := self._visit.word(COMPRESSION_KEY):
            await compress(self._context, how)
        self._reading = asyncio.ensure_future(self._read())
        try:
            await self._write()
            await asyncio.gather(self._reading, return_exceptions=self._retired)
        finally:
            for due in self._due:
                due.taken.cancel()
            ending = [self._reading, *(due.task for due in self._due)]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
        if self._retired:
            raise Draining("the gateway is stopping; open the stream anew")

    def retire(self) -> None:
        """Read no more; end once what was read is answered."""
        self._retired = True
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self) -> None:
        import grpc

        end: Any = vars(grpc.aio)["EOF"]
        context = self._context
        try:
            while (data := await context.read()) is not end:
                arrival = Arrival(now_s(), context.time_remaining(), on_stream=True)
                # Read here and in turn: requests of one sequence reach the model in their order.
                words: RpcWords | GatewayError
                try:
                    words = await words_of_request(data)
                except Exception as error:  # noqa: BLE001 - one request must not end the others
                    words = known(error, METHOD) or GatewayBug(str(error))
                request_id = words.id if isinstance(words, RpcWords) else id_of(data)
                taken = asyncio.get_running_loop().create_future()
                answering = asyncio.ensure_future(self._answer(words, request_id, arrival, taken))
                self._due.append(_Due(answering, len(data), taken))
                self._due_bytes += len(data)
                self._news.set()
                while len(self._due) >= self._most.requests or self._due_bytes > self._most.bytes:
                    self._room.clear()
                    await self._room.wait()
        finally:
            self._all_read = True
            self._news.set()

    async def _write(self) -> None:
        while True:
            while not self._due:
                if self._all_read:
                    return
                self._news.clear()
                await self._news.wait()
            answer = await self._due[0].task
            due = self._due.popleft()
            self._due_bytes -= due.size
            self._room.set()
            try:
                if isinstance(answer, GatewayError):
                    raise answer
                await self._context.write(answer)
            finally:
                due.taken.cancel()

    async def _answer(
        self, words: RpcWords | GatewayError, request_id: str, arrival: Arrival, taken: asyncio.Future[None]
    ) -> bytes | GatewayError:
        count = self._calls.count
        if self._span is not None:
            enter_span(begin_within(self._span))
        try:
            if isinstance(words, GatewayError):
                raise words
            admission = self._calls.gate.admit(self._visit.peer, INFER, METHOD, words.model)
            with admission as caller:
                reply, places = await self._asking.answer(words, caller, arrival)
                answer = stream_response(reply, places)
                if len(answer) >= LARGE_BYTES:
                    admission.outlast(taken)
        except asyncio.CancelledError:
            count.ended(METHOD, CANCELLED)
            raise
        except Exception as found:  # noqa: BLE001 - one request must not end the others
            error = known(found, METHOD) or GatewayBug(str(found))
            count.ended(METHOD, error.label)
            return error if self._errors_end_it else stream_error(words_of(error), request_id)
        count.ended(METHOD, DONE)
        return answer
