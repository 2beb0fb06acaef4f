"""What of a version's doings is service, what counts for judging it, and what is nobody's business."""

from __future__ import annotations

import pytest

from gateway.daemon.service_watch import Role, ServiceWatch
from gateway.errors import (
    DeadlineQueued,
    DeadlineRunning,
    EngineFailed,
    GatewayError,
    NotReady,
    Overloaded,
    WorkerCrashed,
)
from gateway.inference.request import InferRequest, Outcome, RequestState, Ticket, Timings
from tests.daemon.update_world import Silent

TICKET = Ticket(1, InferRequest("m", "p", "s", b"", "{}", 7.0, 9.0), lambda _ticket, _outcome: None)
STAGES = {"wait": 90.0, "decode": 1.0, "preprocess": 2.0, "infer": 3.0, "postprocess": 4.0}
DONE = Outcome(RequestState.DONE, {"kind": "numbers"}, timings=Timings(5.0, STAGES, 100.0))


def _watch(role: Role) -> tuple[ServiceWatch, Silent]:
    inner = Silent()
    watch = ServiceWatch(inner)
    watch.role = role
    return watch, inner


@pytest.mark.parametrize(
    ("role", "told"),
    [
        (Role.CANDIDATE, ["worker_lost"]),
        (
            Role.SERVING,
            ["request_ended", "batch_ran", "faulted", "worker_lost", "lanes_changed", "out_of_service"],
        ),
        (Role.PAST, ["request_ended", "batch_ran", "faulted", "worker_lost"]),
        (Role.BESIDE, ["request_ended", "faulted", "worker_lost"]),  # its lanes' time is no demand for others
    ],
)
def test_a_candidate_serves_nobody_and_only_what_serves_can_be_out_of_service(
    role: Role, told: list[str]
) -> None:
    watch, inner = _watch(role)
    watch.request_ended(TICKET, DONE)
    watch.batch_ran("m", 1, 0.1)
    watch.faulted("m", 1)
    watch.worker_lost("m", 7, "died", 0)
    watch.lanes_changed("m", 1, 1)
    watch.out_of_service("m", NotReady("died too often"))
    assert inner.told == told
    assert watch.lost_because == "died too often"


def test_a_version_answers_for_its_own_stages_and_not_for_the_queue() -> None:
    watch, _ = _watch(Role.SERVING)
    watch.request_ended(TICKET, DONE)
    assert watch.window.summary().times_ms == {1: (10.0,)}


@pytest.mark.parametrize("error", [Overloaded("full"), DeadlineQueued("late"), NotReady("not yet")])
def test_what_never_ran_says_nothing_of_a_version(error: GatewayError) -> None:
    watch, _ = _watch(Role.SERVING)
    watch.request_ended(TICKET, Outcome(RequestState.FAILED, error=error))
    assert watch.window.summary().recent == 0


@pytest.mark.parametrize(
    "error", [EngineFailed("NaN in output 0"), WorkerCrashed("died"), DeadlineRunning("hung")]
)
def test_what_failed_in_its_hands_is_held_against_it(error: GatewayError) -> None:
    watch, _ = _watch(Role.SERVING)
    watch.request_ended(TICKET, Outcome(RequestState.FAILED, error=error))
    summary = watch.window.summary()
    assert (summary.failed, summary.not_finite) == (1, int("NaN" in error.message))


def test_whoever_waits_for_the_end_of_a_version_hears_of_it_once() -> None:
    watch, _ = _watch(Role.SERVING)
    heard: list[str] = []
    watch.on_lost = heard.append
    watch.out_of_service("m", NotReady("died too often"))
    assert heard == ["died too often"]


@pytest.mark.parametrize(
    ("role", "asked_s"), [(Role.CANDIDATE, 0.0), (Role.SERVING, 7.0), (Role.BESIDE, 7.0)]
)
def test_it_is_known_when_a_version_was_last_asked(role: Role, asked_s: float) -> None:
    watch, _ = _watch(role)
    watch.request_ended(TICKET, DONE)
    assert watch.asked_s == asked_s
