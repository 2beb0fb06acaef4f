"""The files that are made from the declarations, so that a test can tell whether they are up to date."""

from __future__ import annotations

import json
from pathlib import Path

from gateway.configuration.default_file import default_text
from gateway.configuration.key_table import key_table, within
from gateway.configuration.schema import schema

DEFAULT_FILE = "config/gateway.yaml"
SCHEMA_FILE = "docs/schemas/gateway.schema.json"
DOCUMENT = "docs/configuration.md"


def schema_text() -> str:
    """Return the JSON Schema of the configuration as a file holds it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def generated_files(root: Path) -> dict[str, str]:
    """Return what each generated file ought to hold, by its path below ``root``.

    Raises:
        ValueError: The document has lost the marks between which the table stands.
    """
    document = (root / DOCUMENT).read_text(encoding="utf-8")
    return {
        DEFAULT_FILE: default_text(),
        SCHEMA_FILE: schema_text(),
        DOCUMENT: within(document, key_table()),
    }
