"""Asks models: infer, in JSON and binary, and generate, in JSON alone."""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.errors import Forbidden, RequestRefused, UnknownMedia
from gateway.operations.tracing import current_parent
from gateway.serving.call import InferReply
from gateway.serving.model_view import Models
from gateway.serving.regions import Regions
from gateway.serving.rest.exchange import BINARY, EVENTS, JSON, Ask, Reply
from gateway.serving.rest.generate import generate_words, generated
from gateway.serving.rest.infer_call import Asked, Timing, places_of, to_call
from gateway.serving.rest.infer_request import header_length, read_raw, read_request
from gateway.serving.rest.infer_response import write_reply
from gateway.serving.rest.infer_words import InferWords
from gateway.serving.rest.json_reading import read_object
from gateway.serving.rest.json_writing import write_json

# Reading or writing so much JSON takes a millisecond or more.
_LONG_BYTES: Final = 262_144
_LENGTH: Final = b"inference-header-content-length"
_TAKEN: Final = frozenset(
    {
        "",
        "application/json",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "text/json",
        "text/plain",
    }
)


class InferPage:
    """Handles ``infer``, ``generate`` and ``generate_stream``."""

    def __init__(self, models: Models, regions: Regions | None, timing: Timing, max_depth: int) -> None:
        """Prepare.

        Args:
            models: Answers.
            regions: Shared memory of programs of this machine; None for none.
            timing: How long requests may take.
            max_depth: Deepest nesting of JSON.
        """
        self._models = models
        self._regions = regions
        self._timing = timing
        self._max_depth = max_depth

    async def infer(self, ask: Ask) -> Reply:
        """Answer a request for an inference.

        Raises:
            GatewayError: As ``Models.infer``, or the request is refused before.

        Cancel-safe.
        """
        try:
            words = await asyncio.to_thread(self._words, ask) if _is_long(ask) else self._words(ask)
        except RequestRefused:
            # What is wrong with a request matters less than that nobody could have answered it.
            self._models.is_ready(ask.model, ask.version)
            raise
        if words.uses_regions and not ask.caller.is_local:
            raise Forbidden("shared memory is for programs of this machine")
        places = places_of(words, self._regions)
        reply = await self._ask(words, ask)
        if not places and _is_much(reply, words):
            written = await asyncio.to_thread(write_reply, reply, words)
        else:
            written = write_reply(reply, words, places)
        if written.json_bytes is None:
            return Reply(200, written.body, JSON)
        return Reply(200, written.body, BINARY, ((_LENGTH, str(written.json_bytes).encode()),))

    async def generate(self, ask: Ask) -> Reply:
        """Answer a request of plain names and values in kind.

        Raises:
            GatewayError: As ``infer``.

        Cancel-safe.
        """
        return Reply(200, await self._generated(ask), JSON)

    async def generate_stream(self, ask: Ask) -> Reply:
        """Answer it as server-sent events: one, as every model here gives one answer.

        Raises:
            GatewayError: As ``infer``.

        Cancel-safe.
        """
        event = b"data: " + await self._generated(ask) + b"\n\n"
        return Reply(200, event, EVENTS, ((b"cache-control", b"no-cache"),))

    async def _generated(self, ask: Ask) -> bytes:
        view = self._models.view(ask.model, ask.version)

        def read() -> InferWords:
            return generate_words(read_object(ask.body, self._max_depth), view)

        reply = await self._ask(await asyncio.to_thread(read) if _is_long(ask) else read(), ask)
        if _is_much(reply):
            return await asyncio.to_thread(lambda: write_json(generated(reply)))
        return write_json(generated(reply))

    def _words(self, ask: Ask) -> InferWords:
        length = ask.headers.get(_LENGTH)
        json_bytes = None if length is None else header_length(length.decode("latin-1"))
        if json_bytes == 0:
            return read_raw(ask.body, self._models.view(ask.model, ask.version))
        return read_request(ask.body, json_bytes, self._max_depth)

    async def _ask(self, words: InferWords, ask: Ask) -> InferReply:
        asked = Asked(ask.model, ask.version, ask.arrived_s, ask.caller.name, current_parent())
        return await self._models.infer(to_call(words, asked, self._timing, self._regions))


def _is_long(ask: Ask) -> bool:
    """Return whether reading the JSON of a request takes so long that others must be answered meanwhile."""
    if len(ask.body) < _LONG_BYTES:
        return False
    length = ask.headers.get(_LENGTH, b"")
    return not length.isdigit() or len(length) > len(str(_LONG_BYTES)) or int(length) >= _LONG_BYTES


def _is_much(reply: InferReply, words: InferWords | None = None) -> bool:
    """Return whether writing an answer in JSON does; what is sent in binary is only put together."""
    if words is not None:
        wanted = words.outputs
        if words.binary_outputs or (wanted and all(each.binary for each in wanted)):
            return False
    return sum(len(each.data) for each in reply.outputs) >= _LONG_BYTES


def check_content_type(header: bytes) -> None:
    """Refuse a body that says that it is neither JSON nor bytes.

    Forms and plain text are read as JSON: it is what ``curl --data`` says of everything.

    Raises:
        UnknownMedia: It does.
    """
    kind = header.decode("latin-1").partition(";")[0].strip().lower()
    if kind not in _TAKEN and not (kind.startswith("application/") and kind.endswith("+json")):
        raise UnknownMedia(f"content-type {kind[:60]!a} is not taken: send application/json")
