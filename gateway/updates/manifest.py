"""Reads and writes the manifest of a release; what it refuses no board installs. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Final

from gateway.errors import ManifestRefused
from gateway.model import CARD_FILE
from gateway.updates.names import checked_digest, checked_path, checked_word
from gateway.updates.release import (
    CHUNK_BYTES,
    MOST_FILE_BYTES,
    MOST_FILES,
    MOST_MANIFEST_BYTES,
    SCHEMA,
    Blob,
    Budgets,
    Delta,
    Release,
    ReleaseFile,
)
from gateway.updates.strict_json import Fields, canonical, read_fields

MOST_NUMBER: Final = 1 << 53
MOST_DELTAS: Final = 64
DELTA_ALGORITHM: Final = "zstd-patch-from"
# What a release folder holds besides its files.
RESERVED: Final = frozenset({"manifest.json", "deltas"})
FORMATS: Final = ("tflite", "onnx")
MOST_LABEL: Final = 64
MOST_NOTES: Final = 1024
_MOST_HARDWARE: Final = 64
_MOST_SECONDS: Final = 86_400.0
_VERSION: Final = re.compile(r"[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}")
_EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()


def read_manifest(data: bytes) -> Release:
    """Read a manifest as it was signed.

    Args:
        data: The whole of it.

    Raises:
        ManifestRefused: It is none, or says what no board may do; the message begins with the key's path.
    """
    fields = read_fields(data, MOST_MANIFEST_BYTES)
    # First of all: a later schema may mean other things by the same keys.
    fields.integer("schema", SCHEMA, SCHEMA)
    number = fields.integer("release", 1, MOST_NUMBER)
    release = Release(
        model=checked_word(fields.take("model"), "model"),
        number=number,
        label=fields.words("label", MOST_LABEL),
        format=_format(fields),
        files=_files(fields),
        min_gateway=_version(fields),
        hardware=_hardware(fields),
        budgets=_budgets(Fields(fields.take("budgets", {}), "budgets")),
        deltas=_deltas(fields),
        min_release=fields.integer("min_release", 0, number, 0),
        issued=fields.integer("issued", 0, MOST_NUMBER, 0),
        notes=fields.words("notes", MOST_NOTES, ""),
    )
    fields.done()
    _check_blobs(release)
    return release


def manifest_bytes(release: Release) -> bytes:
    """Return the canonical manifest of a release: the bytes that are signed and that its digest names.

    Raises:
        ManifestRefused: No board would read it back; the message begins with the key's path.
    """
    document = {
        "schema": SCHEMA,
        "model": release.model,
        "release": release.number,
        "label": release.label,
        "format": release.format,
        "files": [{"path": file.path, **_written(file.blob)} for file in release.files],
        "min_gateway": release.min_gateway,
        "hardware": list(release.hardware),
        "budgets": {
            "load_s": release.budgets.load_s,
            "p99_ms": release.budgets.p99_ms,
            "memory_bytes": release.budgets.memory_bytes,
        },
        "deltas": [
            {
                "from": delta.from_sha256,
                "to": delta.to_sha256,
                "algorithm": delta.algorithm,
                "patch": _written(delta.blob),
            }
            for delta in release.deltas
        ],
        "min_release": release.min_release,
        "issued": release.issued,
        "notes": release.notes,
    }
    try:
        data = canonical(document)
    except ValueError as error:
        raise ManifestRefused(f"budgets: {error}") from error
    read_manifest(data)
    return data


def _written(blob: Blob) -> dict[str, object]:
    return {"sha256": blob.sha256, "size": blob.size_bytes, "chunks": list(blob.chunks)}


def _format(fields: Fields) -> str:
    found = fields.words("format", 16)
    if found not in FORMATS:
        raise ManifestRefused(f"format: {found!a} is none of {', '.join(FORMATS)}")
    return found


def _version(fields: Fields) -> str:
    found = fields.words("min_gateway", 32, "")
    if found and not _VERSION.fullmatch(found):
        raise ManifestRefused(f"min_gateway: {found!a} is no version X.Y.Z")
    return found


def _hardware(fields: Fields) -> tuple[str, ...]:
    found = fields.listed("hardware", _MOST_HARDWARE, [])
    return tuple(checked_word(word, f"hardware[{index}]") for index, word in enumerate(found))


def _budgets(fields: Fields) -> Budgets:
    budgets = Budgets(
        load_s=fields.number("load_s", 0, _MOST_SECONDS, 0.0),
        p99_ms=fields.number("p99_ms", 0, _MOST_SECONDS * 1e3, 0.0),
        memory_bytes=fields.integer("memory_bytes", 0, MOST_FILE_BYTES, 0),
    )
    fields.done()
    return budgets


def _files(fields: Fields) -> tuple[ReleaseFile, ...]:
    files = []
    for index, found in enumerate(fields.listed("files", MOST_FILES)):
        entry = Fields(found, f"files[{index}]")
        path = checked_path(entry.take("path"), entry.at("path"))
        files.append(ReleaseFile(path, _blob(entry)))
    _check_paths([file.path for file in files])
    return tuple(files)


def _blob(entry: Fields) -> Blob:
    sha256 = checked_digest(entry.take("sha256"), entry.at("sha256"))
    size = entry.integer("size", 0, MOST_FILE_BYTES)
    expected = -(-size // CHUNK_BYTES)
    found = entry.listed("chunks", MOST_MANIFEST_BYTES)
    if len(found) != expected:
        what = f"{size} bytes have {expected} chunks of {CHUNK_BYTES}, not {len(found)}"
        raise ManifestRefused(f"{entry.at('chunks')}: {what}")
    chunks = tuple(checked_digest(one, f"{entry.at('chunks')}[{index}]") for index, one in enumerate(found))
    if sha256 != (chunks or (_EMPTY_SHA256,))[0] and len(chunks) < 2:
        raise ManifestRefused(f"{entry.at('chunks')}: the only chunk is the file, and has its digest")
    entry.done()
    return Blob(sha256, size, chunks)


def _deltas(fields: Fields) -> tuple[Delta, ...]:
    deltas = []
    for index, found in enumerate(fields.listed("deltas", MOST_DELTAS, [])):
        entry = Fields(found, f"deltas[{index}]")
        algorithm = entry.words("algorithm", 32)
        if algorithm != DELTA_ALGORITHM:
            raise ManifestRefused(f"{entry.at('algorithm')}: {algorithm!a} is not {DELTA_ALGORITHM}")
        delta = Delta(
            from_sha256=checked_digest(entry.take("from"), entry.at("from")),
            to_sha256=checked_digest(entry.take("to"), entry.at("to")),
            algorithm=algorithm,
            blob=_blob(Fields(entry.take("patch"), entry.at("patch"))),
        )
        entry.done()
        deltas.append(delta)
    return tuple(deltas)


def _check_paths(paths: Iterable[str]) -> None:
    """Refuse paths that some file system cannot keep apart, and a file that is also a folder."""
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in paths:
        if path.lower().split("/")[0] in RESERVED:
            raise ManifestRefused(f"files: {path!a}: the name is reserved")
        folder, _, _ = path.rpartition("/")
        if (twin := files.get(path.lower())) is not None:
            raise ManifestRefused(f"files: {path!a} and {twin!a} are one name on some systems")
        files[path.lower()] = path
        if folder and (twin := folders.setdefault(folder.lower(), folder)) != folder:
            raise ManifestRefused(f"files: {folder!a} and {twin!a} are one name on some systems")
    for folder in folders:
        if folder in files:
            raise ManifestRefused(f"files: {files[folder]!a} is both a file and a folder")
    if CARD_FILE not in files or files[CARD_FILE] != CARD_FILE:
        raise ManifestRefused(f"files: {CARD_FILE} is missing")


def _check_blobs(release: Release) -> None:
    """Refuse one digest with two sizes, and patches that make nothing of this release."""
    blobs: dict[str, Blob] = {}
    for file in release.files:
        if blobs.setdefault(file.blob.sha256, file.blob) != file.blob:
            raise ManifestRefused(
                f"files: {file.path!a}: its digest stands twice, with other sizes or chunks"
            )
    made = set(blobs)
    pairs = set()
    for index, delta in enumerate(release.deltas):
        what = f"deltas[{index}]"
        if delta.to_sha256 not in made:
            raise ManifestRefused(f"{what}.to: no file of the release has this digest")
        if delta.from_sha256 == delta.to_sha256:
            raise ManifestRefused(f"{what}.from: a patch from a file to itself")
        if (delta.from_sha256, delta.to_sha256) in pairs:
            raise ManifestRefused(f"{what}: the same patch stands twice")
        pairs.add((delta.from_sha256, delta.to_sha256))
        if blobs.setdefault(delta.blob.sha256, delta.blob) != delta.blob:
            raise ManifestRefused(f"{what}.patch: its digest stands twice, with other sizes or chunks")
