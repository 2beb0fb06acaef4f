"""``gateway infer --url`` before the gateway's own doors, and before another server."""

from __future__ import annotations

import io
import json
import ssl
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gateway.cli.exit_codes import ExitCode
from gateway.cli.main import main
from tests.cli.remote.served import TOKEN, Served, json_only, plain, served
from tests.mqtt.certificates import make_certificates
from tests.ports import free_port


@pytest.fixture(name="doors", scope="module")
def _doors(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with served(tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.fixture(name="numbers")
def _numbers(tmp_path: Path) -> Path:
    np.save(tmp_path / "numbers.npy", np.arange(16, dtype=np.int32))
    return tmp_path / "numbers.npy"


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    # Not capfd: servers in threads of this process log past Python's own standard error.
    code = main(["infer", *map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    assert (code, err) == (ExitCode.OK, "")
    return json.loads(out)


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[ExitCode, str, str]:
    code = main(["infer", *map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    assert out == ""
    error = json.loads(err)["error"]
    return ExitCode(code), error["label"], error["message"]


@pytest.mark.parametrize("door", ["http", "path", "grpc"])
def test_files_go_in_and_tensors_come_out(
    capsys: pytest.CaptureFixture[str], doors: Served, numbers: Path, door: str, tmp_path: Path
) -> None:
    (tmp_path / "ones.json").write_text(json.dumps([[1] * 16]))
    said = told(capsys, "--url", getattr(doors, door), "add_sub", f"INPUT1={tmp_path / 'ones.json'}", numbers)
    assert (said["model"], said["version"]) == ("add_sub", "1")
    assert [output["name"] for output in said["outputs"]] == ["OUTPUT0", "OUTPUT1"]
    assert said["outputs"][0]["data"] == list(range(1, 17))
    assert said["outputs"][1] == {
        "name": "OUTPUT1",
        "datatype": "INT32",
        "shape": [1, 16],
        "data": list(range(-1, 15)),
    }
    assert said["latency_ms"] > 0


@pytest.mark.parametrize("door", ["http", "grpc"])
def test_a_picture_is_decoded_and_fitted(
    capsys: pytest.CaptureFixture[str], doors: Served, tmp_path: Path, door: str
) -> None:
    Image.new("RGB", (60, 40), (10, 20, 30)).save(tmp_path / "grey.png")
    said = told(capsys, "--url", getattr(doors, door), "mean", tmp_path / "grey.png")
    assert said["outputs"] == [
        {"name": "MEAN", "datatype": "FP32", "shape": [1, 3], "data": [10.0, 20.0, 30.0]}
    ]


@pytest.mark.parametrize("door", ["http", "grpc"])
def test_the_greatest_elements_alone(
    capsys: pytest.CaptureFixture[str], doors: Served, tmp_path: Path, door: str
) -> None:
    np.save(tmp_path / "a.npy", np.array([0.5, 2.5, 1.5], np.float32))
    said = told(capsys, "--url", getattr(doors, door), "same_fp32", tmp_path / "a.npy", "--classes", 2)
    assert [text.split(":")[1] for text in said["outputs"][0]["data"]] == ["1", "2"]


@pytest.mark.parametrize("door", ["http", "path", "grpc"])
def test_text_goes_through_as_it_is(
    capsys: pytest.CaptureFixture[str], doors: Served, tmp_path: Path, door: str
) -> None:
    (tmp_path / "text").write_bytes("grüß Gott".encode())
    said = told(
        capsys, "--url", getattr(doors, door), "same_bytes", tmp_path / "text", "--model-version", "2-rc.1"
    )
    assert said["outputs"][0]["data"] == ["grüß Gott"]
    assert doors.models.calls[-1].version == "2-rc.1"


def test_people_read_lines(capsys: pytest.CaptureFixture[str], doors: Served, numbers: Path) -> None:
    assert main(["infer", "--url", doors.http, "add_sub", str(numbers), str(numbers)]) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["add_sub 1", "OUTPUT0 INT32 [1, 16]"]
    assert lines[2] == "  0, 2, 4, 6, 8, 10, 12, 14, ..."
    assert lines[3] == "  least 0, greatest 30 at 15 of 16"
    assert lines[-1].startswith("answered after ")


@pytest.mark.parametrize("door", ["http", "path", "grpc"])
def test_the_servers_own_words_are_told(
    capsys: pytest.CaptureFixture[str], doors: Served, numbers: Path, door: str
) -> None:
    code, label, message = refused(capsys, "--url", getattr(doors, door), "nobody", numbers)
    assert (code, label) == (ExitCode.DATA, "refused.unknown_model")
    assert "'nobody'" in message


@pytest.mark.parametrize("door", ["http", "path", "grpc"])
def test_no_answer_in_time_has_a_code_of_its_own(
    capsys: pytest.CaptureFixture[str], doors: Served, numbers: Path, door: str
) -> None:
    code, label, _ = refused(capsys, "--url", getattr(doors, door), "slow", numbers, "--timeout", 0.3)
    assert code is ExitCode.TOO_LATE
    assert label.startswith("deadline")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{port}", "grpc://127.0.0.1:{port}", "unix:/nowhere/{port}"]
)
def test_nobody_there_is_told(capsys: pytest.CaptureFixture[str], numbers: Path, url: str) -> None:
    url = url.format(port=free_port())
    code, label, message = refused(capsys, "--url", url, "add_sub", numbers)
    assert (code, label) == (ExitCode.UNAVAILABLE, "unavailable.not_ready")
    assert message.startswith(f"nobody answers at {url}: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add_sub", "{numbers}"], "no file for INPUT1"),
        (["add_sub", "{numbers}", "{numbers}", "x"], "'x' is for no input"),
        (["add_sub", "INPUT0={numbers}", "INPUT0={numbers}"], "given twice"),
        (["same_int8", "{numbers}", "/nowhere"], "is for no input"),
        (["same_int8", "/nowhere"], "No such file"),
        (["mean", "{numbers}"], "the input is UINT8 [-1, 4, 6, 3], -1 for any size"),
        (["add_sub", "{numbers}", "{numbers}", "--classes", "-1"], "--classes"),
        (["add_sub", "{numbers}", "{numbers}", "--token-file", "/nowhere"], "no token"),
    ],
)
def test_what_is_wrong_here_is_said_before_the_server_is_asked(
    capsys: pytest.CaptureFixture[str], doors: Served, numbers: Path, arguments: list[str], words: str
) -> None:
    asked = len(doors.models.calls)
    given = [argument.format(numbers=numbers) for argument in arguments]
    code, _, message = refused(capsys, "--url", doors.http, *given)
    assert code is ExitCode.DATA
    assert words in message
    assert len(doors.models.calls) == asked


@pytest.mark.parametrize(
    "url", ["ftp://host", "127.0.0.1:80", "http://", "unix:door", "grpc://", "http://[::1"]
)
def test_what_is_no_url_is_refused(capsys: pytest.CaptureFixture[str], numbers: Path, url: str) -> None:
    assert refused(capsys, "--url", url, "add_sub", numbers)[0] is ExitCode.DATA


def test_a_token_says_who_asks(capsys: pytest.CaptureFixture[str], tmp_path: Path, numbers: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "wrong").write_text("another-token-of-letters")
    with served(tmp_path, token=TOKEN) as running:
        for url in (running.http, running.grpc):
            asked = ("--url", url, "add_sub", numbers, numbers, "--token-file")
            assert refused(capsys, *asked, tmp_path / "wrong")[1] == "access.unauthenticated"
            assert told(capsys, *asked, tmp_path / "token")["model"] == "add_sub"
            assert running.models.calls[-1].caller == "token:ops"


def test_a_server_is_believed_if_the_given_authority_signed_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, numbers: Path
) -> None:
    made = make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.broker, made.broker_key)
    with served(tmp_path, tls=context) as running:
        assert told(capsys, "--url", running.http, "add_sub", numbers, numbers, "--ca", made.authority)[
            "model"
        ]
        code, _, message = refused(capsys, "--url", running.http, "add_sub", numbers, numbers)
        assert code is ExitCode.UNAVAILABLE
        assert "--ca" in message


