"""What an order to load a model may ask for, of the protocol's parameters: what is really done here. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import Malformed, NotSupported

MOST_LANES: Final = 64
_MOST_CONFIG: Final = 65_536


@dataclass(frozen=True, slots=True)
class LoadParameters:
    """What is asked for.

    Attributes:
        lanes: How many lanes the model is to have; 0 for as many as it has, or as are configured.
    """

    lanes: int = 0

    @classmethod
    def read(cls, parameters: Mapping[str, object]) -> LoadParameters:
        """Read the parameters of an order.

        Raises:
            NotSupported: They ask for what is not done here.
            Malformed: They cannot be read.
        """
        lanes = 0
        for name, value in parameters.items():
            if name.startswith("file:"):
                raise NotSupported(
                    f"{name}: model files do not come by this call; put them into serving.models_dir, or "
                    "publish a release (docs/models.md)"
                )
            if name != "config":
                raise NotSupported(f"parameter {name}: a load knows config only")
            lanes = _lanes(_config(value))
        return cls(lanes)


def _config(value: object) -> Mapping[str, Any]:
    if not isinstance(value, str):
        raise Malformed("config: it must be a string that holds JSON")
    if len(value) > _MOST_CONFIG:
        raise Malformed(f"config: more than {_MOST_CONFIG} characters")
    try:
        config = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise Malformed("config: no JSON") from error
    if not isinstance(config, dict):
        raise Malformed("config: it must be a JSON object")
    return config


def _lanes(config: Mapping[str, Any]) -> int:
    unknown = sorted(config.keys() - {"name", "instance_group"})
    if unknown:
        raise NotSupported(
            f"config: {', '.join(unknown)}: only instance_group (lanes) can be changed by a load; the "
            "configuration file and the model's card say the rest"
        )
    groups = config.get("instance_group", [])
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        raise Malformed("config.instance_group: it must be a list of objects")
    lanes = sum(_count(group) for group in groups)
    if lanes > MOST_LANES:
        raise Malformed(f"config.instance_group: {lanes} lanes; {MOST_LANES} at most")
    return lanes


def _count(group: Mapping[str, Any]) -> int:
    unknown = sorted(group.keys() - {"name", "count", "kind"})
    if unknown:
        raise NotSupported(f"config.instance_group: {', '.join(unknown)}: only a count is taken")
    count = group.get("count", 1)
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_LANES:
        raise Malformed(f"config.instance_group.count: it must be 1 to {MOST_LANES}")
    return count
