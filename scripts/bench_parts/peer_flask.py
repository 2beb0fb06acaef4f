"""What else a user would write: Flask and ONNX Runtime, one POST a frame, the server that Flask starts."""

from __future__ import annotations

import io
import logging
import sys

import numpy as np
import onnxruntime as ort
from flask import Flask, Response, jsonify, request
from PIL import Image

port, model = int(sys.argv[1]), sys.argv[2]
session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
app = Flask(__name__)
logging.getLogger("werkzeug").setLevel(logging.ERROR)


@app.post("/infer")
def infer() -> Response:
    """Answer one JPEG."""
    picture = Image.open(io.BytesIO(request.get_data())).convert("RGB").resize((224, 224))
    pixels = (np.asarray(picture, np.float32) - 127) / 128
    scores = session.run(None, {name: pixels.transpose(2, 0, 1)[None]})[0][0]
    best = int(scores.argmax())
    return jsonify({"class": best, "score": float(scores[best])})


app.run("127.0.0.1", port, threaded=True)
