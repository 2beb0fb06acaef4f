"""A server of the protocol over gRPC: ``grpc://HOST:PORT``, ``grpcs://`` with TLS, ``grpc+unix:/PATH``."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import grpc

from gateway.cli.remote.http import Credentials
from gateway.cli.remote.server import RemoteCall, RemoteModel, refusal_of_code
from gateway.errors import DeadlineExceeded, GatewayError, Malformed, NotReady, RequestRefused
from gateway.serving.call import InferReply, OutputTensor
from gateway.serving.datatypes import check_bytes, datatype_named, element_count
from gateway.serving.model_view import TensorView
from gateway.serving.rpc import protocol
from gateway.serving.rpc.typed_contents import bytes_of

SCHEMES: Final = ("grpc://", "grpcs://", "grpc+unix:")
_OPTIONS: Final = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),
)
# A server may answer at its own deadline, which is ours.
_GRACE_S: Final = 0.5
_MICROSECONDS: Final = 1e6


class GrpcServer:
    """One server; a context manager.

    Args:
        url: Its address.
        timeout_s: Longest wait for an answer.
        credentials: For ``grpcs``, and for doors that ask for a token.

    Raises:
        RequestRefused: The URL is not one, or the CA file cannot be read.
    """

    def __init__(self, url: str, timeout_s: float, credentials: Credentials) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._metadata = (("authorization", f"Bearer {credentials.token}"),) if credentials.token else ()
        self._channel = _channel(url, credentials)

    def __enter__(self) -> GrpcServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    @cached_property
    def extensions(self) -> frozenset[str]:
        """Names of the protocol's extensions that the server speaks."""
        return frozenset(self._ask("ServerMetadata", self._timeout_s).extensions)

    def model(self, name: str, version: str) -> RemoteModel:
        """Return what a model is; see ``Server``."""
        said = self._ask("ModelMetadata", self._timeout_s, name=name, version=version)
        return RemoteModel(
            said.name, tuple(said.versions), tuple(map(_view, said.inputs)), tuple(map(_view, said.outputs))
        )

    def infer(self, call: RemoteCall) -> InferReply:
        """Return a model's answer; see ``Server``."""
        outputs = [
            {
                "name": each.name,
                "parameters": {"classification": {"int64_param": each.classes}} if each.classes else {},
            }
            for each in call.outputs
        ]
        said = self._ask(
            "ModelInfer",
            call.timeout_s + _GRACE_S,
            model_name=call.model,
            model_version=call.version,
            parameters={"timeout": {"int64_param": int(call.timeout_s * _MICROSECONDS)}},
            inputs=[
                {"name": each.name, "datatype": each.datatype, "shape": each.shape} for each in call.inputs
            ],
            outputs=outputs,
            raw_input_contents=[bytes(each.data) for each in call.inputs],
        )
        return _reply(said)

    def _ask(self, name: str, timeout_s: float, /, **fields: Any) -> Any:
        request, response = protocol.methods(protocol.INFERENCE)[name]
        method = self._channel.unary_unary(
            f"/{protocol.INFERENCE}/{name}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )
        try:
            return method(request(**fields), timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._refusal(error) from None

    def _refusal(self, error: Any) -> GatewayError:
        code, words = error.code().name, error.details() or "nothing more"
        if code == "UNAVAILABLE" and not error.trailing_metadata():
            return NotReady(f"nobody answers at {self._url[:200]}: {words}")
        if code == "DEADLINE_EXCEEDED" and not error.trailing_metadata():
            return DeadlineExceeded(f"{self._url[:200]} did not answer within {self._timeout_s:g} s")
        return refusal_of_code(code, words)


def _reply(said: Any) -> InferReply:
    outputs = []
    raw = list(said.raw_output_contents)
    if raw and len(raw) != len(said.outputs):
        raise Malformed(f"the server's answer has {len(said.outputs)} outputs and bytes for {len(raw)}")
    for at, each in enumerate(said.outputs):
        shape = tuple(each.shape)
        try:
            datatype = datatype_named(each.datatype, each.name)
            count = element_count(shape, each.name)
            data = raw[at] if raw else bytes_of(each.contents, datatype, count, each.name)
            check_bytes(datatype, shape, data, each.name)
        except GatewayError as error:
            raise Malformed(f"the server's answer: {error.message}") from None
        outputs.append(OutputTensor(each.name, each.datatype, shape, data))
    parameters = {
        name: getattr(value, value.WhichOneof("parameter_choice"))
        for name, value in said.parameters.items()
        if value.WhichOneof("parameter_choice")
    }
    return InferReply(said.model_name, said.model_version, said.id, tuple(outputs), parameters)


def _view(said: Any) -> TensorView:
    return TensorView(said.name, said.datatype, tuple(said.shape))


def _channel(url: str, credentials: Credentials) -> Any:
    for scheme in SCHEMES:
        target = url.removeprefix(scheme).rstrip("/")
        if not url.startswith(scheme) or not target:
            continue
        if scheme == "grpc+unix:":
            return grpc.insecure_channel(f"unix:{target}", _OPTIONS)
        if scheme == "grpc://":
            return grpc.insecure_channel(target, _OPTIONS)
        return grpc.secure_channel(target, _secure(credentials.ca_file), _OPTIONS)
    raise RequestRefused(f"{url[:200]!r} is not of the form grpc://HOST:PORT")


def _secure(ca_file: str) -> Any:
    if not ca_file:
        return grpc.ssl_channel_credentials()
    try:
        return grpc.ssl_channel_credentials(Path(ca_file).read_bytes())
    except OSError as error:
        raise RequestRefused(f"{ca_file}: no CA certificates: {error.strerror or error}") from None
