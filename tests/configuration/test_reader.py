"""Strict reading of texts into dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config_issue import ConfigIssue
from gateway.configuration import reader
from gateway.configuration.nearest import nearest
from gateway.configuration.option import option
from gateway.configuration.place import Place
from gateway.configuration.reader import MAX_ISSUES, read, read_with_positions
from gateway.configuration.secret import Secret
from gateway.configuration.secrets import SecretSource
from gateway.configuration.settings import Settings, StepSettings
from gateway.errors import ConfigError
from gateway.model import ModelCard
from tests.configuration.test_document import YAML_LIKE, inside


@dataclass(frozen=True, slots=True)
class Engine:
    """A nested section."""

    cylinders: int = option("How many.", 4, minimum=1, maximum=12)
    fuel: str = option("What it burns.", "diesel", choices=("diesel", "petrol"))


@dataclass(frozen=True, slots=True)
class Car:
    """Every type that can be declared."""

    plate: str = option("Number plate.", pattern=r"[A-Z0-9.-]+")
    weight_t: float = option("Mass.", 1.5, minimum=0)
    electric: bool = option("No fuel.", False)
    seats: tuple[int, ...] = option("By row.", (2, 3), minimum=1)
    key: Secret = option("Opens it.", factory=lambda: Secret(""))  # noqa: RUF009 - as settings are declared
    owner: str = option("Whose.", "", references=True)
    engine: Engine = field(default_factory=Engine, metadata={"doc": "What drives it."})
    doors: Mapping[str, Engine] = option("By name.", factory=dict, keys="[a-z]+")
    labels: Mapping[str, str] = option("Free.", factory=dict)
    facts: Mapping[str, object] = option("Anything.", factory=dict)
    steps: tuple[StepSettings, ...] | None = option("Steps.", None)


def issues(text: str, cls: type = Car) -> list[ConfigIssue]:
    with pytest.raises(ConfigError) as caught:
        read(text, "f.yaml", cls)
    return list(caught.value.issues)


def only_issue(text: str) -> ConfigIssue:
    (issue,) = issues(text)
    return issue


def test_every_declared_type_is_read() -> None:
    car = read(
        """
        plate: AB-12
        weight_t: 2
        electric: true
        seats: [1, 2]
        key: "p w"
        engine: {cylinders: 0x6, fuel: petrol}
        doors: {left: {cylinders: 2}, right: }
        labels: {room: 12}
        facts: {a: 1, b: [1.5, no, null], c: {d: "1"}}
        steps: [crop, {resize: {width: 3}}, softmax: ]
        """,
        "f.yaml",
        Car,
    )
    assert car == Car(
        plate="AB-12",
        weight_t=2.0,
        electric=True,
        seats=(1, 2),
        key=Secret("p w"),
        engine=Engine(6, "petrol"),
        doors={"left": Engine(2), "right": Engine()},
        labels={"room": "12"},
        facts={"a": 1, "b": [1.5, "no", None], "c": {"d": "1"}},
        steps=(StepSettings("crop", {}), StepSettings("resize", {"width": 3}), StepSettings("softmax", {})),
    )


def test_everything_wrong_is_reported_at_once_in_the_order_of_the_file() -> None:
    found = issues(
        "weight_t: -1\nelectric: yes\nseats: [1, 0]\nengine:\n  cilinders: 3\n  fuel: gas\nwheels: 4\n"
    )
    assert [(i.line, i.column, i.path) for i in found] == [
        (1, 1, "plate"),
        (1, 11, "weight_t"),
        (2, 11, "electric"),
        (3, 12, "seats[1]"),
        (5, 3, "engine.cilinders"),
        (6, 9, "engine.fuel"),
        (7, 1, "wheels"),
    ]
    assert "did you mean cylinders?" in found[4].what
    assert str(found[4]) == "f.yaml:5:3: engine.cilinders: unknown key; did you mean cylinders?"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("electric: no", "write false"),
        ('electric: "true"', "needs true or false"),
        ('weight_t: "1"', "without quotes"),
        ("weight_t: .nan", "finite"),
        ("weight_t: 1e999", "finite"),
        ("weight_t: 007", "leading zeros"),
        ("weight_t:", "not nothing"),
        ("engine: {cylinders: 4.0}", "whole number"),
        ("engine: {cylinders: 1_0}", "write 10"),
        ("engine: {cylinders: 1:30}", "whole number"),
        ("engine: {cylinders: 13}", "more than 12"),
        (f"engine: {{cylinders: {'9' * 5000}}}", "whole number"),
        ("engine: 3", "keys and values"),
        ("engine: [3]", "keys and values"),
        ("seats: 3", "write [3]"),
        ("doors: {Left: {}}", "does not match"),
        ("labels: {a: }", "needs a text"),
        ("labels: {a: [1]}", "not a list"),
        ("owner: {a: 1}", "not a mapping"),
        ("steps: [{a: 1}]", "options of a step"),
        ("steps: [{a: {}, b: {}}]", "a step is written"),
        ("steps: [~]", "a step is written"),
        ("steps: ['']", "not the name of a step"),
        ("facts: {a: .inf}", "finite"),
        ("facts: {a: {b: 1, b: 2}}", "duplicate"),
        ("key: ${env:X}", "not taken in this file"),
        ("labels: {a: '${env:X}'}", "secrets only"),
        ("plate: C", "duplicate"),
        (f"owner: {'a' * 4097}", "at most 4096"),
        ('owner: "a\\0b"', "control character U+0000"),
        ('labels: {"a\\eb": c}', "control character"),
    ],
)
def test_a_wrong_value_is_refused_with_what_to_do(line: str, words: str) -> None:
    issue = only_issue(f"plate: A\n{line}\n")
    assert issue.line == 2
    assert words in issue.what


def test_a_text_keeps_the_characters_as_written() -> None:
    assert read("plate: 1.10", "f.yaml", Car).plate == "1.10"
    assert read("plate: NO", "f.yaml", Car).plate == "NO"


def test_an_empty_block_stands_for_its_default() -> None:
    assert read("plate: A\nengine:\nseats:\nlabels:\ndoors:\nsteps:\n", "f.yaml", Car) == Car("A")


def test_an_empty_required_block_is_missing() -> None:
    found = issues("sensors: {declared: {cam: {streams: }}}", Settings)
    assert [(i.path, i.line, i.column) for i in found] == [("sensors.declared.cam.streams", 1, 28)]


def test_a_fault_in_an_aliased_block_is_reported_once() -> None:
    assert only_issue("plate: A\ndoors: {a: &d {cylinders: 0}, b: *d}").column == 27


def test_thousands_of_faults_are_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def counted(name: str, known: list[str]) -> str:
        compared.append(name)
        return nearest(name, known)

    monkeypatch.setattr(reader, "nearest", counted)
    text = "plate: A\n" + "".join(f"cylinder{i}: 1\n" for i in range(40_000))
    assert len(issues(text)) == MAX_ISSUES
    assert len(compared) <= MAX_ISSUES + 1


def test_positions_point_at_values_blocks_items_and_steps() -> None:
    text = "plate: A\nengine:\n  fuel: petrol\nseats: [1, 2]\nsteps:\n- crop\n- resize: {width: 3}\n"
    positions = read_with_positions(text, "f.yaml", Car).positions
    assert positions.at("plate") == Place(1, 8)
    assert positions.at("engine") == Place(2, 1)
    assert positions.at("engine.fuel") == Place(3, 9)
    assert positions.at("seats[1]") == Place(4, 12)
    assert positions.at("steps[1].resize") == Place(7, 3)
    assert positions.at("steps[1].resize.width") == Place(7, 19)


def test_a_path_that_is_not_in_the_file_has_the_place_of_what_is_above_it() -> None:
    positions = read_with_positions("plate: A\nengine:\n  fuel: petrol\n", "f.yaml", Car).positions
    assert positions.at("engine.cylinders.deeper[3]") == Place(2, 1)
    assert positions.at("weight_t") == Place(1, 1)


def test_references_resolve_for_secrets_and_marked_texts(tmp_path: Path) -> None:
    source = SecretSource({"WHO": "me", "PW": "hush"}, tmp_path)
    car = read("plate: A\nkey: ${env:PW}\nowner: ${env:WHO}\n", "f.yaml", Car, secrets=source)
    assert (car.key.value, car.owner) == ("hush", "me")


def test_a_missing_secret_is_an_issue_beside_the_others(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read("key: ${env:PW}\nelectric: 1\n", "f.yaml", Car, secrets=SecretSource({}, tmp_path))
    assert [i.path for i in caught.value.issues] == ["plate", "key", "electric"]


def test_a_dollar_doubled_is_a_literal_one() -> None:
    assert read("plate: A\nkey: $${env:PW}\n", "f.yaml", Car).key.value == "${env:PW}"


def test_a_world_readable_secret_file_is_a_warning(tmp_path: Path) -> None:
    secret = tmp_path / "pw"
    secret.write_text("hush\n")
    secret.chmod(0o644)
    text = "plate: A\nkey: ${file:pw}\n"
    reading = read_with_positions(text, "f.yaml", Car, secrets=SecretSource({}, tmp_path))
    assert reading.value.key.value == "hush"
    (warning,) = reading.warnings
    assert (warning.line, warning.path) == (2, "key")
    assert "hush" not in str(warning)
    secret.chmod(0o600)
    assert not read_with_positions(text, "f.yaml", Car, secrets=SecretSource({}, tmp_path)).warnings


def test_a_model_card_is_read_by_the_same_reader() -> None:
    card = read(
        f"""
        {{name: m, version: 1.0, summary: s, source: x, licence: MIT, file: m.onnx, sha256: {"a" * 64},
        format: onnx, inputs: [{{name: x, dtype: int8, shape: [1, -1]}}], outputs: [],
        constants: {{sr: 16000}}, golden: [{{file: a.jpg, expect: {{label: cat}}}}]}}
        """,
        "card.yaml",
        ModelCard,
    )
    assert card.version == "1.0"
    assert card.constants == {"sr": 16000.0}
    assert card.golden[0].expect == {"label": "cat"}


KEYS = st.sampled_from(
    [
        "gateway",
        "mqtt",
        "sensors",
        "models",
        "pipelines",
        "inference",
        "http",
        "log",
        "url",
        "password",
        "path",
        "model",
        "preprocess",
        "declared",
        "streams",
        "topic",
        "admission",
        "action",
        "labels",
        "filter",
        "enabled",
        "qos",
        "${env:A}",
        "<<",
        "1",
        "x",
    ]
)
WORDS = st.sampled_from(
    ["1", "-1", "1.5", "true", "no", "~", '""', "a", "${env:A}", "${file:/}", "&a b", "*a", "'x y'", "010"]
)
NOWHERE = SecretSource({}, Path("/nonexistent"))
FLOW = st.recursive(
    WORDS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]"),
        st.lists(st.tuples(KEYS, inner), max_size=4).map(
            lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"
        ),
    ),
    max_leaves=15,
)


@given(st.one_of(FLOW, YAML_LIKE))
def test_any_text_gives_settings_or_issues_that_lie_inside_it(text: str) -> None:
    try:
        outcome: Settings | ConfigError = read(text, "f.yaml", Settings, secrets=NOWHERE)
    except ConfigError as error:
        outcome = error
    if isinstance(outcome, ConfigError):
        assert outcome.issues
        assert all(inside(issue, text) for issue in outcome.issues)
    else:
        assert isinstance(outcome, Settings)
