"""Releases, assignments and reports as Hypothesis draws them."""

from __future__ import annotations

import hashlib

from hypothesis import strategies as st

from gateway.updates.assignment import Assignment, Window, Wish
from gateway.updates.manifest import MOST_NUMBER
from gateway.updates.release import CHUNK_BYTES, Blob, Budgets, Delta, Release, ReleaseFile
from gateway.updates.reported import (
    Active,
    Candidate,
    Disk,
    LastError,
    Reported,
    ReportedModel,
    Trust,
)

WORDS = st.from_regex(r"[a-z][a-z0-9_-]{0,10}[a-z0-9]", fullmatch=True).filter(
    lambda word: word not in {"con", "prn", "aux", "nul", "deltas"} and not word.startswith(("com", "lpt"))
)
NUMBERS = st.integers(1, MOST_NUMBER)
LINES = st.text(st.characters(categories=("L", "N", "P", "S")), max_size=40)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@st.composite
def blobs(draw: st.DrawFn) -> Blob:
    size = draw(st.sampled_from([0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES]))
    name = draw(st.text(max_size=8))
    if size == 0:
        return Blob(digest(""), 0, ())
    if size <= CHUNK_BYTES:
        return Blob(digest(f"{name} {size}"), size, (digest(f"{name} {size}"),))
    chunks = tuple(digest(f"{name} {size} {index}") for index in range(-(-size // CHUNK_BYTES)))
    return Blob(digest(f"whole {name} {size}"), size, chunks)


@st.composite
def releases(draw: st.DrawFn) -> Release:
    paths = draw(
        st.lists(st.tuples(st.sampled_from(["", "golden/", "more/"]), WORDS), max_size=5, unique=True)
    )
    names = ["card.yaml", *dict.fromkeys(f"{folder}{word}.bin" for folder, word in paths)]
    files = tuple(ReleaseFile(name, draw(blobs())) for name in names)
    number = draw(NUMBERS)
    deltas = []
    if draw(st.booleans()):
        patch = draw(blobs())
        to = files[0].blob.sha256
        held = {file.blob.sha256: file.blob for file in files}
        if held.get(patch.sha256, patch) == patch:
            deltas.append(Delta(digest("an old blob"), to, "zstd-patch-from", patch))
    return Release(
        model=draw(WORDS),
        number=number,
        label=draw(LINES),
        format=draw(st.sampled_from(["tflite", "onnx"])),
        files=files,
        min_gateway=draw(st.sampled_from(["", "0.1.0", "12.0.3"])),
        hardware=tuple(draw(st.lists(WORDS, max_size=3))),
        budgets=Budgets(
            draw(st.floats(0, 86_400)), draw(st.floats(0, 86_400_000)), draw(st.integers(0, 1 << 36))
        ),
        deltas=tuple(deltas),
        min_release=draw(st.integers(0, number)),
        issued=draw(st.integers(0, MOST_NUMBER)),
        notes=draw(LINES),
    )


WINDOWS = st.builds(Window, st.integers(0, 1439), st.integers(0, 1439))
WISHES = st.builds(
    Wish,
    release=NUMBERS,
    percent=st.floats(0, 100),
    seed=LINES,
    canary=st.lists(WORDS, max_size=3).map(tuple),
    not_before=st.integers(0, 1 << 40),
    window=st.none() | WINDOWS,
    paused=st.booleans(),
    shadow_frames=st.integers(0, 1000),
    shadow_agreement=st.floats(0, 1),
    bake_s=st.none() | st.floats(0, 86_400),
    allow_downgrade=st.booleans(),
)


@st.composite
def assignments(draw: st.DrawFn) -> Assignment:
    models = draw(st.dictionaries(WORDS, WISHES, max_size=5))
    names = draw(st.permutations(sorted(models)))
    sets: tuple[tuple[str, ...], ...] = (tuple(names[:2]),) if len(names) > 1 and draw(st.booleans()) else ()
    if len(names) > 3 and sets:
        sets = (*sets, tuple(names[2:4]))
    return Assignment(draw(WORDS), draw(NUMBERS), models, sets)


COUNTS = st.integers(0, (1 << 63) - 1)
REPORTED_MODELS = st.builds(
    ReportedModel,
    phase=WORDS,
    active=st.none()
    | st.builds(
        Active, COUNTS, LINES, LINES, COUNTS, st.dictionaries(WORDS, LINES, max_size=2), st.booleans()
    ),
    previous=st.none() | COUNTS,
    candidate=st.none() | st.builds(Candidate, COUNTS, WORDS, st.floats(0, 100), COUNTS),
    floor=COUNTS,
    last_error=st.none() | st.builds(LastError, LINES, LINES, LINES, COUNTS),
    quarantined=st.lists(COUNTS, max_size=3).map(tuple),
)
REPORTS = st.builds(
    Reported,
    device=WORDS,
    group=WORDS,
    at=COUNTS,
    request_id=LINES,
    assign_version=COUNTS,
    trust=st.builds(Trust, st.dictionaries(WORDS, COUNTS, max_size=3), WORDS),
    disk=st.builds(Disk, COUNTS, COUNTS, COUNTS),
    models=st.dictionaries(WORDS, REPORTED_MODELS, max_size=3),
)
