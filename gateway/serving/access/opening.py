"""Makes the gate that a configuration means, for the addresses at which the doors listen."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from gateway.config_issue import ConfigIssue
from gateway.configuration.serving_checks import why_in_clear, why_not_open
from gateway.configuration.serving_settings import ServingSettings
from gateway.errors import ConfigError
from gateway.operations.metrics import Metrics
from gateway.serving.access.gate import Gate
from gateway.serving.access.policy import Policy, policy_of
from gateway.serving.address import is_open, parse_address


def gate_of(serving: ServingSettings, addresses: Iterable[str], metrics: Metrics) -> Gate:
    """Return the gate for all doors.

    Args:
        serving: What is configured.
        addresses: Where the doors listen, as bound: sockets that were handed over are what they are.
        metrics: Counts refusals.
    """
    return Gate(configured_policy(serving, addresses), serving.access, metrics.access_refused)


def configured_policy(serving: ServingSettings, addresses: Iterable[str]) -> Policy:
    """Return who may what; ``Gate.apply`` takes it when the configuration was changed."""
    return policy_of(
        serving.access,
        takes_certificates=bool(serving.tls.client_ca_file),
        is_exposed=any(is_open(parse_address(_written(address))) for address in addresses),
        # Not the full name: asking for that may wait for a name server.
        host_names={name := socket.gethostname(), name.partition(".")[0]},
    )


def check_bound(serving: ServingSettings, addresses: Iterable[str]) -> None:
    """Hold doors to the rules of open addresses where they really are: a service manager may have bound them.

    Args:
        serving: What is configured.
        addresses: Where the doors listen, as bound.

    Raises:
        ConfigError: Other machines reach a door, and nobody is asked who they are, or tokens come in clear.
    """
    clear = "" if serving.access.open_to_everybody else why_in_clear(serving)
    why = why_not_open(serving) or clear
    exposed = [address for address in addresses if is_open(parse_address(_written(address)))]
    if why and exposed:
        raise ConfigError(tuple(ConfigIssue("(socket)", 0, 0, address, why) for address in exposed))


def _written(bound: str) -> str:
    """Return a bound address as the configuration writes it: sockets name a path without ``unix:``."""
    return f"unix:{bound}" if bound.startswith("/") else bound
