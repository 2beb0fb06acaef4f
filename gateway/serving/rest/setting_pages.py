"""The pages of log and trace settings: what is true now, and what of it can be changed while running."""

from __future__ import annotations

from typing import Final, Protocol

from gateway.errors import Malformed, NotSupported
from gateway.operations.events import Level
from gateway.serving.model_view import Models
from gateway.serving.rest.exchange import Ask, Reply, json_reply
from gateway.serving.rest.json_fields import Members, member_flag, member_whole
from gateway.serving.rest.json_reading import read_object
from gateway.serving.rest.trace_words import TRACE_TOLD, check_trace

Document = dict[str, object]

_LOG_NAMES: Final = ("log_file", "log_info", "log_warning", "log_error", "log_verbose_level", "log_format")


class LogLevel(Protocol):
    """The log, as far as it is set from here."""

    @property
    def level(self) -> Level:
        """Least severity that is written."""
        ...

    def set_level(self, level: Level) -> None:
        """Write this severity and above from now on, until the configuration says otherwise."""
        ...


class SettingPages:
    """Handles ``/v2/logging`` and ``trace/setting``."""

    def __init__(self, log: LogLevel, models: Models, max_depth: int) -> None:
        self._log = log
        self._models = models
        self._max_depth = max_depth

    async def log_settings(self, _ask: Ask) -> Reply:
        """Say what is logged."""
        return json_reply(logging_of(self._log.level))

    async def set_log_settings(self, ask: Ask) -> Reply:
        """Change what is logged; what is not named stays.

        Raises:
            Malformed: A setting is of the wrong kind, unknown, or contradicts another.
            NotSupported: It is known, and cannot be changed here.
        """
        set_logging(self._log, read_object(ask.body, self._max_depth))
        return json_reply(logging_of(self._log.level))

    async def trace_settings(self, ask: Ask) -> Reply:
        """Say that nothing is traced.

        Raises:
            UnknownModel: Nothing has the name that the path says.
        """
        self._check_model(ask)
        return json_reply(dict(TRACE_TOLD))

    async def set_trace_settings(self, ask: Ask) -> Reply:
        """Take settings that are as they are: nothing is traced.

        Raises:
            UnknownModel: Nothing has the name that the path says.
            Malformed: A setting is unknown.
            NotSupported: Any would be another.
        """
        self._check_model(ask)
        for name, value in read_object(ask.body, self._max_depth).items():
            values = value if isinstance(value, list) and value else [] if value is None else [value]
            check_trace(name, values)
        return json_reply(dict(TRACE_TOLD))

    def _check_model(self, ask: Ask) -> None:
        if "model" in ask.names:
            self._models.is_ready(ask.model)


def logging_of(level: Level) -> Document:
    """Return the protocol's words for what is logged."""
    return {
        "log_file": "",
        "log_info": level <= Level.INFO,
        "log_warning": level <= Level.WARNING,
        "log_error": level <= Level.ERROR,
        "log_verbose_level": int(level <= Level.DEBUG),
        "log_format": "default",
    }


def set_logging(log: LogLevel, members: Members) -> None:
    """Change what is logged; what is not named stays.

    Raises:
        Malformed: A setting is of the wrong kind, unknown, or contradicts another.
        NotSupported: It is known, and cannot be changed here.
    """
    for name in members:
        if name not in _LOG_NAMES:
            raise Malformed(f"{name[:80]!a} is no setting: {', '.join(_LOG_NAMES)} are")
    now = logging_of(log.level)
    for name in ("log_file", "log_format"):
        if members.get(name) not in (None, now[name]):
            raise NotSupported(f"{name} is set in the configuration, under log:")
    log.set_level(_level(members, log.level))


def _level(members: Members, now: Level) -> Level:
    """Return the level that settings mean; what is not named follows from what is, or stays."""
    info, warning = (member_flag(members, name, "") for name in ("log_info", "log_warning"))
    verbose = member_whole(members, "log_verbose_level", "")
    if member_flag(members, "log_error", "") is False:
        raise Malformed("log_error: errors are always logged")
    if warning is False and (info or verbose):
        raise Malformed("log_warning: warnings are logged where anything less is")
    if info is False and verbose:
        raise Malformed("log_info: information is logged where details are")
    level = now
    if verbose == 0 or info is False:
        level = max(level, Level.INFO)
    if info is False:
        level = max(level, Level.WARNING)
    if warning is False:
        level = Level.ERROR
    for flag, least in ((warning, Level.WARNING), (info, Level.INFO), (verbose, Level.DEBUG)):
        if flag:
            level = min(level, least)
    return level
