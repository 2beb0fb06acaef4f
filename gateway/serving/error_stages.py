"""An error and the errors that led to it, each with its label and its facts, for any door to report. Pure."""

from __future__ import annotations

import math
from typing import Final

from gateway.errors import GatewayError

_MOST_STAGES: Final = 8

Stage = dict[str, object]


def stages(error: GatewayError) -> list[Stage]:
    """Return what went wrong, outermost first: ``label``, ``error``, and the facts of each stage.

    Facts are the error's attributes, such as ``model``, ``release``, ``sensor``, ``stage`` and ``shape``.
    What is no error of the gateway's own is skipped: its words are for the log.
    """
    found: list[Stage] = []
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen and len(found) < _MOST_STAGES:
        seen.add(id(each))
        if isinstance(each, GatewayError):
            found.append({"label": each.label, "error": each.message, **_facts(each)})
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
    return found


def _facts(error: GatewayError) -> Stage:
    facts = {key: value for key, value in error.attributes.items() if key not in {"label", "error"}}
    return {"facts": {key: _plain(value) for key, value in facts.items()}} if facts else {}


def _plain(value: str | float | None) -> str | float | None:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
