"""The limit: decode, pre-process and infer in a tight or paced loop, with the libraries alone.

Run as a process of its own; prints one JSON object. What it does to a frame is
what the gateway does (scaled JPEG decoding, crop, antialiased resize, int8
EfficientNet-Lite0 by LiteRT on one thread, best class), written without it.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import simplejpeg
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

SIZE = 224
FRACTION = 0.875


class Bare:
    """The model and what comes before it."""

    def __init__(self, model: str) -> None:
        self.interpreter = Interpreter(model_path=model, num_threads=1)
        self.interpreter.allocate_tensors()
        self.input = self.interpreter.get_input_details()[0]["index"]
        self.output = self.interpreter.get_output_details()[0]["index"]

    def __call__(self, payload: bytes) -> int:
        """Return the best class of a JPEG."""
        need = int(SIZE / FRACTION)
        pixels = simplejpeg.decode_jpeg(
            payload, "RGB", fastdct=False, fastupsample=False, min_height=need, min_width=need
        )
        height, width = pixels.shape[:2]
        side = min(height, width) * FRACTION
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
        picture = Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.BILINEAR, box)
        self.interpreter.set_tensor(self.input, np.asarray(picture)[None])
        self.interpreter.invoke()
        return int(self.interpreter.get_tensor(self.output).argmax())


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--frames", nargs="+", required=True)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument(
        "--start-at", type=float, default=0.0, help="monotonic seconds: several begin together"
    )
    options = parser.parse_args()
    payloads = [Path(name).read_bytes() for name in options.frames]
    bare = Bare(options.model)
    for payload in payloads * 3:
        bare(payload)
    time.sleep(max(0.0, options.start_at - time.monotonic()))
    took: list[float] = []
    cpu_s = time.process_time()
    start_s = time.perf_counter()
    while (now_s := time.perf_counter()) - start_s < options.seconds:
        if options.rate and (left_s := start_s + len(took) / options.rate - now_s) > 0:
            time.sleep(left_s)
            now_s = time.perf_counter()
        bare(payloads[len(took) % len(payloads)])
        took.append(time.perf_counter() - now_s)
    cpu_s = time.process_time() - cpu_s
    count = len(took)
    took.sort()
    print(
        json.dumps(
            {
                "frames": count,
                "rate": count / options.seconds,
                "cpu_ms": cpu_s / count * 1e3,
                "p50_ms": took[count // 2] * 1e3,
                "p99_ms": took[int(count * 0.99)] * 1e3,
            }
        )
    )


if __name__ == "__main__":
    main()
