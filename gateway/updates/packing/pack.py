"""Packs a model folder into a release folder: copied, proven, its samples tried, hashed, then named."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gateway.errors import ConfigError, LoadFailed, PublishRefused, SamplesBlind
from gateway.inference.card import check_digest, file_digest, read_folder
from gateway.inference.loaded import LoadSpec
from gateway.inference.proof import prove
from gateway.inference.proven import Proof
from gateway.model import ModelFolder
from gateway.updates.manifest import manifest_bytes, read_manifest
from gateway.updates.packing.budget import budgets
from gateway.updates.packing.contents import blob_of, file_names
from gateway.updates.packing.patches import Patched, make_patches
from gateway.updates.packing.trials import DEFAULT_LEAST, DEFAULT_MUTATIONS, Sensitivity, try_samples
from gateway.updates.release import MOST_MANIFEST_BYTES, Budgets, Release, ReleaseFile, manifest_digest

MANIFEST_FILE: Final = "manifest.json"
DELTA_FOLDER: Final = "deltas"
PROOF_LIMIT_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class PackOptions:
    """How a release is packed.

    Attributes:
        number: Release counter; 0 for one more than the earlier release, or 1.
        model: Name on the boards; the card's when empty.
        label: Version for people; the card's when empty.
        notes: Words for people.
        out: Folder to make; ``<model>-<number>`` beside the model folder when None.
        earlier: Folder of an earlier release, to make patches from; None for none.
        mutations: How many damaged models the golden samples are tried on.
        least: Share of them, and of mistaken cards, that must be noticed.
        with_budgets: True to bound what the release may cost.
        allow_blind: True to pack in spite of samples that notice too little.
        min_gateway: Least version of the gateway; empty for any.
        hardware: Boards it is for; empty for all.
        min_release: Boards never go below this release again.
        issued: Unix seconds.
    """

    number: int = 0
    model: str = ""
    label: str = ""
    notes: str = ""
    out: Path | None = None
    earlier: Path | None = None
    mutations: int = DEFAULT_MUTATIONS
    least: float = DEFAULT_LEAST
    with_budgets: bool = True
    allow_blind: bool = False
    min_gateway: str = ""
    hardware: tuple[str, ...] = ()
    min_release: int = 0
    issued: int = 0


@dataclass(frozen=True, slots=True)
class Packed:
    """A release folder as it was made.

    Attributes:
        folder: Where it is.
        release: Its manifest.
        digest: The manifest's digest.
        proof: What was seen of the model.
        sensitivity: What its samples notice; None if it has none and that was allowed.
        patches: What became of each changed file.
    """

    folder: Path
    release: Release
    digest: str
    proof: Proof
    sensitivity: Sensitivity | None
    patches: tuple[Patched, ...]


# Told what is done now, how many steps of it are behind, and how many there are; 0 if nobody knows.
Progress = Callable[[str, int, int], None]


def pack(folder: Path, options: PackOptions, progress: Progress = lambda *_: None) -> Packed:
    """Make a release folder out of a model folder. Blocking; what it cannot finish it takes away again.

    Raises:
        LoadFailed, CardMismatch, WarmupFailed, OutOfMemory: The model or its card is at fault.
        SamplesBlind: The golden samples notice too little, or there are none.
        ManifestRefused: A name or number is none that a board would take.
        PublishRefused: The folder is there already, or the earlier release is none.
    """
    try:
        source = read_folder(folder)
    except ConfigError as error:
        raise LoadFailed(str(error)) from error
    earlier = read_release(options.earlier) if options.earlier else None
    number = options.number or (earlier.number + 1 if earlier else 1)
    name = options.model or source.card.name
    out = options.out or folder.resolve().parent / f"{name}-{number}"
    if out.exists():
        raise PublishRefused(f"{out} is there already; a release is never packed twice under one number")
    out.parent.mkdir(parents=True, exist_ok=True)
    # All that follows looks at our own copy, so nobody can change what was proven.
    with tempfile.TemporaryDirectory(prefix=".packing-", dir=out.parent) as place:
        made = Path(place) / "release"
        _copy(source, file_names(source), made, progress)
        packed = _pack_copy(made, replace(options, number=number, model=name), earlier, progress)
        _give_name(made, out)
    return replace(packed, folder=out)


def read_release(folder: Path) -> Release:
    """Read the manifest of a release folder.

    Raises:
        PublishRefused: There is none.
        ManifestRefused: It cannot be read.
    """
    try:
        with (folder / MANIFEST_FILE).open("rb") as file:
            data = file.read(MOST_MANIFEST_BYTES + 1)
    except OSError as error:
        raise PublishRefused(f"{folder}: no release folder: {error.strerror or error}") from error
    return read_manifest(data)


def _copy(model: ModelFolder, names: tuple[str, ...], to: Path, progress: Progress) -> None:
    for index, name in enumerate(names):
        progress("copying", index, len(names))
        target = to / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(model.folder / name, target)
        except OSError as error:
            raise LoadFailed(f"{model.folder / name}: {error.strerror or error}") from error


def _pack_copy(made: Path, options: PackOptions, earlier: Release | None, progress: Progress) -> Packed:
    model = read_folder(made)
    check_digest(model, file_digest(model.file))
    names = file_names(model)
    if not model.card.golden and not options.allow_blind:
        raise SamplesBlind(
            f"{model.card.name}: the card has no golden samples: nothing would notice a wrong model"
        )
    progress("proving", 0, 0)
    proof = asyncio.run(prove(LoadSpec(model.card.name, str(made)), timeout_s=PROOF_LIMIT_S))
    for twin in model.card.twins:
        progress(f"proving {twin.file}", 0, 0)
        asyncio.run(prove(LoadSpec(model.card.name, str(made), file=twin.file), timeout_s=PROOF_LIMIT_S))
    tried = None
    if model.card.golden:
        expected = options.mutations + 1
        tried = try_samples(
            made,
            names,
            mutations=options.mutations,
            progress=lambda done: progress("trying the golden samples on damaged models", done, expected),
        )
        if not options.allow_blind:
            check_samples(model.card.name, tried, options.least)
    files = []
    for index, name in enumerate(names):
        progress("hashing", index, len(names))
        files.append(ReleaseFile(name, blob_of(made / name)))
    patches: tuple[Patched, ...] = ()
    if earlier is not None and options.earlier is not None:
        progress("making patches", 0, 0)
        patches = tuple(make_patches((options.earlier, earlier), (made, files), made / DELTA_FOLDER))
    release = _release(model, options, tuple(files), patches, _budgets(options, proof, tried))
    data = manifest_bytes(release)
    (made / MANIFEST_FILE).write_bytes(data)
    return Packed(made, release, manifest_digest(data), proof, tried, patches)


def check_samples(name: str, tried: Sensitivity, least: float) -> None:
    """See that golden samples notice enough.

    Raises:
        SamplesBlind: They do not.
    """
    if not tried.damaged().tried and any(not trial.is_card for trial in tried.trials):
        raise SamplesBlind(f"{name}: no damaged model loaded, so nobody knows what the golden samples notice")
    for what, rate in (("damaged models", tried.damaged()), ("mistaken cards", tried.cards())):
        if rate.share < least:
            raise SamplesBlind(
                f"{name}: the golden samples notice {rate} {what}, less than {least:.0%}: add samples, or "
                "expect more of them (scores with bounds, outputs)",
                noticed=rate.noticed,
                tried=rate.tried,
            )


def _release(
    model: ModelFolder,
    options: PackOptions,
    files: tuple[ReleaseFile, ...],
    patches: tuple[Patched, ...],
    bounds: Budgets,
) -> Release:
    return Release(
        model=options.model,
        number=options.number,
        label=options.label or model.card.version,
        format=model.card.format,
        files=files,
        min_gateway=options.min_gateway,
        hardware=options.hardware,
        budgets=bounds,
        deltas=tuple(patched.delta for patched in patches if patched.delta is not None),
        min_release=options.min_release,
        issued=options.issued,
        notes=options.notes,
    )


def _budgets(options: PackOptions, proof: Proof, tried: Sensitivity | None) -> Budgets:
    if not options.with_budgets or tried is None:
        return Budgets()
    return budgets(tried.load_s, tried.p99_ms, proof.memory_bytes)


def _give_name(made: Path, out: Path) -> None:
    """Let the finished folder appear under its name, whole and on disk."""
    for path in sorted(made.rglob("*"), reverse=True):
        _sync(path)
    _sync(made)
    try:
        made.rename(out)
    except OSError as error:
        raise PublishRefused(f"{out}: {error.strerror or error}") from error
    with contextlib.suppress(OSError):
        _sync(out.parent)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
