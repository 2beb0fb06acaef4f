"""The door of the command line: commands, errors, exit codes."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from gateway.cli import main as cli
from gateway.cli.exit_codes import MEANINGS, ExitCode, exit_code
from gateway.cli.main import COMMANDS, error_document, main, report
from gateway.config_issue import ConfigIssue
from gateway.error_words import leaves
from gateway.errors import ConfigError, GatewayError, Overloaded
from gateway.operations.build import VERSION

ROOT = Path(__file__).parents[2]
ISSUE = ConfigIssue("f.yaml", 3, 7, "mqtt.url", "no")


def run_process(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m gateway`` as a user does."""
    return subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "gateway", *arguments],
        cwd=ROOT,
        env=os.environ | more,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: gateway {name}")
    assert COMMANDS[name][1].capitalize() in " ".join(out.split())


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in COMMANDS)


def test_no_command_is_a_usage_error_that_shows_the_overview(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == ExitCode.USAGE
    assert "commands:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["frobnicate"], ["version", "--frobnicate"], ["check"], ["config", "x"]]
)
def test_a_wrong_command_line_ends_with_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == ExitCode.USAGE
    assert "usage: gateway" in capsys.readouterr().err


def test_version_imports_nothing_that_takes_time() -> None:
    done = run_process("version")
    assert (done.returncode, done.stdout) == (0, f"gateway {VERSION}\n")
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    heavy = {
        "numpy",
        "asyncio",
        "yaml",
        "paho",
        "onnxruntime",
        "hypercorn",
        "prometheus_client",
        "http.client",
    }
    assert {"gateway.cli.main", "gateway.cli.exit_codes"} <= imported
    assert not imported & heavy


def test_version_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == VERSION


@pytest.mark.parametrize("leaf", list(leaves()), ids=lambda leaf: leaf.__name__)
def test_every_error_has_an_exit_code_that_is_neither_success_nor_usage(leaf: type[GatewayError]) -> None:
    error = leaf((ISSUE,)) if leaf is ConfigError else GatewayError.__new__(leaf)
    assert exit_code(error) not in {ExitCode.OK, ExitCode.USAGE, ExitCode.INTERRUPTED}


def test_every_exit_code_is_in_words_and_in_the_docs() -> None:
    document = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for code in ExitCode:
        assert f"| {code.value} | {MEANINGS[code]} |" in document


def test_every_command_is_in_the_docs() -> None:
    document = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"`gateway {name}" in document


def test_an_error_is_one_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    report(Overloaded("queue full"), as_json=False)
    assert capsys.readouterr() == ("", "gateway: unavailable.overloaded: queue full\n")


def test_a_wrong_configuration_is_told_issue_by_issue(capsys: pytest.CaptureFixture[str]) -> None:
    report(ConfigError((ISSUE, ISSUE)), as_json=False)
    assert capsys.readouterr().err == "f.yaml:3:7: mqtt.url: no\n" * 2


def test_errors_are_json_where_json_was_asked_for() -> None:
    assert error_document(Overloaded("full", model="m")) == {
        "label": "unavailable.overloaded",
        "message": "full",
        "attributes": {"model": "m"},
    }
    issues = error_document(ConfigError((ISSUE,)))["issues"]
    assert issues == [{"file": "f.yaml", "line": 3, "column": 7, "path": "mqtt.url", "what": "no"}]


class Ending:
    """A command that ends by raising."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Take none."""

    def run(self, options: argparse.Namespace) -> int:
        """Raise."""
        raise self.error


def test_ctrl_c_ends_without_a_traceback() -> None:
    assert cli._guarded(Ending(KeyboardInterrupt()), argparse.Namespace()) == ExitCode.INTERRUPTED


def test_a_bug_is_not_dressed_up() -> None:
    with pytest.raises(ZeroDivisionError):
        cli._guarded(Ending(ZeroDivisionError()), argparse.Namespace())


def test_output_that_nobody_reads_ends_quietly() -> None:
    command = f"{sys.executable} -m gateway config default | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode in {ExitCode.PIPE_CLOSED, ExitCode.OK}
    assert not done.stderr


def test_every_module_named_in_the_table_offers_a_command() -> None:
    for module, _ in COMMANDS.values():
        command = import_module(module)
        assert callable(command.add_arguments)
        assert callable(command.run)
