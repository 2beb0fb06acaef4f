"""Which files a model folder gives to a release, and what their bytes hash to."""

from __future__ import annotations

import hashlib
from pathlib import Path

from gateway.errors import LoadFailed, ManifestRefused
from gateway.inference.card import inside
from gateway.inference.engines.onnx_external import external_files
from gateway.model import CARD_FILE, ModelFolder
from gateway.updates.names import checked_path
from gateway.updates.release import CHUNK_BYTES, MOST_FILE_BYTES, Blob


def file_names(model: ModelFolder) -> tuple[str, ...]:
    """Return every file that the model needs: the card, what it names, twins too, and their external data.

    Raises:
        LoadFailed: One is absent or leads out of the folder, or the model file names what it must not.
        ManifestRefused: A name cannot be a file of a release.
    """
    card = model.card
    samples = [*card.golden, *(sample for twin in card.twins for sample in twin.golden)]
    models = [(card.file, card.format), *((twin.file, twin.format) for twin in card.twins)]
    names = [card.file, card.labels, *(twin.file for twin in card.twins), *(each.file for each in samples)]
    names += [str(sample.expect["outputs"]) for sample in samples if "outputs" in sample.expect]
    for file, kind in models:
        if kind == "onnx":
            beside = Path(file).parent
            names += [(beside / name).as_posix() for name in external_files(model.folder / file)]
    kept = dict.fromkeys([CARD_FILE, *(Path(name).as_posix() for name in names if name)])
    for name in kept:
        checked_path(name, f"{model.folder / CARD_FILE}")
        inside(model.folder, name, "file")
    return tuple(kept)


def blob_of(path: Path) -> Blob:
    """Return the digests of a file, read once in chunks.

    Raises:
        LoadFailed: It cannot be read.
        ManifestRefused: It is larger than a file of a release may be.
    """
    whole = hashlib.sha256()
    chunks = []
    size = 0
    try:
        with path.open("rb") as file:
            while data := file.read(CHUNK_BYTES):  # buffered: it gives less only at the end
                whole.update(data)
                chunks.append(hashlib.sha256(data).hexdigest())
                size += len(data)
                if size > MOST_FILE_BYTES:
                    raise ManifestRefused(f"{path}: more than {MOST_FILE_BYTES} bytes")
    except OSError as error:
        raise LoadFailed(f"{path}: {error.strerror or error}") from error
    return Blob(whole.hexdigest(), size, tuple(chunks))
