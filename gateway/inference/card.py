"""Reading a model folder: the card strictly, the file's digest, the labels; nothing outside the folder.

The card's claims about tensors are compared with what a runtime found in the
file by ``check_tensors``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gateway.configuration.reader import read
from gateway.errors import CardMismatch, LoadFailed
from gateway.model import CARD_FILE, CardTensor, ModelCard, ModelFolder
from gateway.tensor import TENSOR_TYPES, TEXT, TensorSpec

_MOST_CARD_BYTES = 1_048_576
_MOST_LABEL_BYTES = 4_194_304
_CHUNK_BYTES = 1 << 20
_SCALE_TOLERANCE = 1e-6


def read_folder(folder: str | Path, file: str = "") -> ModelFolder:
    """Read the card and labels of a model; the model file and its twins are looked for but not read.

    Args:
        folder: Where the card lies.
        file: A twin's file, to get the card as it is for that one; empty for the card's own.

    Raises:
        LoadFailed: The folder, the card or a file that it names cannot be read.
        ConfigError: The card is not what a card must be; every issue is in it.
        CardMismatch: The card contradicts itself.
    """
    root = Path(folder)
    text = _read(root / CARD_FILE, _MOST_CARD_BYTES, "card")
    card = read(text, str(root / CARD_FILE), ModelCard)
    inside(root, card.file, "file")
    _check_words(card)
    _check_twins(root, card)
    try:
        chosen = card.of_file(file)
    except KeyError:
        raise LoadFailed(f"{root / CARD_FILE}: no twin is named {file[:200]!r}") from None
    return ModelFolder(root, chosen, _labels(root, card))


def inside(folder: Path, name: str, key: str) -> Path:
    """Return the path of a file that a card names.

    Raises:
        LoadFailed: It is absolute, leads out of the folder, or is not a file there.
    """
    if not name or "\0" in name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise LoadFailed(f"{folder / CARD_FILE}: {key}: {name[:200]!r} must be a path inside the folder")
    try:
        path = (folder / name).resolve(strict=True)
        if not path.is_relative_to(folder.resolve(strict=True)):
            raise LoadFailed(f"{folder / CARD_FILE}: {key}: {name[:200]!r} leads out of the folder")
        if not path.is_file():
            raise LoadFailed(f"{folder / CARD_FILE}: {key}: {name[:200]!r} is not a file")
    except (OSError, RuntimeError) as error:  # RuntimeError: a ring of links, before Python 3.13
        raise LoadFailed(f"{folder / CARD_FILE}: {key}: {name[:200]!r}: {error}") from error
    return path


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file in hex, read in pieces.

    Raises:
        LoadFailed: It cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb", buffering=0) as file:
            buffer = memoryview(bytearray(_CHUNK_BYTES))
            while count := file.readinto(buffer):
                digest.update(buffer[:count])
    except OSError as error:
        raise LoadFailed(f"{path}: {error.strerror or error}") from error
    return digest.hexdigest()


def check_digest(model: ModelFolder, digest: str) -> None:
    """Compare a digest with the card's.

    Raises:
        CardMismatch: They differ.
    """
    if digest != model.card.sha256:
        message = f"{model.file}: sha256 is {digest}, the card says {model.card.sha256}"
        raise CardMismatch(message, model=model.card.name)


def check_tensors(card: ModelCard, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
    """Compare the card's tensors with those in the file.

    Raises:
        CardMismatch: A name, dtype, shape or quantisation differs; all differences are in the message.
    """
    stated = [card.inputs, card.outputs]
    if card.made:
        stated = [_completed(card.inputs, inputs), _completed(card.outputs, outputs)]
    wrong = [*_differences("inputs", stated[0], inputs), *_differences("outputs", stated[1], outputs)]
    if wrong:
        raise CardMismatch(f"card of {card.name}: " + "; ".join(wrong), model=card.name)


def _differences(key: str, stated: Sequence[CardTensor], found: Sequence[TensorSpec]) -> list[str]:
    by_name = {spec.name: spec for spec in found}
    names = [tensor.name for tensor in stated]
    wrong = [
        f"{key}.{name}: not in the file, which has {', '.join(by_name)}"
        for name in names
        if name not in by_name
    ]
    wrong += [f"{key}: the file's {spec} is not on the card" for spec in found if spec.name not in names]
    for tensor in stated:
        if spec := by_name.get(tensor.name):
            wrong += [f"{key}.{tensor.name}: {what}" for what in _tensor_differences(tensor, spec)]
    return wrong


def _completed(stated: Sequence[CardTensor], found: Sequence[TensorSpec]) -> tuple[CardTensor, ...]:
    """Return tensors of a card that was made of the file, with sizes that the runtime worked out itself."""
    shapes = {spec.name: [-1 if size is None else size for size in spec.shape] for spec in found}

    def sizes(tensor: CardTensor) -> tuple[int, ...]:
        known = shapes.get(tensor.name)
        if known is None or (tensor.shape and len(known) != len(tensor.shape)):
            return tensor.shape
        said = tensor.shape or (-1,) * len(known)
        return tuple(size if own == -1 else own for own, size in zip(said, known, strict=True))

    return tuple(replace(tensor, shape=sizes(tensor)) for tensor in stated)


def _tensor_differences(stated: CardTensor, found: TensorSpec) -> list[str]:
    wrong = []
    if stated.dtype != found.dtype:
        wrong.append(f"dtype is {found.dtype}, the card says {stated.dtype}")
    fits = len(stated.shape) == len(found.shape) and all(
        size is None or size == said for said, size in zip(stated.shape, found.shape, strict=True)
    )
    if not fits:
        sizes = [-1 if size is None else size for size in found.shape]
        wrong.append(f"shape is {sizes}, the card says {list(stated.shape)}")
    scale, zero_point = (
        (found.quantization.scale, found.quantization.zero_point) if found.quantization else (0.0, 0)
    )
    if not math.isclose(stated.scale, scale, rel_tol=_SCALE_TOLERANCE):
        wrong.append(f"scale is {scale:.9g}, the card says {stated.scale:.9g}")
    if stated.zero_point != zero_point:
        wrong.append(f"zero_point is {zero_point}, the card says {stated.zero_point}")
    return wrong


def _check_words(card: ModelCard) -> None:
    """Check what a card says of itself, without the file."""
    wrong = []
    for key, tensors in (("inputs", card.inputs), ("outputs", card.outputs)):
        names = [tensor.name for tensor in tensors]
        wrong += [f"{key}: {name} is listed twice" for name in sorted(set(names)) if names.count(name) > 1]
        wrong += [f"{key}.{t.name}: unknown dtype {t.dtype}" for t in tensors if t.dtype not in TENSOR_TYPES]
        wrong += [
            f"{key}.{t.name}: impossible shape {list(t.shape)}"
            for t in tensors
            if any(s < -1 or s == 0 for s in t.shape)
        ]
    inputs, outputs = ({t.name for t in tensors} for tensors in (card.inputs, card.outputs))
    fed = [state.input for state in card.state]
    wrong += [f"state: no input is named {name}" for name in fed if name not in inputs]
    wrong += [f"state: no output is named {s.output}" for s in card.state if s.output not in outputs]
    wrong += [f"constants: no input is named {name}" for name in card.constants if name not in inputs]
    wrong += [f"constants: {name} is a state too" for name in card.constants if name in fed]
    texts = {t.name for t in card.inputs if t.dtype == TEXT}
    wrong += [f"state: {name} is text, which is not carried" for name in fed if name in texts]
    wrong += [
        f"constants: {name} is text, and a constant is a number" for name in card.constants if name in texts
    ]
    wrong += [
        f"constants: {name} is not finite" for name, v in card.constants.items() if not math.isfinite(v)
    ]
    if not card.inputs or not card.outputs:
        wrong.append("a model has at least one input and one output")
    if wrong:
        raise CardMismatch(f"card of {card.name}: " + "; ".join(wrong), model=card.name)


def _check_twins(root: Path, card: ModelCard) -> None:
    """Check that each file is one of its own and lies there, and that the card holds for it too."""
    names = [card.file, *(twin.file for twin in card.twins)]
    for name in sorted({name for name in names if names.count(name) > 1}):
        raise CardMismatch(f"card of {card.name}: twins: {name} is listed twice", model=card.name)
    for twin in card.twins:
        inside(root, twin.file, "twins.file")
        _check_words(card.of_file(twin.file))


def _labels(root: Path, card: ModelCard) -> tuple[str, ...]:
    if not card.labels:
        return ()
    data = _read(inside(root, card.labels, "labels"), _MOST_LABEL_BYTES, "labels")
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise LoadFailed(f"{root / card.labels}: not UTF-8 at byte {error.start}") from error
    while lines and not lines[-1].strip():
        lines.pop()
    return tuple(line.strip() for line in lines)


def _read(path: Path, most_bytes: int, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except OSError as error:
        raise LoadFailed(f"{path}: {what}: {error.strerror or error}") from error
    if len(data) > most_bytes:
        raise LoadFailed(f"{path}: {what}: more than {most_bytes} bytes")
    return data
