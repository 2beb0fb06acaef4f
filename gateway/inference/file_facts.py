"""What a model file says of itself, whatever its format: tensors, labels, and words for people. Pure."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

from gateway.errors import LoadFailed
from gateway.tensor import TENSOR_TYPES

MOST_TENSORS: Final = 512
MOST_AXES: Final = 32
MOST_WORDS: Final = 300
_MOST_NAME: Final = 1024


@dataclass(frozen=True, slots=True)
class FoundTensor:
    """One input or output as the file describes it.

    Attributes:
        name: The runtime's own name of it.
        dtype: Element type.
        shape: Sizes, -1 for an axis of any size; None if the file does not say how many axes there are.
        scale: Quantisation step; 0 if not quantised.
        zero_point: Code of real 0.
        symbols: What the file calls each axis that it gives no size; empty for those with one.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] | None
    scale: float = 0.0
    zero_point: int = 0
    symbols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file says of itself.

    Attributes:
        inputs: In the file's order.
        outputs: In the file's order.
        made_by: What wrote it, such as ``pytorch 2.1``; empty if it does not say.
        summary: What it does, in its author's words; empty if it does not say.
        version: Its author's version; empty if it does not say.
        licence: As its author put it; empty if it does not say.
        labels: Labels by class index.
        label_files: Names of files of labels that are packed into it, the best first.
        notes: What it says besides, for whoever writes its card: names of signatures, normalisation.
    """

    inputs: tuple[FoundTensor, ...]
    outputs: tuple[FoundTensor, ...]
    made_by: str = ""
    summary: str = ""
    version: str = ""
    licence: str = ""
    labels: tuple[str, ...] = ()
    label_files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def words(text: str | bytes, most: int = MOST_WORDS) -> str:
    """Return a text as one short line that a card can hold: printable, single spaces, cut if it is long."""
    if isinstance(text, bytes):
        text = text[: 8 * most].decode("utf-8", "replace")
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 8 * most]).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def tensor_name(raw: bytes, file: str) -> str:
    """Return a tensor's name as it must be: exactly what the runtime will call it.

    Raises:
        LoadFailed: No card can hold it.
    """
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        name = ""
    if not name or len(name) > _MOST_NAME or any(unicodedata.category(c)[0] == "C" for c in name):
        raise LoadFailed(
            f"{file}: a tensor is named {ascii(raw[:80])[1:]}, which cannot be asked for by name"
        )
    return name


def checked(tensors: list[FoundTensor], what: str, file: str) -> tuple[FoundTensor, ...]:
    """Return inputs or outputs of which a card can be made.

    Args:
        tensors: As they were found.
        what: ``input`` or ``output``.
        file: What complaints call the file.

    Raises:
        LoadFailed: There are none or too many, or one is of a kind that no request can carry.
    """
    if not tensors:
        raise LoadFailed(f"{file}: has no {what}: it is no model, or a part of one")
    if len(tensors) > MOST_TENSORS:
        raise LoadFailed(f"{file}: has more than {MOST_TENSORS} {what}s")
    names = [each.name for each in tensors]
    for each in tensors:
        if names.count(each.name) > 1:
            raise LoadFailed(f"{file}: two {what}s are named {each.name!r}")
        if each.dtype not in TENSOR_TYPES:
            raise LoadFailed(f"{file}: {what} {each.name!r}: element type {each.dtype} is not supported")
        if each.shape is not None and (
            len(each.shape) > MOST_AXES or any(s < -1 or s == 0 for s in each.shape)
        ):
            raise LoadFailed(f"{file}: {what} {each.name!r}: impossible shape {list(each.shape[:8])}")
    return tuple(tensors)
