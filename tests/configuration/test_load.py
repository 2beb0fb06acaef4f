"""Files from disk to checked settings."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.configuration.load import inspect, load
from gateway.errors import ConfigError

MODELS = Path(__file__).parents[2] / "models"

Write = Callable[[str], Path]


@pytest.fixture(name="write")
def _write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        file = tmp_path / "gateway.yaml"
        file.write_text(text)
        file.chmod(0o600)
        return file

    return write


def paths(file: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    return [issue.path for issue in caught.value.issues]


def test_relative_paths_are_relative_to_the_file(write: Write, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    shutil.copytree(MODELS / "motion-int8", tmp_path / "models" / "m")
    (tmp_path / "conf").mkdir()
    file = tmp_path / "conf" / "gateway.yaml"
    file.write_text(
        "gateway: {cache_dir: cache}\nmodels: {m: {path: ../models/m}}\npipelines: {p: {model: m}}\n"
    )
    loaded = load(os.path.relpath(file), {})
    assert loaded.settings.models["m"].path == str(tmp_path / "models" / "m")
    assert loaded.settings.gateway.cache_dir == str(tmp_path / "conf" / "cache")
    assert loaded.base_dir == tmp_path / "conf"
    assert loaded.positions.at("models.m.path").line == 2


def test_what_each_key_and_what_keys_together_say_is_reported_in_one_run(write: Write) -> None:
    file = write(
        "mqtt: {keepalive_s: 1}\nmodels: {m: {path: nowhere}}\npipelines: {p: {model: n}}\nlogs: {}\n"
    )
    assert paths(file) == ["mqtt.keepalive_s", "models.m.path", "pipelines.p.model", "logs"]


def test_what_merely_follows_from_an_issue_is_not_reported(write: Write) -> None:
    assert paths(write("pipelines: {p: {}}\n")) == ["pipelines.p.model"]


def test_a_file_that_is_not_there_is_an_issue_without_a_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "absent.yaml", {})
    (issue,) = caught.value.issues
    assert (issue.line, issue.what) == (0, "cannot be read: No such file or directory")


def test_a_fifo_does_not_block_the_start(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "fifo", {})
    assert "not a regular file" in str(caught.value)


def test_certificate_files_must_be_there_and_be_pem(write: Write, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    text = "mqtt: {url: 'mqtts://b', ca_file: ca.pem, client_certificate_file: x, client_key_file: y}\n"
    assert paths(write(text)) == ["mqtt.ca_file", "mqtt.client_certificate_file", "mqtt.client_key_file"]


def test_a_key_that_every_user_may_read_is_a_warning(write: Write, tmp_path: Path) -> None:
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    make += ["-days", "1", "-subj", "/CN=x", "-keyout", "k.pem", "-out", "c.pem"]
    subprocess.run(make, cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "k.pem").chmod(0o644)
    text = "mqtt: {url: 'mqtts://b', client_certificate_file: c.pem, client_key_file: k.pem}\n"
    assert [w.path for w in load(write(text), {}).warnings] == ["mqtt.client_key_file"]
    (tmp_path / "k.pem").chmod(0o600)
    assert not load(write(text), {}).warnings


def test_a_password_in_a_file_that_every_user_may_read_is_a_warning(write: Write) -> None:
    file = write("mqtt: {username: a, password: 'x'}\n")
    assert not load(file, {}).warnings
    file.chmod(0o644)
    (warning,) = load(file, {}).warnings
    assert (warning.path, warning.line, warning.column) == ("mqtt.password", 1, 31)


def test_a_referenced_password_may_stand_in_a_file_that_every_user_may_read(write: Write) -> None:
    file = write("mqtt: {username: a, password: '${env:PW}'}\n")
    file.chmod(0o644)
    loaded = load(file, {"PW": "x"})
    assert loaded.settings.mqtt.password.value == "x"
    assert not loaded.warnings


def test_an_engine_that_cannot_run_the_file_is_found_without_loading_it(write: Write) -> None:
    model = f"{{path: {MODELS}/motion-int8, engine: onnxruntime}}"
    text = f"models: {{m: {model}}}\npipelines: {{p: {{model: m}}}}\n"
    assert paths(write(text)) == ["models.m.engine"]


def test_a_folder_without_a_card_is_no_model(write: Write, tmp_path: Path) -> None:
    assert paths(write(f"models: {{m: {{path: {tmp_path}}}}}\npipelines: {{p: {{model: m}}}}\n")) == [
        "models.m.path"
    ]


def test_inspecting_keeps_what_is_right_beside_the_issues(write: Write) -> None:
    loaded = inspect(write("http: {listen: '127.0.0.1:9999'}\nmqtt: {password: '${env:NOPE}'}\n"), {})
    assert loaded.settings.http.listen == "127.0.0.1:9999"
    assert [issue.path for issue in loaded.issues] == ["mqtt.password"]
