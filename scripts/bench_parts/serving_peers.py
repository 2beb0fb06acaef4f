"""Other servers under measurement: each in an environment of its own, or said to be not there."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import harness
from serving_models import Served
from serving_targets import Process, Way

FOLDER: Final = harness.ROOT / "var" / "bench-peers"
_INSTALL_LIMIT_S: Final = 900.0

_LIT: Final = """
import sys
import litserve
import numpy as np
import onnxruntime as ort

port, model, dtype = int(sys.argv[1]), sys.argv[2], sys.argv[4]
shape = [int(n) for n in sys.argv[3].split(",")]

class Api(litserve.LitAPI):
    def setup(self, device):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.name = self.session.get_inputs()[0].name
    def decode_request(self, request):
        import base64
        return np.frombuffer(base64.b64decode(request["frame"]), dtype).reshape(shape)
    def predict(self, x):
        return self.session.run(None, {self.name: x})[0][0]
    def encode_response(self, scores):
        return {"class": int(scores.argmax()), "score": float(scores.max())}

if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", workers_per_device=2)
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="error", num_api_servers=1)
"""

_MLSERVER: Final = """
import numpy as np
import onnxruntime as ort
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse

class Runtime(MLModel):
    async def load(self):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(self.settings.parameters.uri, options)
        self.name_ = self.session.get_inputs()[0].name
        return True
    async def predict(self, payload):
        x = NumpyCodec.decode_input(payload.inputs[0])
        y = self.session.run(None, {self.name_: x})[0]
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("scores", y)])
"""

_TRITON: Final = """
import sys
sys.path[:0] = @SITE@
import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as backend

class TritonPythonModel:
    def initialize(self, args):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(@MODEL@, options)
        self.input, self.output = self.session.get_inputs()[0].name, self.session.get_outputs()[0].name
    def execute(self, requests):
        rows = [backend.get_input_tensor_by_name(each, self.input).as_numpy() for each in requests]
        x = rows[0] if len(rows) == 1 else np.concatenate(rows)
        y = self.session.run(None, {self.input: x})[0]
        parts = np.split(y, np.cumsum([len(each) for each in rows])[:-1])
        return [backend.InferenceResponse([backend.Tensor(self.output, each)]) for each in parts]
"""

_TRITON_CONFIG: Final = """\
name: "%s"
backend: "python"
max_batch_size: %d
input [ { name: "%s" data_type: TYPE_%s dims: [ %s ] } ]
output [ { name: "%s" data_type: TYPE_FP32 dims: [ %s ] } ]
instance_group [ { count: 2 kind: KIND_CPU } ]
%s
"""


@dataclass(frozen=True)
class Missing:
    """A peer that is not here, and why."""

    name: str
    why: str


def environment(name: str, *packages: str) -> Path | Missing:
    """Return the interpreter of a peer's own environment, made at the first call."""
    folder = FOLDER / name
    python = folder / "bin" / "python"
    stamp = folder / "installed"
    wanted = "\n".join(packages)
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    FOLDER.mkdir(parents=True, exist_ok=True)
    steps = (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages],
    )
    for step in steps:
        try:
            subprocess.run(step, check=True, capture_output=True, timeout=_INSTALL_LIMIT_S)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            return Missing(name, f"does not install: {str(getattr(error, 'stderr', b'') or error)[-200:]}")
    stamp.write_text(wanted)
    return python


def runtime() -> str:
    """Return the same ONNX Runtime that the gateway has, as a requirement."""
    return f"onnxruntime=={version('onnxruntime')}"


def flask(served: Served, server: str) -> Process | Missing:
    """Flask: ``dev`` for the server that it starts by itself, or ``waitress``."""
    python = environment("flask", "flask", "waitress", runtime())
    if isinstance(python, Missing):
        return python
    port = harness.free_port()
    command = [python, harness.PARTS / "serving_peer_flask.py", port, *_model(served), server]
    return Process(f"flask {server}", command, Way(port, "/infer", served.frame.tobytes()), "/ready")


def litserve(served: Served) -> Process | Missing:
    """LitServe with two workers; JSON with the frame in base64, as its documents show."""
    python = environment("litserve", "litserve", runtime())
    if isinstance(python, Missing):
        return python
    port, script = harness.free_port(), FOLDER / "lit.py"
    script.write_text(_LIT)
    body = json.dumps({"frame": base64.b64encode(served.frame.tobytes()).decode()}).encode()
    way = Way(port, "/predict", body, {"Content-Type": "application/json"})
    return Process("litserve", [python, script, port, *_model(served)], way, "/health")


