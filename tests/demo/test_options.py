"""The demo's command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.demo.options import DemoOptions, read_arguments, shipped_config


def test_the_shipped_configuration_is_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = shipped_config()
    assert config.is_file()
    assert read_arguments([]) == DemoOptions(0.0, json=False, broker="", config=config)


def test_arguments_are_read(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.touch()
    given = ["--seconds", "2.5", "--json", "--broker", "mqtt://house:1884", "--config", str(config)]
    assert read_arguments(given) == DemoOptions(2.5, json=True, broker="mqtt://house:1884", config=config)


def test_with_updates_a_summary_needs_no_time_limit() -> None:
    given = read_arguments(["--update", "--json"])
    assert (given.update, given.json, given.seconds) == (True, True, 0.0)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (["--seconds", "0"], "above 0"),
        (["--seconds", "nan"], "above 0"),
        (["--json"], "needs --seconds or --update"),
        (["--config", "/nowhere.yaml"], "no such file"),
        (["--speed", "3"], "unrecognized"),
    ],
)
def test_wrong_arguments_end_with_words_and_code_2(
    given: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        read_arguments(given)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err
