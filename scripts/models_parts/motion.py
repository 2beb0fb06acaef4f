"""Makes the two motion models and the demo's windows; says how good they are."""

from __future__ import annotations

import hashlib
import io
import re
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from models_parts import basic_motions, network, onnx_file, tflite_file
from models_parts.quantised import quantised
from models_parts.wheels import fetched

DATA = "aeon==1.6.0"
ONNX = "models/motion-int8-onnx/motion_int8_qdq.onnx"
TFLITE = "models/motion-int8/motion_int8.tflite"
WINDOWS = "gateway/demo/data/motion.npz"


def answers_onnx(model: bytes, windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run ONNX Runtime; (n, 4) probabilities."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"window": windows})[0])


def answers_tflite(model: bytes, windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run LiteRT row by row; (n, 4) probabilities."""
    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero_point = given["quantization"]
    rows = []
    for window in windows:
        codes = np.clip(np.rint(window / scale) + zero_point, -128, 127).astype(np.int8)
        interpreter.set_tensor(given["index"], codes[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(result["index"])[0].astype(np.float32))
    out_scale, out_zero_point = result["quantization"]
    return np.asarray((np.array(rows) - out_zero_point) * out_scale, np.float32)


def windows_file(test: basic_motions.Recordings) -> bytes:
    """Return the test windows, their classes and labels as an uncompressed .npz.

    NumPy's own writer leaves the archive's header to the Python version.
    """
    arrays: dict[str, NDArray[Any]] = {
        "windows": test.windows.astype(np.float32),
        "classes": test.classes.astype(np.uint8),
        "labels": np.array([label.lower() for label in basic_motions.LABELS]),
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, array in arrays.items():
            file = io.BytesIO()
            np.lib.format.write_array(file, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), file.getvalue())
    return content.getvalue()


def golden_windows(test: basic_motions.Recordings) -> dict[str, bytes]:
    """Return the models' golden samples: the first test window of two activities, raw float32."""
    found = {}
    for activity in ("Running", "Walking"):
        first = int((test.classes == basic_motions.LABELS.index(activity)).argmax())
        for model in (ONNX, TFLITE):
            name = f"{Path(model).parent}/golden/{activity.lower()}.f32"
            found[name] = test.windows[first].astype("<f4").tobytes()
    return found


def put(root: Path, name: str, data: bytes, *, write: bool) -> bool:
    """Print how new bytes compare with the file; write them, and the card's digest, if asked."""
    path = root / name
    digest = hashlib.sha256(data).hexdigest()
    equal = path.is_file() and path.read_bytes() == data
    print(f"{'same   ' if equal else 'DIFFERS'} {digest} {name}")
    if write and not equal:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        card = path.parent / "card.yaml"
        if card.is_file():
            text = re.sub(r"(?m)^sha256: .*$", f"sha256: {digest}", card.read_text(encoding="utf-8"))
            card.write_text(text, encoding="utf-8")
    return equal


def make(root: Path, *, write: bool) -> bool:
    """Train, quantise, print accuracies, compare or write. True if nothing differed."""
    with tempfile.TemporaryDirectory(prefix="make-models-") as folder:
        wheel = fetched(DATA, Path(folder))
        train, test = basic_motions.read(wheel, "TRAIN"), basic_motions.read(wheel, "TEST")
    weights = network.trained(train.windows, train.classes)
    small = quantised(weights, train.windows)
    onnx_model, tflite_model = onnx_file.encode(small), tflite_file.encode(small)
    windows = test.windows.astype(np.float32)
    real = network.softmax(network.layers(weights, test.windows)[2])
    from_onnx, from_tflite = answers_onnx(onnx_model, windows), answers_tflite(tflite_model, windows)
    for name, answers in (("float", real), ("onnx int8", from_onnx), ("tflite int8", from_tflite)):
        right = int((answers.argmax(axis=1) == test.classes).sum())
        unsure = answers.max(axis=1).min()
        print(f"{name}: {right} of {len(windows)} test windows right, least sure {unsure:.3f}")
    print(f"twins differ by at most {np.abs(from_onnx - from_tflite).max():.4f}")
    made = {ONNX: onnx_model, TFLITE: tflite_model, WINDOWS: windows_file(test)}
    made |= golden_windows(test)
    equal = [put(root, name, data, write=write) for name, data in made.items()]
    return all(equal)
