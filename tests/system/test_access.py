"""The running daemon's doors are locked: to other machines, to a browser's pages, on sockets of systemd."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from tests.broker import Broker
from tests.ports import free_port
from tests.system.running import LIMIT_S, MODELS, ROOT, Daemon
from tests.system.service import handing_over

CONFIG = f"""
gateway: {{id: test}}
models: {{motion: {{path: {MODELS}/motion-int8-onnx}}}}
"""
OPS, CAMERA, NEW = ("Bearer " + name * 16 for name in ("o", "c", "n"))
LOCKED = """
serving:
  tls: {{certificate_file: server.pem, key_file: server.key}}
  access:
    tokens:
      - {{name: ops, token: {ops}, scopes: [admin]}}
      - {{name: camera, token: cccccccccccccccc}}
"""


def own_address() -> str:
    """Return an address of this machine that is not loopback: who comes from it is an outsider."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        address: str = probe.getsockname()[0]
    return address


def config(token: str = "o" * 16) -> str:
    return CONFIG + LOCKED.format(ops=token)


def make_certificate(folder: Path, address: str) -> None:
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=orin "
        f"-addext subjectAltName=IP:127.0.0.1,IP:{address} -keyout server.key -out server.pem"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    (folder / "server.key").chmod(0o600)


class Outside:
    """Clients that ask from an address of their own, over TLS."""

    def __init__(self, folder: Path, address: str, http: int, grpc: int, certificate: str = "") -> None:
        self.address = address
        self._shown = [folder / f"{certificate}.pem", folder / f"{certificate}.key"] if certificate else []
        self._http, self._grpc = f"{address}:{http}", f"{address}:{grpc}"
        self._authority = str(folder / "server.pem")

    @contextlib.contextmanager
    def http(self) -> Iterator[Any]:
        context = ssl.create_default_context(cafile=self._authority)
        if self._shown:
            context.load_cert_chain(self._shown[0], self._shown[1])
        made = tritonclient.http.InferenceServerClient(
            self._http, ssl=True, ssl_context_factory=lambda: context
        )
        with contextlib.closing(made) as client:
            yield client

    @contextlib.contextmanager
    def grpc(self) -> Iterator[Any]:
        certificate, key = map(str, self._shown) if self._shown else (None, None)
        made = tritonclient.grpc.InferenceServerClient(
            self._grpc,
            ssl=True,
            root_certificates=self._authority,
            certificate_chain=certificate,
            private_key=key,
        )
        with contextlib.closing(made) as client:
            yield client


def infer(client: Any, kind: Any, token: str = "") -> tuple[int, ...]:
    frame = np.zeros((1, 100, 6), np.float32)
    asked = kind.InferInput("window", [1, 100, 6], "FP32")
    asked.set_data_from_numpy(frame)
    headers = {"authorization": token} if token else None
    shape: tuple[int, ...] = client.infer("motion", [asked], headers=headers).as_numpy("probabilities").shape
    return shape


@pytest.fixture
def ports() -> tuple[int, int]:
    return free_port(), free_port()


@pytest.fixture
def locked(tmp_path: Path, broker: Broker, ports: tuple[int, int]) -> Iterator[tuple[Daemon, Outside]]:
    address = own_address()
    make_certificate(tmp_path, address)
    http, grpc = ports
    overrides = (f"http.listen=0.0.0.0:{http}", f"serving.grpc.listen=0.0.0.0:{grpc}")
    with Daemon(tmp_path, config(), broker.url, *overrides) as daemon:
        daemon.ready()
        yield daemon, Outside(tmp_path, address, http, grpc)
        assert daemon.stop() == 0


def test_other_machines_come_over_tls_with_a_token_and_do_what_it_allows(
    locked: tuple[Daemon, Outside],
) -> None:
    daemon, outside = locked
    with outside.http() as http, outside.grpc() as grpc:
        assert http.is_server_live()
        assert grpc.is_server_live()
        for client, kind in ((http, tritonclient.http), (grpc, tritonclient.grpc)):
            with pytest.raises(InferenceServerException, match="bearer token"):
                infer(client, kind)
            with pytest.raises(InferenceServerException, match="not known here"):
                infer(client, kind, "Bearer wrong")
            with pytest.raises(InferenceServerException, match="scope infer"):
                infer(client, kind, OPS)
            assert infer(client, kind, CAMERA) == (1, 4)
            with pytest.raises(InferenceServerException, match="scope admin"):
                client.unload_model("motion", headers={"authorization": CAMERA})
            client.load_model("motion", headers={"authorization": OPS})
        daemon.wait_event("admin_call", 2)
        lines = [event for event in daemon.events if event["event"] == "admin_call"]
        assert [(e["who"], e["address"], e["on"], e["outcome"]) for e in lines] == [
            ("token:ops", outside.address, "motion", "done")
        ] * 2
        refused = {e["reason"] for e in daemon.events if e["event"] == "access_refused"}
        assert refused == {"no_credentials", "unknown_token", "scope"}
        assert not any("cccccccc" in json.dumps(event) for event in daemon.events)


