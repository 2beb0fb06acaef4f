"""What the doctor says of the board, its system and the interpreter. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.doctor.finding import Figures, Finding, note, ok, problem, warning
from gateway.doctor.rules.jetson import SYSTEM_PYTHON, cuda_from_python, is_jetson
from gateway.doctor.rules.version import Version, at_least, version_of
from gateway.doctor.rules.who import drop_in
from gateway.inference.engines.board import Board

# The first and the last interpreter that every dependency has wheels for.
_PYTHONS: Final = ((3, 10), (3, 13))
_LEAST_GLIBC: Final[Version] = (2, 27)
_NEWEST_WHEELS_GLIBC: Final[Version] = (2, 31)
_LEAST_KERNEL: Final[Version] = (4, 9)
_LEAST_SYSTEMD: Final = 237
_CORTEX_A57: Final = "0xd07"
_SAFE_CORE: Final = "ARMV8"


@dataclass(frozen=True, slots=True)
class BoardFacts:
    """What was read of the board.

    Attributes:
        board: What it offers to models.
        kernel: Release of the kernel.
        glibc: Version; empty if the C library is another one.
        python: Version of this interpreter.
        systemd: Version; None if it is not what started this machine.
        processors: How many this process may use.
        cores: Part numbers of the processors, as ``/proc/cpuinfo`` says them.
        threads: What the lanes of each configured model use together.
        openblas: ``OPENBLAS_CORETYPE`` as the service gets it; empty if unset.
        unit: The gateway's unit; empty without one.
    """

    board: Board
    kernel: str
    glibc: str
    python: str
    systemd: int | None
    processors: int
    cores: frozenset[str] = frozenset()
    threads: tuple[int, ...] = ()
    openblas: str = ""
    unit: str = ""


def judge_board(facts: BoardFacts) -> Iterator[Finding]:
    """Yield what is to be said of the board."""
    yield _model(facts.board)
    yield from _jetpack(facts.board)
    yield _python(facts)
    yield _libc(facts)
    yield _kernel(facts)
    yield _systemd(facts)
    yield _processors(facts)
    yield from _openblas(facts)


def _model(board: Board) -> Finding:
    check = "board.model"
    name = f"{board.model or board.soc or 'no Jetson'}, {board.processor.architecture}"
    if board.sm is None and is_jetson(board):
        return note(check, name, f"its GPU is not known to this version: {board.sm_from}", soc=board.soc)
    if board.sm is None:
        return ok(check, name)
    return ok(check, f"{name}, sm_{board.sm} ({board.sm_from})", soc=board.soc, capability=board.sm)


def _jetpack(board: Board) -> Iterator[Finding]:
    check, pack = "board.jetpack", board.jetpack
    name = f"JetPack {pack} (L4T R{board.l4t})" if pack else f"L4T R{board.l4t}"
    if not is_jetson(board):
        return
    if not board.l4t:
        yield warning(
            check,
            "a Jetson without /etc/nv_tegra_release",
            "NVIDIA's system is not installed, or a container hides it: the GPU cannot be used",
            "sudo apt install nvidia-l4t-core",
        )
    elif not pack:
        yield note(check, name, "this version does not know that release: what is said of it may not hold")
    elif not cuda_from_python(pack):
        yield note(
            check,
            f"{name}: models run on the processor",
            f"its CUDA is reached from Python {_dotted(SYSTEM_PYTHON[pack])} alone, too old for the gateway",
            jetpack=pack,
        )
    else:
        yield ok(check, name, jetpack=pack)


def _python(facts: BoardFacts) -> Finding:
    check, version = "board.python", version_of(facts.python)[:2]
    if not _PYTHONS[0] <= version <= _PYTHONS[1]:
        return warning(
            check,
            f"Python {facts.python}",
            f"the gateway is tested on {_dotted(_PYTHONS[0])} to {_dotted(_PYTHONS[1])}",
            "install one of these, then: sudo scripts/install",
        )
    pack = facts.board.jetpack
    if cuda_from_python(pack) and version != SYSTEM_PYTHON.get(pack, version):
        own = _dotted(SYSTEM_PYTHON[pack])
        return note(
            check,
            f"Python {facts.python}",
            f"wheels that use this board's GPU are made for the system's own, {own}",
            f"sudo scripts/install --python /usr/bin/python{own}",
        )
    return ok(check, f"Python {facts.python}")


def _libc(facts: BoardFacts) -> Finding:
    check = "board.libc"
    if not facts.glibc:
        return warning(
            check,
            "the C library is not glibc",
            "the runtimes' wheels are made for glibc",
            "use a system with glibc 2.27 or newer",
        )
    version = version_of(facts.glibc)
    if not at_least(version, _LEAST_GLIBC):
        return problem(
            check,
            f"glibc {facts.glibc}",
            "no runtime has wheels for it",
            "use a system with glibc 2.27 or newer",
        )
    if not at_least(version, _NEWEST_WHEELS_GLIBC):
        return note(check, f"glibc {facts.glibc}", "the newest ONNX Runtime for it is 1.28, without a GPU")
    return ok(check, f"glibc {facts.glibc}")


def _kernel(facts: BoardFacts) -> Finding:
    if at_least(version_of(facts.kernel), _LEAST_KERNEL):
        return ok("board.kernel", f"Linux {facts.kernel}")
    return problem(
        "board.kernel",
        f"Linux {facts.kernel}",
        f"the gateway needs {_dotted(_LEAST_KERNEL)} or newer",
        "sudo apt update && sudo apt full-upgrade",
    )


def _systemd(facts: BoardFacts) -> Finding:
    check = "board.systemd"
    if facts.systemd is None:
        return note(check, "systemd did not start this machine", "nobody restarts a gateway that hangs")
    if facts.systemd < _LEAST_SYSTEMD:
        return warning(
            check,
            f"systemd {facts.systemd}",
            f"the unit is written for {_LEAST_SYSTEMD} or newer",
            "sudo apt update && sudo apt full-upgrade",
        )
    return ok(check, f"systemd {facts.systemd}")


def _processors(facts: BoardFacts) -> Finding:
    check, have, used = "board.processors", facts.processors, sum(facts.threads)
    figures: Figures = {"processors": have, "threads": used}
    words = f"{have} processors, {used} used by lanes at the start"
    if max(facts.threads, default=0) > have:
        return warning(
            check,
            f"{words}; one model alone uses {max(facts.threads)}",
            "its inferences take longer side by side than one after the other",
            f"set models.*.lanes and models.*.threads so that their product is {have} or less",
            **figures,
        )
    if used > have:
        return note(check, words, "where all models have work at once, each is slower", **figures)
    return ok(check, words, **figures)


def _openblas(facts: BoardFacts) -> Iterator[Finding]:
    check = "board.openblas"
    if _CORTEX_A57 not in facts.cores:
        return
    if facts.openblas == _SAFE_CORE:
        yield ok(check, f"OPENBLAS_CORETYPE={_SAFE_CORE} on a Cortex-A57")
        return
    yield warning(
        check,
        f"a Cortex-A57 and OPENBLAS_CORETYPE is {facts.openblas or 'not set'}",
        "some releases of numpy guess the core wrongly and end with an illegal instruction",
        *(
            drop_in(facts.unit, "openblas", f"Environment=OPENBLAS_CORETYPE={_SAFE_CORE}")
            if facts.unit
            else (f"export OPENBLAS_CORETYPE={_SAFE_CORE}",)
        ),
    )


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))
