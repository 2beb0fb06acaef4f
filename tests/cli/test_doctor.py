"""``gateway doctor`` as a process of its own: real brokers, real models, and what is broken."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gateway.cli.exit_codes import ExitCode
from gateway.cli.main import main
from gateway.doctor.checks import CHECKS, GROUPS
from tests import tflite_writer
from tests.broker import Broker
from tests.doctor.readers.test_tls import expired
from tests.mqtt.certificates import make_certificates
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "docs/schemas/doctor.schema.json").read_text(encoding="utf-8"))
LIMIT_S = 110


@pytest.fixture(name="broker", scope="module")
def _broker() -> Iterator[Broker]:
    with Broker() as broker:
        yield broker


def doctor(*arguments: str) -> tuple[int, str]:
    """Run the command, which must complain of nothing; return its exit code and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "doctor", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        cwd=ROOT,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def told(*arguments: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """Run it with ``--json``, which must keep to the schema; return its exit code and findings by check."""
    code, printed = doctor("--json", *arguments)
    document = json.loads(printed)
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in document["findings"]:
        found.setdefault(finding["check"], []).append(finding)
    return code, found


def configured(folder: Path, url: str, *lines: str, model: Path = ROOT / "models/motion-int8") -> str:
    """Write a configuration of one model and one pipeline; return its path."""
    file = folder / "gateway.yaml"
    text = [
        "mqtt:",
        f"  url: {url}",
        "  connect_timeout_s: 2",
        *(f"  {line}" for line in lines),
        f"http: {{listen: '127.0.0.1:{free_port()}'}}",
        f"models:\n  motion: {{path: {model}}}",
        "pipelines:\n  motion: {model: motion}",
    ]
    file.write_text("\n".join(text) + "\n", encoding="utf-8")
    return str(file)


def test_beside_a_real_broker_with_a_real_model_nothing_is_a_problem(broker: Broker, tmp_path: Path) -> None:
    code, found = told("--config", configured(tmp_path, broker.url))
    problems = [each for findings in found.values() for each in findings if each["verdict"] == "problem"]
    assert (code, problems) == (ExitCode.OK, [])
    assert {check.partition(".")[0] for check in found} == set(GROUPS)
    assert set(found) <= set(CHECKS)
    (model,) = found["models.runs"]
    assert model["values"]["latency_ms"] > 0
    assert model["values"]["engine"].startswith("litert ")
    assert all(each["values"]["latency_ms"] > 0 for each in found["runtimes.runs"])
    (trip,) = found["broker.round_trip"]
    assert trip["values"]["median_ms"] > 0


def test_the_text_reads_well_at_a_hundred_columns(broker: Broker, tmp_path: Path) -> None:
    code, printed = doctor("-c", configured(tmp_path, broker.url), "--no-models")
    lines = printed.splitlines()
    assert code == ExitCode.OK
    assert [line for line in lines if not line.startswith(" ")][:-1] == [
        group for group in GROUPS if group not in {"models", "runtimes"}
    ]
    assert all(len(line) <= 100 for line in lines if not line.lstrip().startswith(">"))
    assert lines[-1].endswith(" ok")


def test_a_model_that_kills_whatever_loads_it_is_a_problem_and_the_doctor_lives(
    broker: Broker, tmp_path: Path
) -> None:
    folder = tmp_path / "deadly"
    shutil.copytree(ROOT / "models/motion-int8", folder)
    card = (folder / "card.yaml").read_text(encoding="utf-8")
    (file,) = folder.glob("*.tflite")
    tflite_writer.deadly(file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    lines = [f"sha256: {digest}" if line.startswith("sha256:") else line for line in card.splitlines()]
    (folder / "card.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    code, found = told("--config", configured(tmp_path, broker.url, model=folder), "--only", "models")
    (model,) = found["models.runs"]
    assert (code, model["verdict"]) == (ExitCode.FAILURE, "problem")
    # It reads before its tensors: what lies there decides whether the library notices or dies.
    assert re.search(r"was ended by SIG[A-Z]+|cannot load it", model["what"])
    assert model["mend"][0].startswith("gateway check ")


def test_a_broker_that_is_not_there_is_a_problem_with_the_command_that_starts_it(tmp_path: Path) -> None:
    file = configured(tmp_path, f"mqtt://127.0.0.1:{free_port()}")
    code, found = told("--config", file, "--only", "broker")
    assert code == ExitCode.FAILURE
    assert found["broker.reachable"][0]["mend"][0] == "sudo systemctl enable --now mosquitto"
    assert list(found) == ["broker.reachable"]
    assert told("--config", file, "--offline", "--only", "broker") == (ExitCode.OK, {})


def test_a_broker_that_takes_the_connection_and_says_nothing_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        file = configured(tmp_path, f"mqtt://127.0.0.1:{silent.getsockname()[1]}")
        code, found = told("--config", file, "--only", "broker")
    assert code == ExitCode.FAILURE
    assert "does not answer within 2 s" in found["broker.reachable"][0]["what"]


def test_an_expired_certificate_is_named_with_its_day(tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    old = expired(made, tmp_path)
    with Broker(f"cafile {made.authority}", f"certfile {old}", f"keyfile {made.broker_key}") as broker:
        file = configured(tmp_path, f"mqtts://127.0.0.1:{broker.port}", f"ca_file: {made.authority}")
        code, found = told("--config", file, "--only", "tls", "--only", "broker")
    assert code == ExitCode.FAILURE
    (certificate,) = found["tls.broker"]
    assert "expired on " in certificate["what"]
    assert certificate["values"]["days_left"] < -9
    assert "certificate" in found["broker.reachable"][0]["what"]


def test_a_configuration_that_is_wrong_is_told_where_and_the_rest_is_examined(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("mqtt: {keepalive: 3}\n", encoding="utf-8")
    code, found = told("-c", str(file), "--no-models", "--offline")
    (wrong,) = found["configuration.file"]
    assert (code, wrong["verdict"]) == (ExitCode.FAILURE, "problem")
    assert f"{file}:1:8: mqtt.keepalive: unknown key" in wrong["what"]
    assert "board.model" in found


def test_a_secret_of_the_service_alone_is_no_problem_for_who_asks(broker: Broker, tmp_path: Path) -> None:
    file = configured(tmp_path, broker.url, "username: hall", "password: ${credential:mqtt-password}")
    code, found = told("-c", file, "--only", "configuration")
    notes = [each for each in found["configuration.file"] if each["verdict"] == "note"]
    assert code == ExitCode.OK
    assert notes[0]["mend"] == [f"sudo gateway doctor --config {file}"]


def test_strict_makes_warnings_count(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("inference: {max_payload_bytes: 9000000}\n", encoding="utf-8")
    asked = ["-c", str(file), "--only", "configuration"]
    assert told(*asked)[0] == ExitCode.OK
    assert told(*asked, "--strict")[0] == ExitCode.FAILURE


def test_a_configuration_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    code, found = told("-c", str(tmp_path / "absent.yaml"), "--only", "configuration")
    assert (code, found["configuration.file"][0]["verdict"]) == (ExitCode.FAILURE, "problem")


def test_nothing_is_written_anywhere(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "STATE_DIRECTORY", "CACHE_DIRECTORY"):
        monkeypatch.setenv(name, str(home))
    doctor("-c", configured(tmp_path, broker.url))
    assert list(home.iterdir()) == []


def test_a_group_that_does_not_exist_is_a_wrong_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--only", "weather"])
    assert ended.value.code == ExitCode.USAGE
    assert "invalid choice: 'weather'" in capsys.readouterr().err
