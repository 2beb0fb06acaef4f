"""A report says what answers, not what was decided."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gateway.configuration.settings import UpdateSettings
from gateway.daemon.update_board import UpdateBoard
from gateway.daemon.update_report import Standing, release_in, report, stage_of
from gateway.operations.health import Health
from gateway.updates.assignment import Assignment
from gateway.updates.release import ReleaseRef
from gateway.updates.reported import FACTORY, Disk, ReportedModel
from gateway.updates.state import ModelRecord, Phase

ONE, TWO = ReleaseRef(1, "1" * 64), ReleaseRef(2, "2" * 64)
SWITCHING = ModelRecord(
    "door", phase=Phase.BAKING, active=TWO, previous=ONE, candidate=TWO, since_unix_s=50, floor=1
)


def _folder(number: int) -> Path:
    return Path(f"/store/{number}")


def _report(standing: Standing, *lanes: Any) -> ReportedModel:
    facts = SimpleNamespace(version=SimpleNamespace(digest="sha256:ff"))
    scheduler = SimpleNamespace(pool=SimpleNamespace(lanes=lanes), facts=facts)
    catalog: Any = SimpleNamespace(versions={"door": SimpleNamespace(scheduler=scheduler)} if lanes else {})
    board = UpdateBoard("board-1", (), UpdateSettings(group="doors"), assignment=Assignment("doors", 3, {}))
    return report(board, Disk(), {"door": standing}, catalog, Health(60.0)).models["door"]


def _lane(pid: int, mapped: str) -> Any:
    return SimpleNamespace(pid=pid, facts=SimpleNamespace(mapped=mapped))


def test_until_the_new_release_answers_the_old_one_is_what_is_active() -> None:
    serving = release_in("/store/1", SWITCHING, _folder)
    active = _report(Standing(SWITCHING, serving), _lane(7, "aa")).active
    assert active is not None
    assert (active.release, active.digest, active.since, active.mapped) == (1, ONE.digest, 0, {"7": "aa"})
    active = _report(Standing(SWITCHING, release_in("/store/2", SWITCHING, _folder)), _lane(8, "bb")).active
    assert active is not None
    assert (active.release, active.since) == (2, 50)


def test_a_folder_of_no_release_is_the_factory_model() -> None:
    assert release_in("/models/door", SWITCHING, _folder) is None
    active = _report(Standing(SWITCHING, None), _lane(7, "aa")).active
    assert active is not None
    assert (active.release, active.digest) == (FACTORY, "")


def test_only_lanes_that_have_loaded_prove_anything() -> None:
    active = _report(Standing(SWITCHING, ONE), _lane(7, "aa"), SimpleNamespace(pid=8, facts=None)).active
    assert active is not None
    assert active.mapped == {"7": "aa"}


def test_where_nothing_serves_nothing_is_active() -> None:
    assert _report(Standing(SWITCHING)).active is None


def test_the_last_failure_names_its_release() -> None:
    record = ModelRecord("door", candidate=TWO, attempts=2, code="update.fetch", reason="no network")
    found = _report(Standing(record, percent=40.0, failed_release=2, quarantined=(1,)), _lane(7, "aa"))
    assert found.last_error is not None
    assert (found.last_error.code, found.last_error.release, found.quarantined) == ("update.fetch", 2, (1,))
    assert found.candidate is not None
    assert (found.candidate.attempt, found.candidate.percent) == (3, 40.0)


def test_the_stage_of_a_failed_validation_is_reported_and_no_other_word_is_taken_for_one() -> None:
    assert stage_of("golden: model x: golden samples: cat.jpg: top: expected cat") == "golden"
    assert stage_of("its workers died: twice") == ""
    assert stage_of("budget") == ""
