"""What a new configuration means for each model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.configuration.settings import ModelSettings, PipelineSettings, Settings, StepSettings
from gateway.daemon.model_plan import ChangeKind, ModelPlan, changes, model_plan

BASE = Settings(
    models={"a": ModelSettings("/models/a"), "b": ModelSettings("/models/b")},
    pipelines={"p": PipelineSettings("a"), "q": PipelineSettings("b")},
)


def _planned(wanted: Settings) -> dict[str, ChangeKind]:
    return changes(_plans(BASE), _plans(wanted))


def _plans(settings: Settings) -> dict[str, ModelPlan]:
    return {name: model_plan(name, settings) for name in settings.models}


def _model(**changes: object) -> Settings:
    return replace(BASE, models={**BASE.models, "a": replace(BASE.models["a"], **changes)})  # type: ignore[arg-type]


def test_the_same_settings_change_nothing() -> None:
    assert set(_planned(BASE).values()) == {ChangeKind.KEEP}


@pytest.mark.parametrize(
    ("wanted", "kind"),
    [
        (_model(lanes=3), ChangeKind.RESIZE),
        (_model(threads=2), ChangeKind.REPLACE),
        (_model(path="/models/other"), ChangeKind.REPLACE),
        (_model(max_batch_rows=2), ChangeKind.REPLACE),
        (_model(max_queued_rows=7), ChangeKind.REPLACE),
        (_model(run_timeout_s=3.0), ChangeKind.REPLACE),
        (
            replace(
                BASE,
                pipelines={**BASE.pipelines, "p": PipelineSettings("a", (StepSettings("resize", {}),))},
            ),
            ChangeKind.REPIPE,
        ),
        (replace(BASE, pipelines={**BASE.pipelines, "r": PipelineSettings("a")}), ChangeKind.REPIPE),
        (replace(BASE, models={"b": BASE.models["b"]}), ChangeKind.REMOVE),
        (replace(BASE, pipelines={**BASE.pipelines, "p": PipelineSettings("a", ttl_ms=5)}), ChangeKind.KEEP),
    ],
)
def test_each_difference_costs_no_more_than_it_must(wanted: Settings, kind: ChangeKind) -> None:
    planned = _planned(wanted)

    assert planned["a"] is kind
    assert planned["b"] is ChangeKind.KEEP


def test_a_new_model_is_started() -> None:
    wanted = replace(BASE, models={**BASE.models, "c": ModelSettings("/models/c")})

    assert _planned(wanted)["c"] is ChangeKind.REPLACE


def test_files_that_changed_in_place_are_loaded_anew() -> None:
    before = _plans(BASE)
    after = {**before, "a": replace(before["a"], files="other")}

    assert changes(before, after) == {"a": ChangeKind.REPLACE, "b": ChangeKind.KEEP}
