"""Flask and ONNX Runtime, as most begin: one POST of raw elements, JSON of the best class back."""

from __future__ import annotations

import logging
import sys

import numpy as np
import onnxruntime as ort
from flask import Flask, Response, jsonify, request

port, model, shape, dtype, server = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5]
session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
sizes = tuple(int(size) for size in shape.split(","))
app = Flask(__name__)
logging.getLogger("werkzeug").setLevel(logging.ERROR)


@app.get("/ready")
def ready() -> str:
    """Answer that it is there."""
    return "yes"


@app.post("/infer")
def infer() -> Response:
    """Answer one input."""
    scores = session.run(None, {name: np.frombuffer(request.get_data(), dtype).reshape(sizes)})[0][0]
    best = int(scores.argmax())
    return jsonify({"class": best, "score": float(scores[best])})


if server == "waitress":
    import waitress

    logging.getLogger("waitress").setLevel(logging.ERROR)
    waitress.serve(app, host="127.0.0.1", port=port, threads=8)
else:
    app.run("127.0.0.1", port, threaded=True)
