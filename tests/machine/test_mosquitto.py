"""What is shipped for the broker, as a real mosquitto takes it."""

from __future__ import annotations

from typing import Final

from tests.broker import Broker
from tests.rules.tree import ROOT
from tests.system.running import Client

FOLDER: Final = ROOT / "deploy" / "mosquitto"


def lines() -> list[str]:
    """Return the drop-in's settings, less the two that every broker of the tests has its own of."""
    every = (FOLDER / "gateway.conf").read_text(encoding="utf-8").splitlines()
    return [line for line in every if line and line.split()[0] not in {"#", "listener", "allow_anonymous"}]


def test_the_drop_in_is_taken_and_carries_messages() -> None:
    assert len(lines()) >= 5
    # Persistence wants a folder, which Debian's own file names.
    kept = [line for line in lines() if not line.startswith("persistence")]
    with Broker(*kept) as broker, Client(broker.port) as client:
        client.subscribe("gw/x")
        client.publish("gw/x", '{"it": "came"}')
        assert client.result() == {"it": "came"}


def test_the_listener_is_not_open_to_the_network() -> None:
    text = (FOLDER / "gateway.conf").read_text(encoding="utf-8")
    listeners = [line for line in text.splitlines() if line.startswith("listener")]
    assert listeners == ["listener 1883 127.0.0.1"]


def test_the_access_list_is_taken() -> None:
    with Broker(f"acl_file {FOLDER / 'gateway.acl'}") as broker:
        assert not any("Error" in line for line in broker.log)
