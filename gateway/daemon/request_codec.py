"""Bodies of requests over the broker: the same that the HTTP door takes and gives."""

from __future__ import annotations

from gateway.configuration.serving_settings import ServingSettings
from gateway.daemon.mqtt_requests import RequestFrame
from gateway.operations.tracing import current_parent
from gateway.serving.call import InferCall, InferReply
from gateway.serving.model_view import Models
from gateway.serving.rest.infer_call import Asked, Timing, to_call
from gateway.serving.rest.infer_request import read_raw, read_request
from gateway.serving.rest.infer_response import write_reply
from gateway.serving.rest.infer_words import InferWords


class RequestCodec:
    """Reads and writes bodies; there is no shared memory over the broker.

    Args:
        settings: Limits and times.
        models: Knows what a body without JSON must be.
    """

    def __init__(self, settings: ServingSettings, models: Models) -> None:
        self._max_depth = settings.max_json_depth
        self._timing = Timing(settings.timeout_s, settings.max_timeout_s, settings.priority)
        self._models = models

    def read(
        self, body: bytes, header_bytes: int | None, frame: RequestFrame
    ) -> tuple[InferCall, InferWords]:
        """Return the call, and the request's words.

        The call ends with its message's life, or after the time that the request names, whichever is
        sooner; the settings' time is for those that have neither.

        Raises:
            RequestRefused: The body is wrong, or a tensor lies in shared memory.
            NotReady: The body is one input's, and the model does not serve.
        """
        to = frame.address
        if header_bytes == 0:
            words = read_raw(body, self._models.view(to.model, to.version))
        else:
            words = read_request(body, header_bytes, self._max_depth)
        asked = Asked(to.model, to.version, frame.arrived_s, frame.caller, current_parent())
        call = to_call(words, asked, self._timing, None)
        if frame.expires_s is None:
            return call, words
        until_s = min(frame.expires_s, frame.arrived_s + self._timing.max_timeout_s)
        if words.timeout_us:
            until_s = min(until_s, call.deadline_s)
        return call._replace(deadline_s=until_s), words

    def write(self, reply: InferReply, asked: InferWords) -> tuple[bytes, int | None]:
        """Return the answer's body, and how many of its first bytes are JSON; None for all of them.

        Raises:
            NotSupported: An output cannot be said in JSON, or is wanted in shared memory.
        """
        written = write_reply(reply, asked, None)
        return written.body, written.json_bytes
