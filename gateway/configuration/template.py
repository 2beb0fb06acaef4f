"""Topic templates: ``{prefix}/{gateway}/results/{sensor}/{pipeline}`` and the like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Formatter

PLACEHOLDERS = ("prefix", "gateway", "sensor", "stream", "pipeline", "model")

_LEVEL = re.compile(r"[+#/\x00]")


class BadTemplate(ValueError):
    """A template cannot be filled in; the message says why."""


def check_template(template: str) -> None:
    """Check that every placeholder is known and that the topic will be valid.

    Raises:
        BadTemplate: It is not.
    """
    if not template:
        raise BadTemplate("a topic cannot be empty")
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise BadTemplate(f"not a template: {error}; write {{{{ and }}}} for braces") from None
    for literal, name, form, conversion in parts:
        if re.search(r"[+#\x00-\x1f]", literal):
            raise BadTemplate("a topic to publish on holds no +, # or control character")
        if name is not None and (name not in PLACEHOLDERS or form or conversion):
            known = " ".join(f"{{{each}}}" for each in PLACEHOLDERS)
            raise BadTemplate(f"unknown placeholder {{{name[:40]}}}; known: {known}")
    if template.startswith("$"):
        raise BadTemplate("topics that start with $ are the broker's own")
    if len(template.encode()) > 1024:
        raise BadTemplate("longer than 1024 bytes")


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return the topic of a checked template; characters that part or match levels become ``_``.

    Args:
        template: What ``check_template`` has passed.
        values: Text by placeholder; all of ``PLACEHOLDERS``.
    """
    return template.format_map({name: _LEVEL.sub("_", value) for name, value in values.items()})


def template_filter(template: str, known: Mapping[str, str]) -> str:
    """Return an MQTT filter that matches every topic a checked template can give.

    Args:
        template: What ``check_template`` has passed.
        known: Text of the placeholders that are known already.
    """
    marked = template.format_map({name: known.get(name, "\0") for name in PLACEHOLDERS})
    return "/".join("+" if "\0" in level else level for level in marked.split("/"))
