"""A card made of what a model file says of itself, for models that come without one.

Such a card lets the model serve as it is, tensors in and tensors out; what only a
person can know of it (steps, licence, golden samples) stays missing and is named.
"""

from __future__ import annotations

import mmap
import re
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gateway.errors import LoadFailed
from gateway.inference.appended_files import appended_files, unpacked
from gateway.inference.card import file_digest
from gateway.inference.card_text import UNKNOWN_LICENCE, missing_on
from gateway.inference.file_facts import FileFacts, FoundTensor
from gateway.inference.label_text import MOST_LABEL_BYTES, labels_of_lines
from gateway.inference.octets import Octets
from gateway.inference.onnx_facts import onnx_facts
from gateway.inference.tflite_facts import tflite_facts
from gateway.model import CardTensor, ModelCard

FORMATS: Final = {".tflite": "tflite", ".onnx": "onnx"}
LABELS_FILE: Final = "labels.txt"
# Neither format can hold more: protobuf messages and flatbuffers end at 2 GiB.
MOST_FILE_BYTES: Final = (1 << 31) - 1
_MOST_NAME: Final = 63
_MOST_LICENCE: Final = 60
_DIGEST_WORDS: Final = 12
_READERS: Final = {"onnx": onnx_facts, "tflite": tflite_facts}
_TITLES: Final = {"onnx": "An ONNX", "tflite": "A TFLite"}


@dataclass(frozen=True, slots=True)
class MadeCard:
    """What a file gave.

    Attributes:
        card: The card; it names a file of labels if there are any.
        labels: Labels by class index.
        notes: What the file says besides.
        open_sizes: Whether an input has an axis of any size that is not the batch's.
    """

    card: ModelCard
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    open_sizes: bool = False

    @property
    def missing(self) -> tuple[str, ...]:
        """Keys that a person should add."""
        return missing_on(self.card)


def card_of_file(path: Path, name: str = "", size: int = 0) -> MadeCard:
    """Make a card of a model file.

    Args:
        path: The file; it is mapped while it is read, and must not be cut meanwhile.
        name: The model's name; made of the file's own if empty.
        size: Size with which the model is tried along axes of inputs that the file leaves open, the batch's
            apart; 0 to leave them open, and try them with 1.

    Raises:
        LoadFailed: It cannot be read, is no model, or holds what no card can state.
    """
    model_format = FORMATS.get(path.suffix.lower())
    if model_format is None:
        raise LoadFailed(f"{path.name}: is neither {' nor '.join(FORMATS)}")
    if not path.name.isprintable():
        raise LoadFailed(f"{path.name!a}: no card can hold this name of a file: rename it")
    digest = file_digest(path)
    try:
        with path.open("rb") as file:
            size_bytes = path.stat().st_size
            if not size_bytes:
                raise LoadFailed(f"{path.name}: is empty")
            if size_bytes > MOST_FILE_BYTES:
                raise LoadFailed(f"{path.name}: has {size_bytes} bytes: keep weights in files beside it")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                facts = _READERS[model_format](data, path.name)
                labels = facts.labels or _packed_labels(data, facts)
    except (OSError, ValueError) as error:
        raise LoadFailed(f"{path.name}: cannot be read: {error}") from error
    open_sizes = facts != _sized(facts, 1)
    card = _card(path, name, digest, (_sized(facts, size) if size else facts, labels))
    return MadeCard(card, labels, facts.notes, open_sizes)


def lawful_name(text: str) -> str:
    """Return a text as a model's name: letters, digits and ``_.-``, beginning with a letter or digit."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", plain).lstrip("_.-").rstrip("-.")
    return plain[:_MOST_NAME] or "model"


def _card(path: Path, name: str, digest: str, found: tuple[FileFacts, tuple[str, ...]]) -> ModelCard:
    facts, labels = found
    model_format = FORMATS[path.suffix.lower()]
    by = f", made by {facts.made_by.rstrip('.')}" if facts.made_by else ""
    return ModelCard(
        name=name or lawful_name(path.stem),
        version=_lawful_version(facts.version) or digest[:_DIGEST_WORDS],
        summary=facts.summary or f"{_TITLES[model_format]} model that takes and gives tensors.",
        source=f"Read from the file{by}.",
        licence=facts.licence if 0 < len(facts.licence) <= _MOST_LICENCE else UNKNOWN_LICENCE,
        file=path.name,
        sha256=digest,
        format=model_format,
        inputs=tuple(map(_tensor, facts.inputs)),
        outputs=tuple(map(_tensor, facts.outputs)),
        labels=LABELS_FILE if labels else "",
        made=True,
    )


def _sized(facts: FileFacts, size: int) -> FileFacts:
    """Return the same with a size for every open axis of the inputs; axes of the batch stay open."""
    batches = {each.symbols[0] for each in facts.inputs if each.symbols} - {""}

    def shape(tensor: FoundTensor) -> tuple[int, ...] | None:
        if tensor.shape is None:
            return None
        symbols = tensor.symbols or ("",) * len(tensor.shape)
        return tuple(
            size if said == -1 and index > 0 and symbol not in batches else said
            for index, (said, symbol) in enumerate(zip(tensor.shape, symbols, strict=True))
        )

    return replace(facts, inputs=tuple(replace(each, shape=shape(each)) for each in facts.inputs))


def _tensor(found: FoundTensor) -> CardTensor:
    shape = found.shape if found.shape is not None else ()
    return CardTensor(found.name, found.dtype, shape, found.scale, found.zero_point)


def _lawful_version(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+_-]+", "-", text).strip("-.+_")[:_MOST_NAME].rstrip("-.+_")


def _packed_labels(data: Octets, facts: FileFacts) -> tuple[str, ...]:
    """Return the labels of the first file behind the model that the metadata names and that holds any."""
    files = {each.name: each for each in appended_files(data)} if facts.label_files else {}
    for name in facts.label_files:
        content = unpacked(data, files[name], MOST_LABEL_BYTES) if name in files else None
        if content is None:
            continue
        labels = labels_of_lines(content.decode("utf-8-sig", "replace"))
        if labels:
            return labels
    return ()
