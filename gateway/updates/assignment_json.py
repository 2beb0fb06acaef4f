"""Reads and writes the assignment of a group; what it refuses no board follows. Pure."""

from __future__ import annotations

import re
from typing import Final

from gateway.errors import ManifestRefused
from gateway.updates.assignment import MOST_ASSIGNMENT_BYTES, Assignment, Window, Wish
from gateway.updates.manifest import MOST_NUMBER
from gateway.updates.names import checked_word
from gateway.updates.release import SCHEMA
from gateway.updates.strict_json import Fields, canonical, read_fields

MOST_MODELS: Final = 256
MOST_CANARIES: Final = 1024
MOST_SHADOW_FRAMES: Final = 1_000_000
MOST_BAKE_S: Final = 30 * 86_400.0
MOST_SEED: Final = 64
_WINDOW: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")


def read_assignment(data: bytes) -> Assignment:
    """Read an assignment as it was signed.

    Args:
        data: The whole of it.

    Raises:
        ManifestRefused: It is none, or says what no board may do; the message begins with the key's path.
    """
    fields = read_fields(data, MOST_ASSIGNMENT_BYTES)
    fields.integer("schema", SCHEMA, SCHEMA)
    group = checked_word(fields.take("group"), "group")
    version = fields.integer("version", 1, MOST_NUMBER)
    models = {
        checked_word(name, "models"): _wish(Fields(found, f"models.{name}"))
        for name, found in fields.mapping("models", MOST_MODELS).items()
    }
    sets = _sets(fields, models)
    fields.done()
    return Assignment(group, version, models, sets)


def assignment_bytes(assignment: Assignment) -> bytes:
    """Return the canonical bytes of an assignment, which are signed.

    Raises:
        ManifestRefused: No board would read it back; the message begins with the key's path.
    """
    document = {
        "schema": SCHEMA,
        "group": assignment.group,
        "version": assignment.version,
        "models": {name: _written(wish) for name, wish in assignment.models.items()},
        "sets": [list(names) for names in assignment.sets],
    }
    try:
        data = canonical(document)
    except ValueError as error:
        raise ManifestRefused(f"models: {error}") from error
    read_assignment(data)
    return data


def parse_window(text: str, what: str) -> Window:
    """Read ``HH:MM-HH:MM``, times of the day in UTC.

    Raises:
        ManifestRefused: It is no window.
    """
    found = _WINDOW.fullmatch(text)
    if not found:
        raise ManifestRefused(f"{what}: {text[:40]!a} is no window HH:MM-HH:MM")
    start_hour, start_minute, end_hour, end_minute = (int(part) for part in found.groups())
    return Window(start_hour * 60 + start_minute, end_hour * 60 + end_minute)


def window_text(window: Window) -> str:
    """Return a window as ``HH:MM-HH:MM``."""
    minutes = (window.start_minute, window.end_minute)
    return "-".join(f"{minute // 60:02}:{minute % 60:02}" for minute in minutes)


def _written(wish: Wish) -> dict[str, object]:
    return {
        "release": wish.release,
        "percent": wish.percent,
        "seed": wish.seed,
        "canary": list(wish.canary),
        "not_before": wish.not_before,
        "window": "" if wish.window is None else window_text(wish.window),
        "paused": wish.paused,
        "shadow_frames": wish.shadow_frames,
        "shadow_agreement": wish.shadow_agreement,
        "bake_s": wish.bake_s,
        "allow_downgrade": wish.allow_downgrade,
    }


def _wish(fields: Fields) -> Wish:
    window = fields.words("window", 32, "")
    wish = Wish(
        release=fields.integer("release", 1, MOST_NUMBER),
        percent=fields.number("percent", 0, 100, 100.0),
        seed=fields.words("seed", MOST_SEED, ""),
        canary=_canary(fields),
        not_before=fields.integer("not_before", 0, MOST_NUMBER, 0),
        window=parse_window(window, fields.at("window")) if window else None,
        paused=fields.flag("paused", default=False),
        shadow_frames=fields.integer("shadow_frames", 0, MOST_SHADOW_FRAMES, 0),
        shadow_agreement=fields.number("shadow_agreement", 0, 1, 0.9),
        bake_s=_bake_s(fields),
        allow_downgrade=fields.flag("allow_downgrade", default=False),
    )
    fields.done()
    return wish


def _canary(fields: Fields) -> tuple[str, ...]:
    found = fields.listed("canary", MOST_CANARIES, [])
    path = fields.at("canary")
    return tuple(checked_word(device, f"{path}[{index}]") for index, device in enumerate(found))


def _bake_s(fields: Fields) -> float | None:
    """Return the seconds; null and absence both leave them to the board."""
    if fields.is_null("bake_s"):
        return None
    return fields.number("bake_s", 0, MOST_BAKE_S)


def _sets(fields: Fields, models: dict[str, Wish]) -> tuple[tuple[str, ...], ...]:
    sets = []
    taken: set[str] = set()
    for index, found in enumerate(fields.listed("sets", MOST_MODELS, [])):
        what = f"sets[{index}]"
        if not isinstance(found, list) or not 2 <= len(found) <= MOST_MODELS:
            raise ManifestRefused(f"{what}: needs a list of two models or more")
        names = tuple(checked_word(name, what) for name in found)
        for name in names:
            if name not in models:
                raise ManifestRefused(f"{what}: {name!a} is not among the models")
            if name in taken:
                raise ManifestRefused(f"{what}: {name!a} is already in a set")
            taken.add(name)
        sets.append(names)
    return tuple(sets)
