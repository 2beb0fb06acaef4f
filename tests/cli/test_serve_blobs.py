"""``gateway serve-blobs``: a real process at a real broker, asked by the real source."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from gateway.cli.exit_codes import ExitCode
from gateway.cli.main import main
from gateway.updates.transport.mqtt import MqttSource
from tests.broker import Broker
from tests.mqtt.watch import settings_for
from tests.ports import free_port
from tests.updates.transport.blobs import noise, put

DATA = noise(300_000)


def test_it_answers_until_it_is_told_to_stop_and_says_what_it_did(tmp_path: Path) -> None:
    blob = put(tmp_path, DATA)
    command = [sys.executable, "-m", "gateway", "serve-blobs", str(tmp_path), "--prefix", "house"]
    with Broker() as broker:
        url = broker.url.replace("//", "//ann:secret@")
        with subprocess.Popen([*command, "--url", url], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert "house/blob/+/get" in said
            assert "secret" not in said
            with closing(MqttSource(settings_for(broker.url), "house")) as source:
                assert dict(source.chunks(blob, [0], time.monotonic() + 20)) == {0: DATA}
            process.send_signal(signal.SIGTERM)
            assert process.stdout.readline() == "3 answers, 300000 bytes, 0 unknown\n"
            assert process.wait(20) == ExitCode.OK


def test_a_folder_without_blobs_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve-blobs", str(tmp_path)]) == ExitCode.DATA
    assert "no folder blobs" in capsys.readouterr().err


def test_no_broker_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, DATA)
    config = tmp_path / "gateway.yaml"
    config.write_text("mqtt: {connect_timeout_s: 0.2}\n")
    url = f"mqtt://ann:secret@127.0.0.1:{free_port()}"
    code = main(["serve-blobs", str(tmp_path), "-c", str(config), "--url", url])
    assert code == ExitCode.UNAVAILABLE
    assert "secret" not in capsys.readouterr().err


def test_a_broker_without_mqtt_5_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, DATA)
    config = tmp_path / "gateway.yaml"
    config.write_text("mqtt: {version: '3.1.1'}\n")
    with Broker() as broker:
        code = main(["serve-blobs", str(tmp_path), "-c", str(config), "--url", broker.url])
    assert code == ExitCode.UNAVAILABLE
    assert "MQTT 5" in capsys.readouterr().err
    assert os.listdir(tmp_path / "blobs")  # noqa: PTH208 - served and left alone