def mlserver(served: Served) -> Process | Missing:
    """MLServer in one process; the protocol in JSON, for its HTTP door takes no binary tensors."""
    python = environment("mlserver", "mlserver", "uvloop<0.22", runtime())
    if isinstance(python, Missing):
        return python
    folder = FOLDER / "mlserver-repository" / served.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "runtime_of_bench.py").write_text(_MLSERVER)
    settings = {
        "name": served.name,
        "implementation": "runtime_of_bench.Runtime",
        "parameters": {"uri": str(served.file)},
    }
    (folder / "model-settings.json").write_text(json.dumps(settings))
    ports = [harness.free_port() for _ in range(3)]
    tensor = {
        "name": served.input,
        "datatype": served.datatype,
        "shape": list(served.frame.shape),
        "data": served.frame.reshape(-1).tolist(),
    }
    names = ("HTTP_PORT", "GRPC_PORT", "METRICS_PORT")
    environment_ = {f"MLSERVER_{name}": str(port) for name, port in zip(names, ports, strict=True)}
    environment_ |= {
        "MLSERVER_HOST": "127.0.0.1",
        "MLSERVER_PARALLEL_WORKERS": "0",
        "MLSERVER_DEBUG": "false",
    }
    environment_ |= {"PYTHONPATH": str(folder)}
    way = Way(
        ports[0],
        f"/v2/models/{served.name}/infer",
        json.dumps({"inputs": [tensor]}).encode(),
        {"Content-Type": "application/json"},
    )
    command = [python.parent / "mlserver", "start", folder]
    return Process("mlserver", command, way, f"/v2/models/{served.name}/ready", environment_)


def _triton_repository(served: Served, rows: int, site: Path) -> Path:
    repository = FOLDER / "triton-repository"
    shutil.rmtree(repository, ignore_errors=True)
    model = repository / served.name
    (model / "1").mkdir(parents=True)
    output, size = {"eff": ("logits", 1000)}.get(served.name, ("probabilities", 4))
    taken, given = (list(shape[1 if rows else 0 :]) for shape in (served.frame.shape, (1, size)))
    dims, sizes = (", ".join(map(str, each)) for each in (taken, given))
    batching = "dynamic_batching { }" if rows else ""
    words = (served.name, rows, served.input, served.datatype, dims, output, sizes, batching)
    (model / "config.pbtxt").write_text(_TRITON_CONFIG % words)
    text = _TRITON.replace("@SITE@", repr([str(site)])).replace("@MODEL@", repr(str(served.file)))
    (model / "1" / "model.py").write_text(text)
    return repository


def triton(served: Served, rows: int = 0) -> Process | Missing:
    """Triton with two instances: a ``tritonserver`` on the PATH, or the one in nvidia-pytriton.

    Args:
        served: The model.
        rows: Most rows of a batch that it puts together; 0 to have it take requests one by one.
    """
    python = environment("triton", "nvidia-pytriton", runtime())
    if isinstance(python, Missing):
        return python
    site = next((python.parents[1] / "lib").glob("python3*/site-packages"))
    inside = site / "pytriton" / "tritonserver"
    server = shutil.which("tritonserver") or str(inside / "bin" / "tritonserver")
    backends = FOLDER / "triton-backends"
    shutil.rmtree(backends, ignore_errors=True)
    shutil.copytree(inside / "backends", backends)
    stub = inside / "python_backend_stubs" / f"{sys.version_info[0]}.{sys.version_info[1]}"
    if stub.is_dir():
        for file in stub.iterdir():
            shutil.copy2(file, backends / "python")
    repository = _triton_repository(served, rows, site)
    http, grpc, metrics = (harness.free_port() for _ in range(3))
    command: list[object] = [server, "--model-repository", repository, "--backend-directory", backends]
    for door, port in (("http", http), ("grpc", grpc), ("metrics", metrics)):
        command += [f"--{door}-address", "127.0.0.1", f"--{door}-port", port]
    command += ["--backend-config", "python,shm-default-byte-size=4194304", "--log-info", "false"]
    body, length = served.body()
    way = Way(
        http,
        f"/v2/models/{served.name}/infer",
        body,
        {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(length)},
        grpc,
    )
    libraries = ":".join(str(each) for each in (inside / "lib", *site.glob("*.libs")))
    return Process(
        "triton batching" if rows else "triton",
        command,
        way,
        "/v2/health/ready",
        {"LD_LIBRARY_PATH": libraries, "PYTHONPATH": ""},
    )


def script(served: Served) -> Process:
    """Sockets, a queue and two threads with ONNX Runtime."""
    port = harness.free_port()
    command = [sys.executable, harness.PARTS / "serving_peer_script.py", port, *_model(served), "serve"]
    return Process("script", command, Way(port, "/", served.frame.tobytes()), "/")


def ceiling(served: Served, seconds: float) -> float:
    """Return inferences a second of two threads that do nothing else."""
    part = harness.PARTS / "serving_peer_script.py"
    rate: float = harness.run_json(part, "0", *map(str, _model(served)), "loop", str(seconds))["rate"]
    return rate


def _model(served: Served) -> Sequence[object]:
    return served.file, ",".join(map(str, served.frame.shape)), served.frame.dtype.name