def test_a_client_certificate_says_who_administers_and_nobody_comes_without_one(
    tmp_path: Path, broker: Broker, ports: tuple[int, int]
) -> None:
    address = own_address()
    make_certificate(tmp_path, address)
    # One that signed itself is its own authority: enough to tell who may come.
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=someone "
        "-addext subjectAltName=DNS:camera-7 -keyout client.key -out client.pem"
    )
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    mutual = (
        f"{CONFIG}serving:\n  tls: {{certificate_file: server.pem, key_file: server.key, "
        "client_ca_file: client.pem}\n  access: {certificate_scopes: [infer, admin]}\n"
    )
    http, rpc = ports
    overrides = (f"http.listen=0.0.0.0:{http}", f"serving.grpc.listen=0.0.0.0:{rpc}")
    with Daemon(tmp_path, mutual, broker.url, *overrides) as daemon:
        daemon.ready()
        curl = ["curl", "-sS", "--cacert", "server.pem", f"https://{address}:{http}/healthz"]
        asked = subprocess.run(curl, cwd=tmp_path, check=False, capture_output=True)
        assert (asked.returncode != 0, asked.stdout) == (True, b"")
        # Not by tritonclient: it would give its channel, without a certificate, to the next client as well.
        trusted = grpc.ssl_channel_credentials((tmp_path / "server.pem").read_bytes())
        with grpc.secure_channel(f"{address}:{rpc}", trusted) as channel, pytest.raises(grpc.RpcError):
            channel.unary_unary("/inference.GRPCInferenceService/ServerLive")(b"", timeout=LIMIT_S)
        known = Outside(tmp_path, address, http, rpc, "client")
        for opened, kind in ((known.http, tritonclient.http), (known.grpc, tritonclient.grpc)):
            with opened() as client:
                assert infer(client, kind) == (1, 4)
                client.load_model("motion")
                with pytest.raises(InferenceServerException, match="scope read"):
                    client.get_model_metadata("motion")
        daemon.wait_event("admin_call", 2)
        calls = [event["who"] for event in daemon.events if event["event"] == "admin_call"]
        assert calls == ["certificate:camera-7"] * 2
        assert daemon.stop() == 0


def test_a_token_is_changed_by_a_reload_while_the_door_stays_open(
    tmp_path: Path, locked: tuple[Daemon, Outside]
) -> None:
    daemon, outside = locked
    with outside.http() as http:
        http.load_model("motion", headers={"authorization": OPS})
        (tmp_path / "gateway.yaml").write_text(config("n" * 16))
        daemon.process.send_signal(signal.SIGHUP)
        assert daemon.wait_event("config_reloaded")["restart_for"] == []
        with pytest.raises(InferenceServerException, match="not known here"):
            http.load_model("motion", headers={"authorization": OPS})
        http.load_model("motion", headers={"authorization": NEW})
        (tmp_path / "gateway.yaml").write_text(CONFIG)
        daemon.process.send_signal(signal.SIGHUP)
        issues = daemon.wait_event("config_refused")["issues"]
        assert any("nobody is asked" in issue for issue in issues)
        http.load_model("motion", headers={"authorization": NEW})


def test_a_page_in_a_browser_of_this_machine_gets_nothing_and_does_nothing(
    tmp_path: Path, broker: Broker
) -> None:
    with Daemon(tmp_path, CONFIG, broker.url) as daemon:
        daemon.ready()

        def curl(path: str, *arguments: str) -> str:
            command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *arguments]
            return subprocess.run(
                [*command, f"http://{daemon.http}{path}"], check=True, capture_output=True, text=True
            ).stdout

        rebound = ("-H", f"Host: evil.example:{daemon.http.rpartition(':')[2]}")
        for path in ("/status", "/metrics", "/v2", "/v2/models/motion"):
            assert curl(path) == "200"
            assert curl(path, *rebound) == "403"
        unload = "/v2/repository/models/motion/unload"
        for headers in (
            rebound,
            ("-H", "Origin: https://evil.example"),
            ("-H", "X-Forwarded-For: 127.0.0.1"),
        ):
            assert curl(unload, "-X", "POST", *headers) == "403"
        assert curl("/v2/models/motion/ready") == "200"
        assert curl(unload, "-X", "POST") == "200"
        assert daemon.wait_event("admin_call")["outcome"] == "done"
        assert daemon.stop() == 0


def test_an_address_that_others_reach_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(f"{CONFIG}http: {{listen: '0.0.0.0:{free_port()}'}}\n")
    command = [sys.executable, "-m", "gateway", "run", "-c", "gateway.yaml"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True, timeout=LIMIT_S
    )
    assert ended.returncode == 78
    assert "gateway.yaml:4:16: http.listen: other machines reach this address" in ended.stderr


def test_a_socket_that_systemd_bound_for_others_is_refused_too_unless_told_in_as_many_words(
    tmp_path: Path, broker: Broker
) -> None:
    with socket.create_server(("0.0.0.0", 0)) as handed:
        handed.setblocking(True)
        before = handing_over({"http": handed})
        with Daemon(tmp_path, CONFIG, broker.url, before=before) as daemon:
            assert daemon.process.wait(LIMIT_S) == 78
            assert "nobody is asked" in daemon.wait_event("config_refused")["issues"][0]
        told = "serving.access.open_to_everybody=true"
        with Daemon(tmp_path, CONFIG, broker.url, told, before=before) as daemon:
            daemon.ready()
            url = f"{own_address()}:{handed.getsockname()[1]}"
            with contextlib.closing(tritonclient.http.InferenceServerClient(url)) as client:
                assert infer(client, tritonclient.http) == (1, 4)
                with pytest.raises(InferenceServerException, match="scope admin"):
                    client.unload_model("motion")
            assert daemon.stop() == 0
