"""Asks the status door of a running gateway whether it is ready; never wakes one that does not run."""

from __future__ import annotations

import http.client
import json
from typing import Final

from gateway.configuration.settings import HttpSettings
from gateway.doctor.readers.service import Service
from gateway.doctor.rules.door import DoorFacts
from gateway.serving.address import Descriptor, UnixPath, format_address, parse_address
from gateway.serving.unix_socket import PathConnection

_LIMIT_S: Final = 3.0
_MOST_BYTES: Final = 1 << 16
_ANY_ADDRESS: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what to replace


def read_door(settings: HttpSettings, service: Service) -> DoorFacts | None:
    """Return what the door says; None where it is not to be asked.

    systemd listens in the place of a service that is to be started by the first
    who asks: a service that does not run is left alone.
    """
    runs = service.properties.get("ActiveState") == "active"
    if not settings.enabled or (service.installed and not runs):
        return None
    try:
        address = parse_address(settings.listen)
    except ValueError:
        return None  # said by the group of the configuration
    if isinstance(address, Descriptor):
        return None
    connection: http.client.HTTPConnection
    if isinstance(address, UnixPath):
        place, connection = settings.listen, PathConnection(address.path, _LIMIT_S)
    else:
        host = _ANY_ADDRESS.get(address.host, address.host)
        place = format_address(host, address.port)
        connection = http.client.HTTPConnection(host, address.port, timeout=_LIMIT_S)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        told = json.loads(response.read(_MOST_BYTES))
        reasons = tuple(str(each) for each in told["reasons"])
        return DoorFacts(place, runs, answers=True, ready=bool(told["ready"]), reasons=reasons)
    except (ConnectionRefusedError, FileNotFoundError):
        return DoorFacts(place, runs, error="nobody listens")
    except (OSError, http.client.HTTPException) as error:
        return DoorFacts(place, runs, taken=True, error=str(error) or type(error).__name__)
    except (ValueError, KeyError, TypeError, RecursionError):
        return DoorFacts(place, runs, taken=True, error="what answers there is no gateway")
    finally:
        connection.close()
