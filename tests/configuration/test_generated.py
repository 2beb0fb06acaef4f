"""The generated files are up to date, and say what they claim."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.configuration.default_file import default_text
from gateway.configuration.generated import generated_files
from gateway.configuration.key_table import BEGIN, END, key_table, within
from gateway.configuration.load import load
from gateway.configuration.reader import read
from gateway.configuration.settings import Settings
from gateway.configuration.shape import ListOf, MapOf, Section, section_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", sorted(generated_files(ROOT)))
def test_the_file_is_what_the_declarations_make(name: str) -> None:
    expected = generated_files(ROOT)[name]
    assert expected == (ROOT / name).read_text(encoding="utf-8"), "run scripts/make-configuration"


def test_the_default_file_changes_no_default() -> None:
    shipped = read(default_text(), "f.yaml", Settings)
    plain = Settings()
    for name in ("gateway", "mqtt", "inference", "http", "log"):
        assert getattr(plain, name) == getattr(shipped, name)
    for name in ("discovery", "learn", "presence", "declared"):
        assert getattr(plain.sensors, name) == getattr(shipped.sensors, name)


def test_the_blocks_that_are_commented_out_can_be_uncommented() -> None:
    settings = read(default_text(comment_blocks=False), "f.yaml", Settings)
    assert "my-model" in settings.models
    assert "my-pipeline" in settings.pipelines
    assert "frame" in settings.sensors.declared["door-camera"].streams
    assert len(settings.sensors.admission) == 4


def every_key(section: Section) -> set[str]:
    names = set()
    for key in section.keys:
        names.add(key.name)
        inner = key.shape.item if isinstance(key.shape, ListOf | MapOf) else key.shape
        if isinstance(inner, Section):
            names |= every_key(inner)
    return names


def test_every_key_stands_in_the_default_file_and_in_the_table() -> None:
    text, table = default_text(), key_table()
    for name in every_key(section_of(Settings)):
        assert f"{name}:" in text
        assert f"`{name}`" in table or f".{name}" in table or f"`{name}." in table


def test_the_shipped_file_serves_cameras_microphones_and_accelerometers() -> None:
    loaded = load(ROOT / "config" / "gateway.yaml", {})
    bound = {rule.kind: rule.pipelines for rule in loaded.settings.sensors.admission}
    assert bound == {"camera": ("classify",), "microphone": ("speech",), "accelerometer": ("motion",)}
    assert loaded.settings.sensors.discovery.announce
    assert not loaded.warnings


@pytest.mark.parametrize(
    "file", sorted((ROOT / "config" / "examples").glob("*.yaml")), ids=lambda file: file.stem
)
def test_every_example_is_right(file: Path, tmp_path: Path) -> None:
    (tmp_path / "mqtt-password").write_text("hush\n")
    loaded = load(file, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert loaded.settings.pipelines


def test_a_document_without_marks_is_refused() -> None:
    assert within(f"a\n{BEGIN}\nold\n{END}\nb", "new") == f"a\n{BEGIN}\n\nnew\n{END}\nb"
    with pytest.raises(ValueError, match="needs the lines"):
        within("a", "new")
