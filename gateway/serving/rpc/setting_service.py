"""TraceSetting and LogSettings: what is true now, and what of it can be changed while running."""

from __future__ import annotations

from typing import Any

from gateway.serving.access.caller import ADMIN, READ, Caller
from gateway.serving.model_view import Models
from gateway.serving.rest.setting_pages import LogLevel, logging_of, set_logging
from gateway.serving.rest.trace_words import TRACE, check_trace
from gateway.serving.rpc.calls import Method
from gateway.serving.rpc.protocol import INFERENCE, message


class SettingService:
    """Answers both methods, in the words of the pages of the REST door."""

    def __init__(self, log: LogLevel, models: Models) -> None:
        """Prepare.

        Args:
            log: The log.
            models: Who knows which models there are.
        """
        self._log = log
        self._models = models

    def methods(self) -> tuple[Method, ...]:
        """Return both."""
        return (
            Method(INFERENCE, "TraceSetting", _to_change, self._trace),
            Method(INFERENCE, "LogSettings", _to_change, self._logging),
        )

    def _trace(self, request: Any, _caller: Caller) -> Any:
        if request.model_name:
            self._models.is_ready(request.model_name)  # says so if there is no such model
        for name, asked in request.settings.items():
            check_trace(name, asked.value)
        made = message("inference.TraceSettingResponse")()
        for name, value in TRACE.items():
            made.settings[name].value.append(str(value))
        return made

    def _logging(self, request: Any, _caller: Caller) -> Any:
        asked = {
            name: getattr(value, chosen)
            for name, value in request.settings.items()
            if (chosen := value.WhichOneof("parameter_choice")) is not None
        }
        if asked:
            set_logging(self._log, asked)
        made = message("inference.LogSettingsResponse")()
        for name, value in logging_of(self._log.level).items():
            kind = {bool: "bool_param", int: "uint32_param"}.get(type(value), "string_param")
            setattr(made.settings[name], kind, value)
        return made


def _to_change(request: Any) -> str:
    """Return the scope of a method that reads settings, or changes those that a request names."""
    return ADMIN if request.settings else READ
