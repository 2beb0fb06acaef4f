"""``gateway push`` and ``gateway rollout watch`` on a real broker and repository, with scripted boards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import main
from gateway.updates.reported import ReportedModel
from tests.broker import Broker
from tests.cli.scripted_board import ScriptedBoard, baking, coming, committed, factory, rolled_back
from tests.inference.model_folders import MODELS

MODEL = "motion-int8"


@pytest.fixture(name="broker", scope="module")
def _broker() -> Iterator[Broker]:
    with Broker() as broker:
        yield broker


@pytest.fixture(name="release", scope="module")
def _release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packed") / "release"
    assert (
        main(["release", "pack", str(MODELS / MODEL), "--out", str(out), "--mutations", "5", "--json"]) == 0
    )
    return out


@pytest.fixture(name="repo")
def _repo(tmp_path: Path) -> Path:
    repo = tmp_path / "repo"
    assert main(["repo", "init", str(repo), "--json"]) == 0
    return repo


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{") and line.endswith("}")]


def push(release: Path, repo: Path, broker: Broker, *more: str) -> int:
    always = ["push", str(release), "--repo", str(repo), "--group", "door", "--url", broker.url, "--json"]
    return main([*always, "--timeout", "60", *more])


def test_push_follows_a_board_through_every_step_until_it_commits(
    release: Path, repo: Path, broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    script = [factory(), coming(1), baking(1), committed(1)]
    capsys.readouterr()
    with ScriptedBoard(broker.url, MODEL, {"cam-1": script}) as board:
        assert push(release, repo, broker, "--watch", "--boards", "1") == 0
    said = lines(capsys.readouterr().out)
    assert said[0] == {"published": 1, "model": MODEL, "assign_version": 1}
    assert said[-2]["standing"] == "committed"
    assert said[-1] == {"end": "committed", "committed": 1, "failed": 0}
    assert [(bell["schema"], bell["assign_version_hint"]) for bell in board.rung] == [(1, 1)]
    assert len(str(board.rung[0]["request_id"])) == 16


def test_push_ends_with_1_when_a_board_rolls_back_and_says_why(
    release: Path, repo: Path, broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    scripts: dict[str, Any] = {
        "cam-1": [factory(), baking(1), committed(1)],
        "cam-2": [factory(), baking(1), rolled_back(1)],
    }
    with ScriptedBoard(broker.url, MODEL, scripts):
        assert push(release, repo, broker, "--watch", "--boards", "2") == 1
    said = lines(capsys.readouterr().out)
    failed = [each for each in said if each.get("standing") == "failed"]
    assert [each["board"] for each in failed] == ["cam-2"]
    assert failed[0]["words"] == "update.bake bake: 3 of 10 requests failed"
    assert said[-1] == {"end": "failed", "committed": 1, "failed": 1}


def test_push_ends_with_75_when_a_board_never_gets_done(
    release: Path, repo: Path, broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScriptedBoard(broker.url, MODEL, {"cam-1": [factory(), coming(1)]}):
        assert push(release, repo, broker, "--watch", "--boards", "1", "--timeout", "1") == 75
    assert lines(capsys.readouterr().out)[-1] == {"end": "timeout"}


def test_push_waits_for_nobody_outside_the_percentage_but_for_the_canary(
    release: Path, repo: Path, broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    scripts: dict[str, list[ReportedModel]] = {
        "cam-1": [factory()],
        "cam-2": [factory(), committed(1)],
    }
    with ScriptedBoard(broker.url, MODEL, scripts):
        assert (
            push(release, repo, broker, "--watch", "--percent", "0", "--canary", "cam-2", "--boards", "1")
            == 0
        )
    boards = {each["board"] for each in lines(capsys.readouterr().out) if "board" in each}
    assert boards == {"cam-2"}


def test_push_packs_a_model_folder_under_the_next_number_of_the_repository(
    release: Path, repo: Path, broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert push(release, repo, broker) == 0
    out = tmp_path / "second"
    assert push(MODELS / MODEL, repo, broker, "--mutations", "5", "--out", str(out)) == 0
    assert lines(capsys.readouterr().out)[-1] == {"published": 2, "model": MODEL, "assign_version": 2}
    assert json.loads((out / "manifest.json").read_bytes())["release"] == 2


def test_push_without_a_broker_publishes_and_only_warns(
    release: Path, repo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "gateway.yaml"
    # Port 9 of this machine: nobody listens there.
    config.write_text('mqtt: {url: "mqtt://127.0.0.1:9", connect_timeout_s: 0.5}\n')
    always = ["push", str(release), "--repo", str(repo), "--group", "door", "-c", str(config)]
    assert main(always) == 0
    told = capsys.readouterr()
    assert "published motion-int8 1 for group door, assignment 1" in told.out
    assert "not rung" in told.err
    assert main([*always, "--watch"]) == 69


def watch(repo: Path, broker: Broker, *more: str) -> int:
    always = [
        "rollout",
        "watch",
        "--repo",
        str(repo),
        "--group",
        "door",
        "--model",
        MODEL,
        "--url",
        broker.url,
    ]
    return main([*always, "--json", "--soak", "0", "--timeout", "60", *more])


def assigned(repo: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["repo", "status", "--repo", str(repo), "--json"]) == 0
    wish: dict[str, Any] = json.loads(capsys.readouterr().out)["assignments"]["door"]["models"][MODEL]
    return wish


def test_a_rollout_that_goes_well_is_raised_to_the_last_step(
    release: Path, repo: Path, broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    assert push(release, repo, broker, "--percent", "0") == 0
    capsys.readouterr()
    boards = {f"cam-{number}": [factory(), committed(1)] for number in range(8)}
    with ScriptedBoard(broker.url, MODEL, boards):
        assert watch(repo, broker, "--steps", "50,100", "--boards", "8") == 0
    said = lines(capsys.readouterr().out)
    assert [each["percent"] for each in said if each["move"] == "raise"] == [50, 100]
    assert said[-1] == {"percent": 100.0, "move": "done", "reason": "8 of 8 boards committed"}
    assert assigned(repo, capsys)["percent"] == 100


def test_a_rollout_with_failures_is_paused(
    release: Path, repo: Path, broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    assert push(release, repo, broker, "--percent", "0") == 0
    boards = {f"cam-{number}": [factory(), rolled_back(1)] for number in range(8)}
    with ScriptedBoard(broker.url, MODEL, boards):
        assert watch(repo, broker, "--steps", "50,100", "--boards", "8") == 1
    wish = assigned(repo, capsys)
    assert (wish["percent"], wish["paused"]) == (50, True)
    # A paused rollout means nobody: watching it on would raise it.
    assert watch(repo, broker, "--steps", "50,100", "--boards", "8") == 1
    assert "motion-int8 is paused" in capsys.readouterr().err


def test_a_rollout_with_failures_goes_back_to_the_release_before(
    release: Path, repo: Path, broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert push(release, repo, broker) == 0
    second = tmp_path / "second"
    arguments = ["release", "pack", str(MODELS / MODEL), "--number", "2", "--mutations", "5"]
    assert main([*arguments, "--out", str(second)]) == 0
    assert push(second, repo, broker, "--percent", "0") == 0
    boards = {f"cam-{number}": [committed(1), rolled_back(2)] for number in range(8)}
    with ScriptedBoard(broker.url, MODEL, boards):
        assert watch(repo, broker, "--steps", "100", "--boards", "8", "--on-error", "revert") == 1
    wish = assigned(repo, capsys)
    assert (wish["release"], wish["percent"], wish["allow_downgrade"]) == (1, 100, True)
