"""``gateway infer --url``: files through a model of any server of the Open Inference Protocol."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

from gateway.cli.exit_codes import ExitCode
from gateway.cli.remote.http import Credentials, HttpServer
from gateway.cli.remote.inputs import chosen, read_file, tensor_for
from gateway.cli.remote.server import CLASSIFICATION, RemoteCall, RemoteModel, Server
from gateway.cli.remote.words import best_classes, document, lines
from gateway.errors import RequestRefused
from gateway.serving.call import InferReply, WantedOutput


def run(options: argparse.Namespace) -> int:
    """Ask, and print the answer.

    Raises:
        GatewayError: A file or the server is at fault, nobody is there, or it took too long.
    """
    if options.classes < 0:
        raise RequestRefused("--classes needs a number above 0")
    with _server(options) as server:
        model = server.model(options.model, options.model_version)
        call = _call(options, model)
        shown = call
        if options.classes and CLASSIFICATION in server.extensions:
            wanted = tuple(WantedOutput(output.name, options.classes) for output in model.outputs)
            shown = replace(call, outputs=wanted)
        began_s = time.monotonic()
        reply = server.infer(shown)
        took_ms = (time.monotonic() - began_s) * 1e3
    if options.classes and shown is call:
        reply = reply._replace(outputs=tuple(best_classes(each, options.classes) for each in reply.outputs))
    _print(options, _named(reply, options.model), took_ms)
    return ExitCode.OK


def _call(options: argparse.Namespace, model: RemoteModel) -> RemoteCall:
    files = chosen(options.file, model.inputs)
    inputs = tuple(
        tensor_for(view, read_file(files[view.name]), options.scaling)
        for view in model.inputs
        if view.name in files
    )
    return RemoteCall(options.model, options.model_version, inputs, (), options.timeout)


def _server(options: argparse.Namespace) -> Server:
    credentials = Credentials(_token(options.token_file), options.ca)
    if options.url.startswith(("grpc://", "grpcs://", "grpc+unix:")):
        from gateway.cli.remote.grpc import GrpcServer

        return GrpcServer(options.url, options.timeout, credentials)
    return HttpServer(options.url, options.timeout, credentials)


def _token(file: str | None) -> str:
    if file is None:
        return ""
    try:
        token = Path(file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise RequestRefused(f"{file}: no token can be read: {error}") from None
    if not token or not token.isprintable() or " " in token:
        raise RequestRefused(f"{file}: holds no token")
    return token


def _named(reply: InferReply, model: str) -> InferReply:
    return reply if reply.model else reply._replace(model=model)


def _print(options: argparse.Namespace, reply: InferReply, took_ms: float) -> None:
    if options.json:
        print(json.dumps(document(reply, took_ms), allow_nan=False))
    else:
        print("\n".join(lines(reply, took_ms)))
