"""``gateway models``: model folders, what is in them, and what a running gateway makes of them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gateway.cli.client import fetch_status, status_url
from gateway.cli.describe import WORD, describe
from gateway.cli.exit_codes import ExitCode
from gateway.cli.quiet import quiet_runtimes
from gateway.cli.release_table import release_lines
from gateway.cli.settings_file import add_config_argument, client_settings
from gateway.configuration.settings import Settings
from gateway.demo.words import printable
from gateway.errors import GatewayError, LoadFailed
from gateway.model import CARD_FILE

_TITLES = ("MODEL", "VERSION", "FORMAT", "SIZE", "INPUTS", "STATE", "ENGINE", "SUMMARY")
_HERE = "models"
_FORMATS = {".tflite": "tflite", ".onnx": "onnx"}


@dataclass(frozen=True, slots=True)
class Listed:
    """One model folder.

    Attributes:
        name: Name under ``models:``, or of the folder.
        folder: Path of the folder.
        card: The card as plain values; empty if it cannot be read.
        size_bytes: Size of the model file.
        error: Why the folder cannot be used; empty if nothing is known against it.
        serving: What a running gateway says of it; empty if none does.
    """

    name: str
    folder: str
    card: Mapping[str, Any]
    size_bytes: int
    error: str
    serving: Mapping[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "folders",
        nargs="*",
        metavar="FOLDER",
        help="model folders; those of the configuration, else ./models/*; or: describe FILE",
    )
    add_config_argument(parser)
    parser.add_argument(
        "--url", help="where the gateway answers, instead of http.listen of its configuration"
    )
    parser.add_argument(
        "--tensors", metavar="FILE", help="print the tensors of a model file as a card states them"
    )
    parser.add_argument(
        "--into", metavar="FOLDER", default="", help="describe: write card and labels there instead"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Print the table, a file's tensors, or the card that a file gives by itself.

    Returns:
        1 if a folder cannot be used.

    Raises:
        ConfigError: The configuration cannot be read.
        LoadFailed: ``--tensors``, ``describe``: the file cannot be loaded.
    """
    if options.tensors is not None:
        return _print_tensors(Path(options.tensors), as_json=options.json)
    if options.folders[:1] == [WORD]:
        return describe(options.folders[1:], as_json=options.json, into=options.into)
    settings = client_settings(options.config, needs_secrets=False)
    status = _status(options.url, settings)
    models = _models(status)
    serving = {str(each.get("name")): each for each in models}
    listed = [
        look(name, folder, serving.get(name, {})) for name, folder in _places(options.folders, settings)
    ]
    if options.json:
        updates = status.get("updates", {})
        print(json.dumps({"models": [asdict(each) for each in listed], "updates": updates}))
    else:
        print("\n".join(table(listed)) if listed else "no models")
        for line in release_lines(models, status.get("updates") or {}):
            print(line)
    return ExitCode.FAILURE if any(each.error for each in listed) else ExitCode.OK


def look(name: str, folder: Path, serving: Mapping[str, Any]) -> Listed:
    """Read a folder's card and compare the file's digest with it; the model is not loaded."""
    from gateway.inference.card import check_digest, file_digest, read_folder

    try:
        model = read_folder(folder)
        size_bytes = model.file.stat().st_size
        check_digest(model, file_digest(model.file))
    except (GatewayError, OSError) as error:
        return Listed(name, str(folder), {}, 0, str(error), serving)
    return Listed(name, str(folder), asdict(model.card), size_bytes, "", serving)


def table(listed: Sequence[Listed]) -> list[str]:
    """Return a head and one line a model, columns aligned."""
    rows = [_TITLES, *(_row(each) for each in listed)]
    widths = [max(len(row[index]) for row in rows) for index in range(len(_TITLES))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _row(listed: Listed) -> tuple[str, ...]:
    state, engine = (printable(str(listed.serving.get(key) or "-")) for key in ("state", "engine"))
    if listed.error:
        return (listed.name, "-", "-", "-", "-", state, engine, printable(listed.error))
    card = listed.card
    inputs = " ".join(f"{each['dtype']}[{','.join(map(str, each['shape']))}]" for each in card["inputs"])
    size = f"{listed.size_bytes / 1e6:.2f} MB"
    return (
        listed.name,
        card["version"],
        card["format"],
        size,
        inputs,
        state,
        engine,
        printable(card["summary"]),
    )


def _places(folders: Sequence[str], settings: Settings) -> Iterator[tuple[str, Path]]:
    if folders:
        yield from ((Path(folder).resolve().name, Path(folder)) for folder in folders)
    elif settings.models:
        yield from ((name, Path(model.path)) for name, model in settings.models.items())
    else:
        yield from ((card.parent.name, card.parent) for card in sorted(Path(_HERE).glob(f"*/{CARD_FILE}")))


def _status(url: str | None, settings: Settings) -> Mapping[str, Any]:
    """Return what a running gateway says; nothing if none runs and none was named."""
    try:
        return fetch_status(url or status_url(settings.http.listen))
    except GatewayError:
        if url is not None:
            raise
        return {}


def _models(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    models = status.get("models")
    return [each for each in models if isinstance(each, Mapping)] if isinstance(models, list) else []


def _print_tensors(file: Path, *, as_json: bool) -> int:
    from gateway.inference.engines.engine import EngineOptions
    from gateway.inference.engines.select import AUTO, open_engine
    from gateway.tensor import TensorSpec

    if file.suffix not in _FORMATS:
        raise LoadFailed(f"{file}: neither {' nor '.join(_FORMATS)}")
    with quiet_runtimes():
        engine = open_engine(file, _FORMATS[file.suffix], AUTO, EngineOptions())

    def stated(spec: TensorSpec) -> dict[str, Any]:
        plain = {
            "name": spec.name,
            "dtype": spec.dtype,
            "shape": [-1 if s is None else s for s in spec.shape],
        }
        held = spec.quantization
        return plain if held is None else {**plain, "scale": held.scale, "zero_point": held.zero_point}

    found = {"inputs": [stated(s) for s in engine.inputs], "outputs": [stated(s) for s in engine.outputs]}
    if as_json:
        print(json.dumps(found))
    else:
        for key, tensors in found.items():
            print(f"{key}:")
            for tensor in tensors:
                print(f"  - {json.dumps(tensor)}")  # JSON is YAML
    return ExitCode.OK
