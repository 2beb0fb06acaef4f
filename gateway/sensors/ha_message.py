"""One Home Assistant discovery message brought to its long form: short keys, topic base, shared options.

Rules, as Home Assistant has them, but for what it refuses without need:

1. Short keys are expanded at the root, in each component, in the members of an
   availability list, in ``device`` and in ``origin``; nowhere else.
2. ``~`` stands for the base topic at the beginning or end of values whose key
   ends in ``topic``. A base at the root of a device message holds for its
   components too (Home Assistant refuses it there).
3. Only availability, state and command options of the root reach the components.
4. Unknown keys are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.errors import MalformedAnnouncement
from gateway.sensors import document
from gateway.sensors.ha_abbreviations import DEVICE, ENTITY, ORIGIN

MAX_COMPONENTS = 1024
_BASE = "~"
_SHARED = (
    "availability",
    "availability_mode",
    "availability_template",
    "availability_topic",
    "payload_available",
    "payload_not_available",
    "state_topic",
)


@dataclass(frozen=True, slots=True)
class ConfigTopic:
    """Address of one discovery message.

    Attributes:
        component: Platform, or ``device`` for the device form.
        node: Optional grouping level; empty if absent.
        object: Last id.
    """

    component: str
    node: str
    object: str


@dataclass(frozen=True, slots=True)
class Discovery:
    """What one message says, in long form.

    Attributes:
        device: The ``device`` object; empty if absent.
        origin_name: Name of the software that published it.
        components: Long-form options of each component by its key; the single
            form has one.
        migrating: The sender is about to move this component to a device message.
    """

    device: Mapping[str, object]
    origin_name: str
    components: Mapping[str, Mapping[str, object]]
    migrating: bool = False


def split_topic(topic: str, prefix: str) -> ConfigTopic | None:
    """Return the parts of a discovery topic, or None for any other topic."""
    if not topic.startswith(prefix + "/"):
        return None
    levels = topic[len(prefix) + 1 :].split("/")
    if len(levels) not in (3, 4) or levels[-1] != "config" or not all(_is_id(level) for level in levels):
        return None
    return ConfigTopic(levels[0], levels[1] if len(levels) == 4 else "", levels[-2])


def read_discovery(found: Mapping[str, object], address: ConfigTopic) -> Discovery:
    """Bring a message to its long form.

    Args:
        found: The message's JSON object.
        address: Where it came.

    Raises:
        MalformedAnnouncement: A part that must be an object is none.
    """
    root = _entity(found)
    device = _renamed(document.as_object(root.get("device") or {}, "device"), DEVICE)
    origin = _renamed(document.as_object(root.get("origin") or {}, "origin"), ORIGIN)
    origin_name = origin.get("name")
    base = root.get(_BASE)
    root = _based(root, base)
    if address.component == "device":
        components = _components(root, base)
    else:
        components = {address.object: {**root, "platform": address.component}}
    return Discovery(
        device,
        origin_name if isinstance(origin_name, str) else "",
        components,
        migrating=root.get("migrate_discovery") is True,
    )


def _components(root: Mapping[str, object], base: object) -> dict[str, Mapping[str, object]]:
    listed = document.as_object(root.get("components") or {}, "components")
    if len(listed) > MAX_COMPONENTS:
        raise MalformedAnnouncement(f"components: {len(listed)}, at most {MAX_COMPONENTS} are read")
    shared = {key: root[key] for key in _SHARED if key in root}
    components: dict[str, Mapping[str, object]] = {}
    for key, value in listed.items():
        own = _entity(document.as_object(value, f"component {key[:80]}"))
        own = _based(own, own.get(_BASE, base))
        # platform alone takes the component back: shared options must not bring it to life
        components[key] = own if set(own) <= {"platform"} else {**_without(shared, own), **own}
    return components


def _without(shared: Mapping[str, object], own: Mapping[str, object]) -> dict[str, object]:
    """Return the shared options that do not contradict a component's own form of availability."""
    if "availability" not in own and "availability_topic" not in own:
        return dict(shared)
    return {key: value for key, value in shared.items() if key not in ("availability", "availability_topic")}


def _entity(found: Mapping[str, object]) -> dict[str, object]:
    entity = _renamed(found, ENTITY)
    availability = entity.get("availability")
    if isinstance(availability, dict):
        availability = [availability]
    if isinstance(availability, list):
        entity["availability"] = [
            _renamed(document.as_object(member, "availability"), ENTITY) for member in availability
        ]
    return entity


def _renamed(found: Mapping[str, object], names: Mapping[str, str]) -> dict[str, object]:
    """Return the object in long form; where both forms of a key are given, the long one holds."""
    renamed = {names[key]: value for key, value in found.items() if key in names}
    renamed.update((key, value) for key, value in found.items() if key not in names)
    return renamed


def _based(entity: dict[str, object], base: object) -> dict[str, object]:
    if not isinstance(base, str) or not base:
        return entity
    changed = {key: _expanded(key, value, base) for key, value in entity.items()}
    availability = changed.get("availability")
    if isinstance(availability, list):
        changed["availability"] = [
            {key: _expanded(key, value, base) for key, value in member.items()} for member in availability
        ]
    return changed


def _expanded(key: str, value: object, base: str) -> object:
    if not isinstance(value, str) or not value or not key.endswith("topic"):
        return value
    if value.endswith(_BASE):
        return value[:-1] + base
    if value.startswith(_BASE):
        return base + value[1:]
    return value


def _is_id(level: str) -> bool:
    return level.isascii() and level.replace("_", "").replace("-", "").isalnum()
