"""``gateway sensors``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.main import main
from gateway.cli.sensors import table
from tests.cli.test_client import STATUS, with_door

STREAM: dict[str, object] = {
    "name": "frame",
    "topic": "yard/cam-1/frame",
    "media": "image/jpeg",
    "rate_hz": 9.98,
    "frames": 100,
    "results": 97,
    "drops": {"replaced": 2, "expired": 1},
    "latency_ms": {"p50": 6.1, "p99": 9.0},
    "last_result": {"prediction": {"kind": "classification", "classes": [{"label": "tabby", "score": 0.91}]}},
    "last_result_age_s": 0.05,
}
CAMERA: dict[str, object] = {
    "id": "cam-1",
    "name": "Door",
    "kind": "camera",
    "dialect": "announce",
    "presence": "online",
    "age_s": 0.1,
    "pipelines": ["classify", "faces"],
    "admission": "admitted",
    "reason": "rule 1",
    "streams": [STREAM],
}
WAITING = {
    "id": "mic-2",
    "kind": "",
    "presence": "unknown",
    "admission": "pending",
    "reason": "no rule",
    "streams": [],
}


def test_the_table_has_a_line_a_stream(capsys: pytest.CaptureFixture[str]) -> None:
    status = {**STATUS, "sensors": [CAMERA, WAITING]}
    code = with_door(status, lambda address: main(["sensors", "--url", f"http://{address}"]))
    assert code == 0
    head, camera, waiting = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["SENSOR", "KIND", "PRESENCE"]
    assert camera.split() == (
        "cam-1 camera online admitted classify,faces frame 10.0/s 97 3 tabby 0.91".split()  # noqa: SIM905 - a line
    )
    assert waiting.split()[:5] == ["mic-2", "-", "unknown", "pending", "(no"]


def test_the_address_comes_from_the_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gateway.yaml"

    def work(address: str) -> int:
        # The status needs no password, so one that cannot be resolved here does not matter.
        file.write_text(f"http: {{listen: '{address}'}}\nmqtt: {{password: '${{credential:none}}'}}\n")
        return main(["sensors", "-c", str(file), "--json"])

    assert with_door({**STATUS, "sensors": [CAMERA]}, work) == 0
    assert json.loads(capsys.readouterr().out) == {"sensors": [CAMERA]}


def test_a_gateway_without_sensors_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert with_door(STATUS, lambda address: main(["sensors", "--url", f"http://{address}"])) == 0
    assert capsys.readouterr().out == "no sensors\n"


def test_a_sensor_cannot_draw_on_the_terminal() -> None:
    hostile = {**CAMERA, "kind": "\x1b[2Jcamera\r", "pipelines": ["\x1b[31m"]}
    assert all(line.isprintable() for line in table([hostile]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*CAMERA, *STREAM, "x"]), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(st.lists(JSON, max_size=3))
def test_any_status_gives_a_table_of_aligned_columns(sensors: list[object]) -> None:
    head, *lines = table(sensors)
    assert head.startswith("SENSOR")
    assert all(line.isprintable() for line in lines)
