"""Compares the files that were taken over from packages with those packages."""

from __future__ import annotations

import hashlib
import io
import tempfile
import wave
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from models_parts.wheels import fetched, member

SPEECH_S = 13.4
SILERO = "silero-vad==6.2.3"


@dataclass(frozen=True, slots=True)
class Taken:
    """A file of this repository that is a package's file, byte for byte."""

    ours: str
    requirement: str
    theirs: str


MODELS = (
    Taken(
        "models/silero-vad/silero_vad_16k_op15.onnx",
        "silero-vad==6.2.3",
        "silero_vad/data/silero_vad_16k_op15.onnx",
    ),
    Taken(
        "models/blazeface-short-range/face_detection_short_range.tflite",
        "mediapipe==0.10.14",
        "mediapipe/modules/face_detection/face_detection_short_range.tflite",
    ),
)
PHOTOGRAPHS = tuple(
    Taken(f"gateway/demo/data/{name}", "scikit-image==0.25.2", f"skimage/data/{name}")
    for name in ("astronaut.png", "chelsea.png", "coffee.png")
)
LABELS = tuple(f"models/efficientnet-lite0-int8{twin}/labels.txt" for twin in ("", "-onnx"))
SPEECH = "gateway/demo/data/speech.wav"
GOLDEN = {
    "chelsea.png": tuple(name.replace("labels.txt", "golden/cat.jpg") for name in LABELS),
    "coffee.png": tuple(name.replace("labels.txt", "golden/espresso.jpg") for name in LABELS),
    "astronaut.png": ("models/blazeface-short-range/golden/portrait.jpg",),
}
GOLDEN_SPEECH, GOLDEN_SPEECH_S = "models/silero-vad/golden/speech.pcm", 5


def imagenet_labels(synsets: str, lemmas: str) -> str:
    """Return one label a line: each class's first name, or another where two classes share the first.

    A name that stays ambiguous is numbered, as in ``crane (2)``.
    """
    names = dict(line.split("\t") for line in lemmas.splitlines())
    classes = [names[synset].split(", ") for synset in synsets.split()]
    first = Counter(words[0] for words in classes)
    lines: list[str] = []
    for words in classes:
        label = words[0]
        if first[label] > 1:
            label = next((word for word in words if first[word] == 0), label)
        number = 1 + sum(line == label or line.startswith(f"{label} (") for line in lines)
        lines.append(label if number == 1 else f"{label} ({number})")
    return "\n".join(lines) + "\n"


def speech(recording: bytes) -> bytes:
    """Return the first ``SPEECH_S`` seconds of a 16 kHz int16 mono WAV file, as such a file."""
    cut = io.BytesIO()
    with wave.open(io.BytesIO(recording)) as given, wave.open(cut, "wb") as result:
        result.setnchannels(1)
        result.setsampwidth(2)
        result.setframerate(16_000)
        result.writeframes(given.readframes(int(16_000 * SPEECH_S)))
    return cut.getvalue()


def golden_pictures(photographs: dict[str, bytes]) -> dict[str, bytes]:
    """Return the photographs as JPEG, as a camera would send them, by path of the golden sample."""
    from PIL import Image

    pictures: dict[str, bytes] = {}
    for name, places in GOLDEN.items():
        encoded = io.BytesIO()
        photograph = Image.open(io.BytesIO(photographs[f"gateway/demo/data/{name}"])).convert("RGB")
        photograph.save(encoded, "JPEG", quality=90)
        pictures |= dict.fromkeys(places, encoded.getvalue())
    return pictures


def contents(folder: Path) -> dict[str, bytes]:
    """Return what the packages say the files must hold, by path in this repository."""
    found = {}
    for taken in MODELS + PHOTOGRAPHS:
        wheel = folder / taken.requirement.replace("==", "-")
        package = next(wheel.iterdir()) if wheel.is_dir() else fetched(taken.requirement, folder)
        found[taken.ours] = member(package, taken.theirs)
    timm, info = fetched("timm==1.0.20", folder), "timm/data/_info/imagenet_synset"
    synsets, lemmas = member(timm, f"{info}s.txt"), member(timm, f"{info}_to_lemma.txt")
    for name in LABELS:
        found[name] = imagenet_labels(synsets.decode(), lemmas.decode()).encode()
    recording = member(fetched(SILERO, folder / "source", source=True), "tests/data/test.wav")
    found[SPEECH] = speech(recording)
    with wave.open(io.BytesIO(recording)) as given:
        found[GOLDEN_SPEECH] = given.readframes(given.getframerate() * GOLDEN_SPEECH_S)
    found |= golden_pictures(found)
    return found


def verify(root: Path, *, write: bool) -> bool:
    """Print how each file compares; write those that differ if asked. True if none differed."""
    same = True
    with tempfile.TemporaryDirectory(prefix="make-models-") as folder:
        for name, data in contents(Path(folder)).items():
            ours = root / name
            equal = ours.is_file() and ours.read_bytes() == data
            same = same and equal
            print(f"{'same  ' if equal else 'DIFFERS'} {hashlib.sha256(data).hexdigest()} {name}")
            if write and not equal:
                ours.parent.mkdir(parents=True, exist_ok=True)
                ours.write_bytes(data)
    return same
