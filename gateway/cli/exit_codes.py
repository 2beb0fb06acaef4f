"""What the exit code of a command says, and which error ends with which.

The numbers above 63 are those of sysexits.h, which systemd and other tools know.
"""

from __future__ import annotations

from enum import IntEnum

from gateway.errors import (
    ConfigError,
    DeadlineExceeded,
    EngineFailed,
    GatewayBug,
    GatewayError,
    PipelineMisfit,
    RequestRefused,
    SensorRefused,
    Unavailable,
    UpdateRefused,
)


class ExitCode(IntEnum):
    """How a command ended; ``MEANINGS`` says it in words."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    DATA = 65
    UNAVAILABLE = 69
    BUG = 70
    TOO_LATE = 75
    CONFIG = 78
    INTERRUPTED = 130
    PIPE_CLOSED = 141


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "Done.",
    ExitCode.FAILURE: "It did not work; for `run`: the gateway ended by itself.",
    ExitCode.USAGE: "The command line is wrong.",
    ExitCode.DATA: "What was given (a file to infer, say) is refused.",
    ExitCode.UNAVAILABLE: "The gateway or the broker is not there; try again later.",
    ExitCode.BUG: "A bug of the gateway: please report it.",
    ExitCode.TOO_LATE: "No answer in time.",
    ExitCode.CONFIG: "The configuration is wrong; starting again will not help until it is changed.",
    ExitCode.INTERRUPTED: "Ended by Ctrl-C.",
    ExitCode.PIPE_CLOSED: "Whoever read the output went away.",
}

_CODES: tuple[tuple[type[GatewayError], ExitCode], ...] = (
    (ConfigError, ExitCode.CONFIG),
    (PipelineMisfit, ExitCode.CONFIG),
    (RequestRefused, ExitCode.DATA),
    (Unavailable, ExitCode.UNAVAILABLE),
    (DeadlineExceeded, ExitCode.TOO_LATE),
    (EngineFailed, ExitCode.FAILURE),
    (SensorRefused, ExitCode.DATA),
    (UpdateRefused, ExitCode.FAILURE),
    (GatewayBug, ExitCode.BUG),
)


def exit_code(error: GatewayError) -> ExitCode:
    """Return the code with which a command ends that raised ``error``."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return ExitCode.FAILURE
