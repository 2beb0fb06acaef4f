"""What ``gateway infer --url`` knows of a server, and asks of it, whatever the wire. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from gateway.errors import (
    DeadlineExceeded,
    EngineFailed,
    Forbidden,
    GatewayError,
    NotReady,
    NotSupported,
    Overloaded,
    RateLimited,
    RequestRefused,
    TooLarge,
    Unauthenticated,
    UnknownMedia,
    UnknownModel,
)
from gateway.serving.call import InferReply, InputTensor, WantedOutput
from gateway.serving.model_view import TensorView

BINARY = "binary_tensor_data"
CLASSIFICATION = "classification"

_BY_STATUS: dict[int, type[GatewayError]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: UnknownModel,
    408: DeadlineExceeded,
    413: TooLarge,
    415: UnknownMedia,
    429: RateLimited,
    501: NotSupported,
    502: NotReady,
    503: NotReady,
    504: DeadlineExceeded,
}
_BY_CODE: dict[str, type[GatewayError]] = {
    "UNAUTHENTICATED": Unauthenticated,
    "PERMISSION_DENIED": Forbidden,
    "NOT_FOUND": UnknownModel,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "RESOURCE_EXHAUSTED": Overloaded,
    "UNIMPLEMENTED": NotSupported,
    "UNAVAILABLE": NotReady,
    "INVALID_ARGUMENT": RequestRefused,
    "FAILED_PRECONDITION": RequestRefused,
    "OUT_OF_RANGE": RequestRefused,
    "ALREADY_EXISTS": RequestRefused,
}


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """A model as its server describes it.

    Attributes:
        name: Its name.
        versions: Those that serve; empty where the server does not say.
        inputs: What it takes; ``-1`` stands for an axis of any size.
        outputs: What it gives.
    """

    name: str
    versions: tuple[str, ...]
    inputs: tuple[TensorView, ...]
    outputs: tuple[TensorView, ...]


@dataclass(frozen=True, slots=True)
class RemoteCall:
    """What is asked of a model.

    Attributes:
        model: Its name.
        version: Which version; empty for the server's choice.
        inputs: One tensor for each input.
        outputs: What is wanted; empty for everything.
        timeout_s: How long the answer is worth waiting for.
    """

    model: str
    version: str
    inputs: tuple[InputTensor, ...]
    outputs: tuple[WantedOutput, ...]
    timeout_s: float


class Server(Protocol):
    """A server of the Open Inference Protocol; a context manager.

    Every method raises ``NotReady`` where nobody answers, ``DeadlineExceeded`` where nobody does in time,
    ``Malformed`` for an answer that is not the protocol's, and the error that a server's own word means.
    """

    @property
    def extensions(self) -> frozenset[str]:
        """Names of the protocol's extensions that it speaks."""
        ...

    def model(self, name: str, version: str) -> RemoteModel:
        """Return what a model is."""
        ...

    def infer(self, call: RemoteCall) -> InferReply:
        """Return its answer."""
        ...

    def __enter__(self) -> Server: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def refusal_of_status(status: int, words: str) -> GatewayError:
    """Return what an HTTP status other than 200 means, in the server's own words."""
    kind = _BY_STATUS.get(status, EngineFailed if status >= 500 else RequestRefused)
    return kind(f"the server says {status}: {words}")


def refusal_of_code(code: str, words: str) -> GatewayError:
    """Return what a gRPC status other than OK means, in the server's own words."""
    return _BY_CODE.get(code, EngineFailed)(f"the server says {code}: {words}")
