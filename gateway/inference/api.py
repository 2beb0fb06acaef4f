"""Two calls for programs that run models without the daemon: warm up, and infer with a time limit."""

from __future__ import annotations

import queue
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.errors import DeadlineRunning
from gateway.inference.loaded import Answer, LoadedModel, Member


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What the first runs took.

    Attributes:
        first_ms: The first run, with everything that is paid once.
        warm_ms: Median of the later runs; the first's if there was one run only.
    """

    first_ms: float
    warm_ms: float


def warmup_model(model: LoadedModel, runs: int = 3) -> WarmUp:
    """Run a model on zeros, so that the first real frame does not pay for what is paid once.

    Args:
        runs: At least 1.

    Raises:
        WarmupFailed: A run failed.
    """
    took_ms = []
    for _ in range(max(runs, 1)):
        started_s = time.perf_counter()
        model.warm_up(runs=1)
        took_ms.append((time.perf_counter() - started_s) * 1e3)
    return WarmUp(took_ms[0], statistics.median(took_ms[1:] or took_ms))


def infer_with_timeout(model: LoadedModel, members: Sequence[Member], timeout_s: float) -> list[Answer]:
    """Answer ``members`` in a thread of its own, and stop waiting after ``timeout_s``.

    A runtime cannot be interrupted in the middle of a run: after a timeout the thread
    goes on until its run returns, and only then may the model or the payloads be used
    again. Only a process can be ended at once, which is why the daemon's lanes are processes.

    Args:
        members: A later deadline of a member is brought forward to the time limit, so
            that rows which have not begun by then never run.

    Returns:
        One answer a member, in order.

    Raises:
        DeadlineRunning: The time limit passed first.
    """
    deadline_s = time.monotonic() + timeout_s
    bounded = [
        Member(each.pipeline, each.payload, each.declared, each.state, min(each.deadline_s, deadline_s))
        for each in members
    ]
    answers: queue.SimpleQueue[list[Answer]] = queue.SimpleQueue()
    threading.Thread(
        target=lambda: answers.put(model.run_batch(bounded, time.monotonic)), name="infer", daemon=True
    ).start()
    try:
        return answers.get(timeout=max(deadline_s - time.monotonic(), 0))
    except queue.Empty:
        raise DeadlineRunning(f"no answer within {timeout_s:g} s", model=model.version.name) from None
