"""``gateway infer``: one file through a model and a pipeline without a broker; or files through a server."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli.exit_codes import ExitCode
from gateway.cli.quiet import quiet_runtimes
from gateway.cli.remote.options import add_server_arguments
from gateway.demo.words import in_words, printable
from gateway.errors import RequestRefused, TooLarge, UnknownModel
from gateway.frames.declaration import Declaration
from gateway.model import CARD_FILE

if TYPE_CHECKING:
    from gateway.inference.loaded import Answer, LoadedModel, LoadSpec  # NumPy: not for --help

# The card's own steps, where no configuration gives pipelines.
CARD_PIPELINE = "card"
TIMEOUT_S = 60.0
_MOST_LETTERS = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="folder of a model, with -c its name under models:, with --url its name there",
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="+",
        help="payload as a sensor would send it, - for standard input; with --url [NAME=]FILE for each input",
    )
    parser.add_argument("-c", "--config", metavar="FILE", help="configuration that names the model")
    parser.add_argument("-p", "--pipeline", metavar="NAME", help="pipeline of the configuration to take")
    parser.add_argument("--media", default="", help="media type of the file; detected if not given")
    parser.add_argument("--dtype", default="", help="element type of raw tensors and PCM sound")
    parser.add_argument("--shape", type=_shape, default=(), metavar="N,N", help="shape of a raw tensor")
    parser.add_argument("--rate", type=float, default=0.0, metavar="HZ", help="samples a second")
    parser.add_argument(
        "--timeout", type=float, default=TIMEOUT_S, metavar="S", help="longest wait for the answer"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_server_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Load the model, answer the file, print the answer; or have a server do it.

    Raises:
        GatewayError: The configuration, the model, the server or the file is at fault, or it took too long.
    """
    if options.url is not None:
        from gateway.cli.remote import command

        return command.run(options)
    if len(options.file) > 1:
        raise RequestRefused("one file at a time, except with --url")
    return _run_here(options, options.file[0])


def _run_here(options: argparse.Namespace, file: str) -> int:
    from gateway.inference.api import infer_with_timeout
    from gateway.inference.loaded import LoadedModel, Member

    spec, pipeline = _choose(options)
    payload = _payload(file, spec.limits.max_bytes)
    with quiet_runtimes():
        model = LoadedModel.load(spec)
        model.warm_up()
    member = Member(pipeline, memoryview(payload), _declaration(options, file, model), b"", float("inf"))
    answer = infer_with_timeout(model, [member], options.timeout)[0]
    if answer.error is not None:
        raise answer.error
    if options.json:
        print(json.dumps(_document(model, pipeline, answer)))
    else:
        print("\n".join(_lines(model, answer)))
    return ExitCode.OK


def _choose(options: argparse.Namespace) -> tuple[LoadSpec, str]:
    """Return what to load and which pipeline to run."""
    from gateway.inference.loaded import LoadSpec, PipelineSpec

    if options.config is not None:
        return _configured(options)
    if options.pipeline is not None:
        raise RequestRefused("--pipeline names a pipeline of a configuration: say which with -c")
    folder = Path(options.model)
    if not (folder / CARD_FILE).is_file():
        raise UnknownModel(
            f"{folder} is no folder with a {CARD_FILE}; for a model of a configuration add -c FILE"
        )
    name = folder.resolve().name
    return LoadSpec(name, str(folder), pipelines=(PipelineSpec(CARD_PIPELINE),)), CARD_PIPELINE


def _configured(options: argparse.Namespace) -> tuple[LoadSpec, str]:
    from dataclasses import replace

    from gateway.configuration.load import inspect
    from gateway.daemon.model_plan import load_spec
    from gateway.inference.loaded import PipelineSpec

    settings = inspect(options.config, os.environ).settings
    if options.model not in settings.models:
        raise UnknownModel(
            f"no model {options.model!r} under models:; known: {', '.join(settings.models) or 'none'}"
        )
    spec = load_spec(options.model, settings)
    names = [each.name for each in spec.pipelines]
    if options.pipeline is None and not names:
        return replace(spec, pipelines=(PipelineSpec(CARD_PIPELINE),)), CARD_PIPELINE
    wanted = options.pipeline or names[0]
    if wanted not in names:
        raise UnknownModel(
            f"model {options.model} has no pipeline {wanted!r}; known: {', '.join(names) or 'none'}"
        )
    chosen = tuple(each for each in spec.pipelines if each.name == wanted)
    return replace(spec, pipelines=chosen), wanted


def _payload(file: str, most_bytes: int) -> bytes:
    try:
        if file == "-":
            data = sys.stdin.buffer.read(most_bytes + 1)
        else:
            with Path(file).open("rb") as stream:
                data = stream.read(most_bytes + 1)
    except OSError as error:
        raise RequestRefused(f"{file}: {error.strerror or error}") from error
    if len(data) > most_bytes:
        raise TooLarge(f"{file}: more than {most_bytes} bytes")
    return data


def _declaration(options: argparse.Namespace, file: str, model: LoadedModel) -> Declaration:
    """Return what the options declare; a card's golden sample declares itself."""
    given = Declaration(media=options.media, dtype=options.dtype, shape=options.shape, rate_hz=options.rate)
    if given != Declaration():
        return given
    from gateway.inference.golden_run import declaration_of

    for sample in model.folder.card.golden:
        if file != "-" and Path(file).resolve() == (model.folder.folder / sample.file).resolve():
            return declaration_of(sample)
    return given


def _document(model: LoadedModel, pipeline: str, answer: Answer) -> Mapping[str, Any]:
    return {
        "model": asdict(model.version),
        "pipeline": pipeline,
        "prediction": answer.prediction,
        "rows": answer.rows,
        "latency_ms": {stage: round(took, 3) for stage, took in answer.timings_ms.items()},
    }


def _lines(model: LoadedModel, answer: Answer) -> Iterator[str]:
    version = model.version
    yield f"{version.name} {version.version}, {version.engine}"
    prediction = answer.prediction
    if prediction is None:
        yield "nothing to say yet: the file is shorter than one window of the model"
    else:
        entries = prediction.get("classes") or prediction.get("objects")
        if isinstance(entries, list):
            yield from (f"  {_entry(entry)}" for entry in entries)
        else:
            yield f"  {in_words(prediction)}"
            yield from (f"  {key}: {_short(value)}" for key, value in prediction.items() if key != "kind")
    yield ", ".join(f"{stage} {took:.1f} ms" for stage, took in answer.timings_ms.items())


def _entry(entry: Any) -> str:
    label = printable(str(entry.get("label", entry.get("index"))))
    box = entry.get("box")
    place = f"  at {', '.join(f'{float(edge):.3f}' for edge in box)}" if isinstance(box, list) else ""
    return f"{float(entry['score']):.3f}  {label}{place}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _MOST_LETTERS else text[:_MOST_LETTERS] + " ..."


def _shape(text: str) -> tuple[int, ...]:
    return tuple(int(size) for size in text.split(","))
