"""What a model file must be before a runtime sees it: of its format, and with no file but its own folder's.

Runtimes trust what they open: an ONNX model may name any file as its weights.
Here every such name must be a plain file in the model's folder, which is opened
without following links and hashed; the runtime follows only after that.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from gateway.errors import LoadFailed
from gateway.inference.engines.word_search import holds_any
from gateway.inference.mapping import MappedFile

_TFLITE_MARK = b"TFL3"
_LEAST_TFLITE_BYTES = 8
_LOCATION = b"location"


def check_structure(source: MappedFile, model_format: str, folder: Path) -> tuple[MappedFile, ...]:
    """Check a mapped model file; return the other files that it is made of, opened and hashed.

    Args:
        source: The model file.
        model_format: ``tflite`` or ``onnx``.
        folder: Where the model lies; nothing outside is opened.

    Returns:
        Files of weights, in the order in which the model names them; the caller closes them.

    Raises:
        LoadFailed: The file is not of its format, or names a file that it must not.
    """
    if model_format == "tflite":
        _check_tflite(source)
    elif model_format == "onnx":
        return _external(source, folder)
    return ()


def external_names(path: Path) -> tuple[str, ...]:
    """Return the names of the files beside an .onnx file that hold its weights.

    Raises:
        LoadFailed: It cannot be read, is no ONNX model, or names a file that it must not.
    """
    try:
        if not path.stat().st_size:
            raise LoadFailed(f"{path}: is empty")
        if not holds_any(path, (_LOCATION,)):  # then there is none, and the walk over every field is saved
            return ()
    except OSError as error:
        raise LoadFailed(f"{path}: cannot be read: {error}") from error
    from gateway.inference.engines.onnx_external import external_files

    return external_files(path)


def _check_tflite(source: MappedFile) -> None:
    start = source.start(_LEAST_TFLITE_BYTES)
    if start[4:] != _TFLITE_MARK:
        raise LoadFailed(f"{source.path.name}: is no .tflite file: it lacks the mark TFL3")
    if not _LEAST_TFLITE_BYTES <= int.from_bytes(start[:4], "little") <= source.size_bytes - 4:
        raise LoadFailed(f"{source.path.name}: is no .tflite file: its table begins outside of it")


def _external(source: MappedFile, folder: Path) -> tuple[MappedFile, ...]:
    try:
        names = external_names(source.engine_path)
    except LoadFailed as error:
        raise LoadFailed(error.message.replace(str(source.engine_path), source.path.name)) from error
    beside = source.path.parent
    with contextlib.ExitStack() as opened:
        files: list[MappedFile] = []
        for name in names:
            _check_plain(beside, name, folder)
            files.append(MappedFile.open(beside / name))
            opened.callback(files[-1].close)
        opened.pop_all()
    return tuple(files)


def _check_plain(beside: Path, name: str, folder: Path) -> None:
    """Refuse a name that leads anywhere but to a plain file in the model's folder.

    Raises:
        LoadFailed: It does.
    """
    path = beside / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise LoadFailed(f"external data {name}: leads out of the folder")
    for step in (path.parent, path):
        try:
            kind = os.lstat(step).st_mode
        except OSError as error:
            raise LoadFailed(f"external data {name}: {error.strerror or error}") from error
        wanted = stat.S_ISREG(kind) if step == path else stat.S_ISDIR(kind)
        if not wanted:
            raise LoadFailed(f"external data {name}: is not a plain file in the model's folder")
