"""Which file on which backend a board tries first, second and last: a ladder, with reasons. Pure.

A step of the ladder is only a candidate: a proof says whether it runs and answers
right. What the rules keep out is listed too, so that nobody has to guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.inference.engines.board import Board
from gateway.inference.engines.plugins import CPU, CUDA, OWN, TENSORRT
from gateway.inference.engines.precision import BUILTIN, Precision, Ruling, ruling

AUTO: Final = "auto"
_CPU_ORDER: Final = (Precision.INT8, Precision.FP32, Precision.FP16)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a configuration says of how a model is to run.

    Attributes:
        providers: Execution providers in order; empty for what the board has, best first.
        delegates: TFLite delegates in order.
        precision: ``auto``, or a precision's value.
    """

    providers: tuple[str, ...] = ()
    delegates: tuple[str, ...] = ("xnnpack",)
    precision: str = AUTO


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model.

    Attributes:
        file: A twin's name; empty for the card's own file.
        format: ``tflite`` or ``onnx``.
        precision: What numbers it computes with.
    """

    file: str
    format: str
    precision: Precision


@dataclass(frozen=True, slots=True)
class Candidate:
    """One file on one backend.

    Attributes:
        file: As in ``ModelFile``.
        runtime: The runtime that opens it.
        backend: The provider or delegate that is to run it.
        providers: Execution providers to ask for, in order.
        precision: What numbers it computes with there.
        exact: Whether the backend must be the one that runs, or it has failed.
        why: Why it may run there, in words.
    """

    file: str
    runtime: str
    backend: str
    providers: tuple[str, ...]
    precision: Precision
    exact: bool
    why: str

    def __str__(self) -> str:
        return f"{self.backend} {self.precision.value}" + (f" ({self.file})" if self.file else "")


@dataclass(frozen=True, slots=True)
class PassedOver:
    """What is not used, and why.

    Attributes:
        what: Backend, precision and file, in words.
        why: The reason.
    """

    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


@dataclass(frozen=True, slots=True)
class Ladder:
    """What to try, and what not.

    Attributes:
        candidates: The best first.
        passed_over: What the rules keep out.
    """

    candidates: tuple[Candidate, ...]
    passed_over: tuple[PassedOver, ...]


def ladder(wish: Wish, files: Sequence[ModelFile], board: Board, runtimes: Mapping[str, str]) -> Ladder:
    """Return the candidates of one model on one board.

    A GPU comes before the processor, and there the better precision before the other; on the processor
    quantised files come first. Among equals, the card's own file does.

    Args:
        wish: What is configured.
        files: The card's own file and its twins.
        board: What the board offers.
        runtimes: The runtime of each format; formats that none is installed for are absent.
    """
    ranked: list[tuple[tuple[int, int, int], Candidate]] = []
    left: list[PassedOver] = []
    chain, absent = _chain(wish, board)
    if any(each.format == "onnx" for each in files):
        left += absent
    for index, each in enumerate(files):
        runtime = runtimes.get(each.format)
        if runtime is None:
            left.append(PassedOver(_named(each), f"no runtime for .{each.format} files may be used"))
            continue
        for level, providers in _places(each, chain, wish):
            made = _candidate(each, (runtime, providers), wish, board)
            if isinstance(made, PassedOver):
                left.append(made)
            else:
                ranked.append(((level, _preference(made), index), made))
    ranked.sort(key=lambda entry: entry[0])
    return Ladder(tuple(candidate for _, candidate in ranked), tuple(left))


def _chain(wish: Wish, board: Board) -> tuple[list[tuple[str, ...]], list[PassedOver]]:
    """Return the lists of providers to try, and those that are asked for or built in but cannot be there."""
    lists = [wish.providers[index:] for index in range(len(wish.providers))] or _best(board)
    chain: list[tuple[str, ...]] = []
    absent = []
    for providers in lists:
        first = providers[0]
        if first in OWN and first != CPU and first not in board.providers:
            absent.append(PassedOver(first, "the installed onnxruntime was built without it"))
        elif not wish.providers and first != CPU and not board.gpu:
            absent.append(PassedOver(first, "there is no GPU here"))
        else:
            here = [name for name in providers if name not in OWN or name in (*board.providers, CPU)]
            chain.append(tuple(here))
    return chain, absent


def _best(board: Board) -> list[tuple[str, ...]]:
    """Return what is tried where nobody asked for anything: without the processor as a silent way out."""
    best: list[tuple[str, ...]] = []
    if TENSORRT in board.providers:
        best.append((TENSORRT, CUDA) if CUDA in board.providers else (TENSORRT,))
    if CUDA in board.providers:
        best.append((CUDA,))
    return [*best, (CPU,)]


def _places(
    each: ModelFile, chain: Sequence[tuple[str, ...]], wish: Wish
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield where a file may run, each with its rank; TFLite stands beside ONNX on the processor."""
    if each.format == "onnx":
        yield from enumerate(chain)
    else:
        on_processor = [level for level, providers in enumerate(chain) if providers[0] == CPU]
        yield (on_processor[0] if on_processor else len(chain)), wish.delegates


def _candidate(
    each: ModelFile, where: tuple[str, tuple[str, ...]], wish: Wish, board: Board
) -> Candidate | PassedOver:
    runtime, names = where
    backend = names[0] if names else BUILTIN
    precision = _precision_there(each, backend, wish)
    told = ruling(precision, (runtime, backend), board.sm, board.processor)
    what = f"{backend} {precision.value} ({_named(each)})"
    if wish.precision not in (AUTO, precision.value):
        return PassedOver(what, f"the configuration wants {wish.precision}")
    if not told.allowed:
        return PassedOver(what, told.why)
    return _made(each, (runtime, backend, names), told, precision)


def _precision_there(each: ModelFile, backend: str, wish: Wish) -> Precision:
    """Return what a file computes with on a backend: TensorRT makes fp16 of fp32 if it is asked to."""
    if backend == TENSORRT and each.precision is Precision.FP32 and wish.precision == Precision.FP16.value:
        return Precision.FP16
    return each.precision


def _made(
    each: ModelFile, where: tuple[str, str, tuple[str, ...]], told: Ruling, precision: Precision
) -> Candidate:
    runtime, backend, names = where
    is_onnx = each.format == "onnx"
    return Candidate(
        file=each.file,
        runtime=runtime,
        backend=backend,
        providers=names if is_onnx else (CPU,),
        precision=precision,
        exact=is_onnx and backend != CPU,
        why=told.why,
    )


def _preference(candidate: Candidate) -> int:
    if candidate.exact:
        return list(Precision).index(candidate.precision)
    return _CPU_ORDER.index(candidate.precision)


def _named(each: ModelFile) -> str:
    return each.file or "the card's own file"
