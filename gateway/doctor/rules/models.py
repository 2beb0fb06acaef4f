"""What the doctor says of the configured models, once each was proven in a process of its own. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.doctor.finding import Figures, Finding, note, ok, problem, warning


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What was seen of one model.

    Attributes:
        name: Under ``models:``.
        folder: Where it lies.
        error: Why it cannot serve; empty if it can.
        engine: What ran it.
        why: Why on that, in words.
        failed: What would have been better and did not hold, with what happened.
        latency_ms: Median of one row; 0 with an error.
        p99_ms: At p99.
        load_s: Seconds to load and warm up.
        memory_bytes: What a lane adds.
        lanes: How many it starts with.
        ttl_ms: The shortest life of a frame among its pipelines; None if it has none.
        shares: Whether another lane shares the weights of the first; None if that is not known.
    """

    name: str
    folder: str
    error: str = ""
    engine: str = ""
    why: str = ""
    failed: tuple[str, ...] = ()
    latency_ms: float = 0.0
    p99_ms: float = 0.0
    load_s: float = 0.0
    memory_bytes: int = 0
    lanes: int = 1
    ttl_ms: float | None = None
    shares: bool | None = None


def judge_models(
    models: Sequence[ModelFacts], *, available_bytes: int | None, reserve_bytes: int, file: str
) -> Iterator[Finding]:
    """Yield what is to be said of the models.

    Args:
        models: In the configuration's order.
        available_bytes: Memory that is left; None if unknown.
        reserve_bytes: What is to stay free of it.
        file: The configuration, for the lines to type.
    """
    for each in models:
        yield from _one(each, file)
    yield from _room(models, available_bytes, reserve_bytes)


def _one(model: ModelFacts, file: str) -> Iterator[Finding]:
    if model.error:
        yield problem(
            "models.runs",
            f"{model.name}: {model.error.removeprefix(f'model {model.name}: ')}",
            "its pipelines give no results",
            f"gateway check {file}",
            f"gateway models {model.folder}",
            model=model.name,
        )
        return
    figures: Figures = {
        "model": model.name,
        "engine": model.engine,
        "latency_ms": model.latency_ms,
        "p99_ms": model.p99_ms,
        "load_s": model.load_s,
        "memory_bytes": model.memory_bytes,
    }
    cost = (
        f"{model.latency_ms:.1f} ms a row (p99 {model.p99_ms:.1f}), loads in {model.load_s:.1f} s, "
        f"{model.memory_bytes / 1e6:.0f} MB a lane"
    )
    yield ok("models.runs", f"{model.name}: {model.engine}: {cost}", **figures)
    yield _backend(model)
    if model.ttl_ms is not None and model.p99_ms > model.ttl_ms:
        yield problem(
            "models.in_time",
            f"{model.name}: one row takes {model.p99_ms:.0f} ms, its frames live {model.ttl_ms:g} ms",
            "every answer comes too late and is thrown away",
            f"set pipelines.*.ttl_ms of its pipelines above {model.p99_ms * 2:.0f}",
            model=model.name,
        )
    elif model.ttl_ms is not None:
        yield ok("models.in_time", f"{model.name}: its frames live {model.ttl_ms:g} ms", model=model.name)
    yield from _sharing(model)


def _backend(model: ModelFacts) -> Finding:
    check = "models.backend"
    if model.failed:
        return warning(
            check,
            f"{model.name}: runs on {model.engine}; better ones failed: {'; '.join(model.failed)}",
            "it is slower than this board could be, or takes the processor from others",
            "gateway doctor --only packages --only runtimes --only gpu  # why",
            f"or set models.{model.name}.providers to what it shall run on",
            model=model.name,
            failed=len(model.failed),
        )
    return ok(
        check, f"{model.name}: {model.engine}: {model.why or 'as configured'}", model=model.name, failed=0
    )


def _sharing(model: ModelFacts) -> Iterator[Finding]:
    check = "models.sharing"
    if model.shares:
        yield ok(check, f"{model.name}: lanes divide and share the weights", model=model.name, shares=True)
    elif model.shares is False:
        yield note(
            check,
            f"{model.name}: every lane loads the weights for itself",
            f"a worker with threads cannot divide: each lane costs {model.memory_bytes / 1e6:.0f} MB",
            f"set models.{model.name}.threads: 1, and more lanes instead",
            model=model.name,
            shares=False,
        )


def _room(models: Sequence[ModelFacts], available_bytes: int | None, reserve_bytes: int) -> Iterator[Finding]:
    runs = [each for each in models if not each.error]
    if not runs or available_bytes is None:
        return
    wanted = sum(each.memory_bytes * each.lanes for each in runs)
    left = available_bytes - reserve_bytes
    words = f"lanes take {wanted / 1e6:.0f} MB, {max(0, left) / 1e6:.0f} MB are there beside the reserve"
    if wanted > left:
        yield warning(
            "models.room",
            words,
            "the system swaps, or kills what it needs",
            "set models.*.lanes: 1, or take a model out of the configuration",
            wanted_bytes=wanted,
            left_bytes=left,
        )
    else:
        yield ok("models.room", words, wanted_bytes=wanted, left_bytes=left)
