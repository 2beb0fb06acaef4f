"""``gateway models describe FILE``: the card that a file gives by itself, with what is missing marked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from gateway.cli.exit_codes import ExitCode
from gateway.errors import LoadFailed
from gateway.inference.card_text import card_text
from gateway.inference.made_card import LABELS_FILE, MadeCard, card_of_file
from gateway.model import CARD_FILE

WORD: Final = "describe"
_LIMIT_S: Final = 120


def describe(files: Sequence[str], *, as_json: bool, into: str = "") -> int:
    """Print a card for a model file, to be completed and saved beside it.

    Args:
        files: One model file.
        as_json: Print one JSON object instead: card, missing, labels, notes.
        into: Folder that gets card and labels instead; empty to print.

    Raises:
        LoadFailed: It is not one file, is no model, or the folder has a card already.
    """
    if len(files) != 1:
        raise LoadFailed(f"{WORD} takes one model file, such as: gateway models {WORD} model.onnx")
    path = Path(files[0])
    made = _with_found_sizes(path, card_of_file(path))
    if as_json:
        told = {
            "card": asdict(made.card),
            "missing": made.missing,
            "labels": made.labels,
            "notes": made.notes,
        }
        print(json.dumps(told))
    elif into:
        _write(made, Path(into))
    else:
        sys.stdout.write(_text(path, made))
    return ExitCode.OK


def _with_found_sizes(path: Path, made: MadeCard) -> MadeCard:
    """Return a card that holds without leniency: with the sizes that a runtime finds, if one does.

    A file can end the process that loads it, so another one does.
    """
    command = [sys.executable, "-m", "gateway", "models", "--tensors", str(path.absolute()), "--json"]
    try:
        asked = subprocess.run(command, capture_output=True, timeout=_LIMIT_S, check=False)
        found = json.loads(asked.stdout)
        shapes = {each["name"]: tuple(each["shape"]) for each in (*found["inputs"], *found["outputs"])}
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
        return replace(made, notes=(*made.notes, "no runtime here could load the file and confirm the sizes"))
    inputs, outputs = (
        tuple(replace(each, shape=shapes.get(each.name, each.shape)) for each in tensors)
        for tensors in (made.card.inputs, made.card.outputs)
    )
    return replace(made, card=replace(made.card, inputs=inputs, outputs=outputs, made=False))


def _text(path: Path, made: MadeCard) -> str:
    head = [
        f"# Made of {path.name} alone. Save it as {CARD_FILE} beside the file, in a folder of its own,",
        "# and add what is MISSING; the model serves without, tensors in and tensors out.",
    ]
    if made.labels:
        few = ", ".join(made.labels[:3])
        head.append(f"# {len(made.labels)} labels stand in the file ({few} ...).")
        head.append(f"# Write them beside the card as {LABELS_FILE}; --into FOLDER does both.")
    return "\n".join(head) + "\n" + card_text(made.card, made.notes)


def _write(made: MadeCard, folder: Path) -> None:
    """Write card and labels where neither is yet.

    Raises:
        LoadFailed: One is there already, or the folder cannot be written.
    """
    try:
        if made.labels:
            with (folder / LABELS_FILE).open("x", encoding="utf-8") as file:
                file.writelines(f"{label}\n" for label in made.labels)
        with (folder / CARD_FILE).open("x", encoding="utf-8") as file:
            file.write(card_text(made.card, made.notes))
    except OSError as error:
        raise LoadFailed(f"{error.filename}: {error.strerror}") from error
