"""The documented default file: every key with its words, limits and default, and what is served as shipped.

Blocks that a user adds by name (models, pipelines, declared sensors, admission
rules) stand in it commented out, every key with its default, above the shipped
entries.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from gateway.configuration.settings import Settings
from gateway.configuration.shape import Key, ListOf, MapOf, Section, section_of
from gateway.configuration.shipped import NAMES, SAMPLES, SHIPPED_BLOCKS, SHIPPED_ITEMS
from gateway.configuration.written import limits, yaml_value

_WIDTH = 108

_HEAD = """\
# Configuration of the gateway, as shipped: every key with its default, and three
# models that run on sensors which announce themselves. A key that is absent has
# the default written here, so your own file may be much shorter: config/examples/.
#
# Check a changed file with: gateway check FILE
# A running gateway takes pipelines, sensors and models anew on SIGHUP, and keeps
# what it has if the file is wrong.
"""


def default_text(*, comment_blocks: bool = True) -> str:
    """Return the text of the default file.

    Args:
        comment_blocks: Whether blocks to be added by name are commented out, as
            they are in the shipped file.
    """
    lines = [_HEAD]
    for key in section_of(Settings).keys:
        lines.extend(_key(key, key.name, comment_blocks=comment_blocks))
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _key(key: Key, path: str, *, comment_blocks: bool) -> Iterator[str]:
    """Yield the lines of one key, its comment first, without indentation."""
    yield from _comment(key)
    match key.shape:
        case Section():
            yield f"{key.name}:"
            for inner in key.shape.keys:
                lines = _key(inner, f"{path}.{inner.name}", comment_blocks=comment_blocks)
                yield from _indented(lines)
        case MapOf(Section() as item):
            yield f"{key.name}:"
            name = NAMES[path]
            block = [f"{name}:", *_indented(_keys(item, f"{path}.NAME"))]
            yield from _indented(_commented(block) if comment_blocks else block)
            for name, values in SHIPPED_BLOCKS.get(path, {}).items():
                yield from _indented([f"{name}:", *_indented(_pairs(values))])
        case ListOf(Section() as item):
            yield f"{key.name}:"
            block = list(_as_item(list(_keys(item, f"{path}[]"))))
            yield from _indented(_commented(block) if comment_blocks else block)
            for values in SHIPPED_ITEMS.get(path, []):
                yield from _indented(_as_item(list(_pairs(values))))
        case _:
            yield f"{key.name}: {yaml_value(SAMPLES[path] if key.required else key.default)}"


def _keys(section: Section, path: str) -> Iterator[str]:
    # Inside a block that is commented out as a whole, nothing is commented out again.
    for key in section.keys:
        yield from _key(key, f"{path}.{key.name}", comment_blocks=False)


def _pairs(values: dict[str, object]) -> Iterator[str]:
    for name, value in values.items():
        yield f"{name}: {yaml_value(value)}"


def _comment(key: Key) -> Iterator[str]:
    allowed = limits(key.option)
    words = key.option.doc + (f" ({allowed})" if allowed else "")
    for line in textwrap.wrap(words, _WIDTH, break_on_hyphens=False):
        yield f"# {line}"


def _commented(lines: list[str]) -> Iterator[str]:
    for line in lines:
        yield f"# {line}"


def _as_item(lines: list[str]) -> Iterator[str]:
    first = next(index for index, line in enumerate(lines) if not line.startswith("#"))
    for index, line in enumerate(lines):
        yield f"{'- ' if index == first else '  '}{line}"


def _indented(lines: Iterator[str] | list[str]) -> Iterator[str]:
    for line in lines:
        yield f"  {line}"