def test_a_server_without_extensions_gets_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[[1, 2], [3, 4]]")
    with plain(json_only) as url:
        said = told(capsys, "--url", f"{url}/base/", "double", tmp_path / "x.json")
        assert said["outputs"][0] == {"name": "y", "datatype": "INT32", "shape": [2, 2], "data": [2, 4, 6, 8]}
        best = told(capsys, "--url", f"{url}/base/", "double", tmp_path / "x.json", "--classes", "1")
        assert best["outputs"][0]["data"] == ["4:1", "8:1"]
        code, _, message = refused(capsys, "--url", f"{url}/base", "nothing", tmp_path / "x.json")
        assert code is ExitCode.DATA
        assert message == "the server says 404: Model nothing not found"


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (200, b"<html>", ExitCode.DATA),
        (200, b"[]", ExitCode.DATA),
        (200, b"{}", ExitCode.DATA),
        (200, b'{"inputs": [{"shape": 1}]}', ExitCode.DATA),
        (500, b"Internal Server Error", ExitCode.FAILURE),
        (503, b"", ExitCode.UNAVAILABLE),
        (302, b"", ExitCode.DATA),
    ],
)
def test_whatever_answers_is_an_error_with_words(
    capsys: pytest.CaptureFixture[str], numbers: Path, status: int, body: bytes, code: ExitCode
) -> None:
    with plain(lambda *_: (status, body)) as url:
        assert refused(capsys, "--url", url, "add_sub", numbers)[0] is code


def test_one_file_at_a_time_without_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "models/x", "a", "b")[0] is ExitCode.DATA


def test_a_picture_becomes_floats_as_asked(tmp_path: Path) -> None:
    from gateway.cli.remote.inputs import tensor_for
    from gateway.serving.model_view import TensorView

    data = io.BytesIO()
    Image.new("RGB", (6, 4), (0, 255, 51)).save(data, "PNG")
    planar = TensorView("X", "FP32", (1, 3, 4, 6))
    for scaling, green, blue in (("none", 255.0, 51.0), ("unit", 1.0, 0.2), ("symmetric", 1.0, -0.6)):
        tensor = tensor_for(planar, data.getvalue(), scaling)
        values = np.frombuffer(tensor.data, np.float32).reshape(1, 3, 4, 6)
        np.testing.assert_allclose(values[0, 1:, 0, 0], [green, blue], rtol=1e-6)
