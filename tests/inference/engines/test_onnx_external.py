"""What an ONNX file makes the runtime open is known before the runtime sees it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import LoadFailed
from gateway.inference.engines import onnx_fields
from gateway.inference.engines.onnx_external import external_files
from tests import onnx_writer
from tests.inference.model_folders import MODELS
from tests.onnx_writer import External, Graph

PORTS = ([("x", "float32", (1, 16))], [("y", "float32", (1, 4))])
SHAPE = np.zeros((16, 4), np.float32)


def inner(path: Path, where: External) -> Path:
    """Write a model whose external tensor is in the body of a loop."""
    body = Graph(
        [onnx_writer.node("Identity", ["go"], ["go_on"])],
        [("turn", "int64", ()), ("go", "bool", ())],
        [("go_on", "bool", ())],
        {"w": SHAPE},
        {"w": where},
    )
    return onnx_writer.write(path, Graph([onnx_writer.node("Loop", ["", ""], ["y"], body=body)], *PORTS))


def test_a_model_in_one_file_has_no_other(tmp_path: Path) -> None:
    assert external_files(onnx_writer.product(tmp_path / "m.onnx")) == ()
    for model in MODELS.glob("*/*.onnx"):
        assert external_files(model) == ()


def test_each_file_is_named_once_however_many_tensors_it_holds(tmp_path: Path) -> None:
    arrays = {"a": SHAPE, "b": SHAPE, "c": SHAPE}
    where = {"a": External("w.bin"), "b": External("w.bin", "256"), "c": External("data/v.bin")}
    path = onnx_writer.write(tmp_path / "m.onnx", Graph([], *PORTS, arrays, where))
    assert sorted(external_files(path)) == ["data/v.bin", "w.bin"]


def test_a_file_named_deep_in_a_loop_is_found(tmp_path: Path) -> None:
    assert external_files(inner(tmp_path / "m.onnx", External("deep.bin"))) == ("deep.bin",)


def test_the_runtime_opens_just_what_is_named(tmp_path: Path) -> None:
    import onnxruntime

    path = onnx_writer.beside(tmp_path / "m.onnx", External("w.bin", "0", str(SHAPE.nbytes)))
    (name,) = external_files(path)
    with pytest.raises(Exception, match=r"w\.bin"):
        onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (tmp_path / name).write_bytes(np.ones((16, 4), np.float32).tobytes())
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {"x": np.ones((1, 16), np.float32)})
    assert answer.tolist() == [[16.0] * 4]


@pytest.mark.parametrize(
    "location",
    [
        "../w.bin",
        "/etc/passwd",
        "/proc/self/environ",
        "a/../w.bin",
        "a/b/w.bin",
        "./w.bin",
        ".hidden",
        "w\x00.bin",
        "w\n.bin",
        "\u0430.bin",
        "*/_ORT_MEM_ADDR_/*",
        "C:\\w.bin",
        "x" * 300,
        "a//b",
        "w.bin/",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, location: str) -> None:
    for path in (
        onnx_writer.beside(tmp_path / "m.onnx", External(location)),
        inner(tmp_path / "i.onnx", External(location)),
    ):
        with pytest.raises(LoadFailed, match="only NAME or FOLDER/NAME") as caught:
            external_files(path)
        assert caught.value.message.isprintable()


@pytest.mark.parametrize("twice", [b"location", b"offset"])
def test_a_second_location_cannot_hide_behind_the_first(tmp_path: Path, twice: bytes) -> None:
    # Of a field that stands twice in one entry, readers of protobuf take the last; so does whoever lies.
    entry = held(1, twice) + held(1, b"location") + held(2, b"w.bin") + held(2, b"/etc/passwd")
    path = tmp_path / "m.onnx"
    path.write_bytes(held(7, held(5, held(13, entry))))
    with pytest.raises(LoadFailed, match="/etc/passwd"):
        external_files(path)


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"\xff" * 20, b"\x3a\x7f", b"\x3b", b"\x3a\xff\xff\xff\xff\x0f"]
)
def test_what_is_no_protobuf_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    with pytest.raises(LoadFailed):
        external_files(path)
    with pytest.raises(LoadFailed):
        external_files(tmp_path / "absent.onnx")


def test_endless_nesting_is_refused(tmp_path: Path) -> None:
    body = b""
    for _ in range(200):
        body = held(1, held(5, held(6, body)))  # a node, its attribute, and the graph in that
    path = tmp_path / "m.onnx"
    path.write_bytes(held(7, body))
    with pytest.raises(LoadFailed, match="nested deeper"):
        external_files(path)


def test_a_file_of_tiny_fields_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"\x08\x01" * 5000)
    assert external_files(path) == ()
    monkeypatch.setattr(onnx_fields, "MOST_FIELDS", 4999)
    with pytest.raises(LoadFailed, match="more than 4999 fields"):
        external_files(path)


def held(number: int, data: bytes) -> bytes:
    """Return a field that holds bytes."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_files_give_names_or_one_error(tmp_path: Path, data: st.DataObject) -> None:
    path = inner(tmp_path / "m.onnx", External("deep.bin"))
    spoilt = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        spoilt[data.draw(st.integers(0, len(spoilt) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(spoilt[: data.draw(st.integers(1, len(spoilt)))])
    try:
        assert all(".." not in name and not name.startswith("/") for name in external_files(path))
    except LoadFailed as error:
        assert error.message.isprintable()
