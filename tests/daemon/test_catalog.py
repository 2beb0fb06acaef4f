"""What a new configuration means for each model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.configuration.settings import ModelSettings, PipelineSettings, Settings, StepSettings
from gateway.daemon.catalog import ChangeKind, model_plan, plan

BASE = Settings(
    models={"a": ModelSettings("/models/a"), "b": ModelSettings("/models/b")},
    pipelines={"p": PipelineSettings("a"), "q": PipelineSettings("b")},
)


def _planned(wanted: Settings) -> dict[str, ChangeKind]:
    return plan({name: model_plan(name, BASE) for name in BASE.models}, wanted)


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
    changes = _planned(wanted)

    assert changes["a"] is kind
    assert changes["b"] is ChangeKind.KEEP


def test_a_new_model_is_started() -> None:
    wanted = replace(BASE, models={**BASE.models, "c": ModelSettings("/models/c")})

    assert _planned(wanted)["c"] is ChangeKind.REPLACE
