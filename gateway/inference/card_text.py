"""A card as YAML text that the card's reader takes back unchanged, with what is missing marked. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

from gateway.model import CardTensor, ModelCard

# What a person must know: a card made of the file alone cannot.
UNKNOWN_LICENCE: Final = "unknown"
_MISSING: Final = {
    "licence": ("the SPDX name of the model's licence, such as Apache-2.0",),
    "preprocess": (
        "steps from a payload to the inputs; without them it takes tensors alone, such as:",
        "preprocess:",
        "  - resize: {fit: letterbox}",
        "  - normalise: {mean: 127.5, std: 127.5}",
    ),
    "postprocess": (
        "steps from the outputs to a prediction; without them it gives tensors alone, such as:",
        "postprocess:",
        "  - classify: {top_k: 5}",
    ),
    "labels": ("a text file beside the card with one label a line, in class order:", "labels: labels.txt"),
    "golden": (
        "payloads with known answers; without them nobody notices a model that loads and answers wrongly:",
        "golden:",
        "  - file: golden/one.jpg",
        "    media: image/jpeg",
        "    expect: {top: [cat]}",
    ),
}


def missing_on(card: ModelCard) -> tuple[str, ...]:
    """Return the keys that a person should add to a card that was made of a file alone."""
    held = {
        "licence": card.licence != UNKNOWN_LICENCE,
        "preprocess": bool(card.preprocess),
        "postprocess": bool(card.postprocess),
        "labels": bool(card.labels),
        "golden": bool(card.golden),
    }
    return tuple(key for key, there in held.items() if not there)


def card_text(card: ModelCard, notes: Sequence[str] = ()) -> str:
    """Return the YAML of a card without twins, states and steps: of one that was made of a file.

    Args:
        card: The card.
        notes: What else the file says, for whoever completes the card; written as remarks.
    """
    return "\n".join(_lines(card, notes)) + "\n"


def _lines(card: ModelCard, notes: Sequence[str]) -> Iterator[str]:
    missing = missing_on(card)
    for key in ("name", "version", "summary", "source", "licence"):
        if key in missing:
            yield from _marked(key)
        yield f"{key}: {_scalar(getattr(card, key))}"
    for key in ("file", "sha256", "format"):
        yield f"{key}: {_scalar(getattr(card, key))}"
    for key, tensors in (("inputs", card.inputs), ("outputs", card.outputs)):
        yield f"{key}:"
        yield from (f"  - {_tensor(tensor)}" for tensor in tensors)
    if card.labels:
        yield f"labels: {_scalar(card.labels)}"
    if card.made:
        yield "made: true"
    for key in missing:
        if key != "licence":
            yield from _marked(key)
    if notes:
        yield "# The file says besides:"
        yield from (f"#   {note}" for note in notes)


def _marked(key: str) -> Iterator[str]:
    first, *rest = _MISSING[key]
    yield f"# MISSING {key}: {first}"
    yield from (f"# {line}" for line in rest)


def _tensor(tensor: CardTensor) -> str:
    parts = [f"name: {_scalar(tensor.name)}", f"dtype: {tensor.dtype}", f"shape: {list(tensor.shape)}"]
    if tensor.scale:
        # The shortest decimal that is the file's own 32 bits or nearer than any check looks.
        parts += [f"scale: {tensor.scale!r}", f"zero_point: {tensor.zero_point}"]
    return "{" + ", ".join(parts) + "}"


def _scalar(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # JSON is YAML
