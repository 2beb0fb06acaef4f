"""What of a configuration that comes with a load differs from the model's own. Pure.

Clients ask for a model's configuration, change a part of it, and send all of it back. Only what
they changed is theirs to ask for; whether it can be had is for the repository to say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from gateway.errors import GatewayError
from gateway.serving.model_config import model_config
from gateway.serving.model_view import Models

_CONFIG: Final = "config"
# Longer ones are not looked into: the repository refuses them.
_MOST: Final = 65_536
# Protobuf's JSON leaves out what is not set; a configuration of ours says it.
_UNSET: Final[tuple[object, ...]] = (None, "", "0", False, [], {}, "FORMAT_NONE")


def changed_parameters(parameters: Mapping[str, object], name: str, models: Models) -> Mapping[str, object]:
    """Return the parameters of a load without what ``config`` repeats of the model's configuration.

    Args:
        parameters: As the client sent them; what cannot be read stays, for the repository to refuse.
        name: The model to load.
        models: Who knows it.
    """
    asked = parameters.get(_CONFIG)
    if not isinstance(asked, str) or len(asked) > _MOST:
        return parameters
    try:
        config = json.loads(asked)
        known = model_config(models.view(name))
    except (ValueError, RecursionError, GatewayError):
        return parameters
    if not isinstance(config, dict):
        return parameters
    changed = {
        key: value for key, value in config.items() if key not in known or _plain(value) != _plain(known[key])
    }
    return {**parameters, _CONFIG: json.dumps(changed)}


def _plain(value: object) -> object:
    """Return a value as protobuf's JSON may say it: numbers as text, nothing that is unset in an object."""
    if isinstance(value, Mapping):
        plain = {key: _plain(each) for key, each in value.items()}
        return {key: each for key, each in plain.items() if each not in _UNSET}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value
