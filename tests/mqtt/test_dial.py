"""The way to the broker: addresses, certificates, and what is told when it is barred."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.configuration.secret import Secret
from gateway.configuration.settings import MqttSettings
from gateway.errors import ConfigError, Unavailable
from gateway.mqtt.dial import Target, dial, read_target
from tests.broker import Broker
from tests.mqtt.certificates import Certificates
from tests.mqtt.watch import Watch, connect, settings_for, soon
from tests.ports import free_port


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("mqtt://broker", "broker", 1883, False),
        ("mqtt://broker:1884/", "broker", 1884, False),
        ("mqtts://broker", "broker", 8883, True),
        ("mqtt://[::1]:9", "::1", 9, False),
    ],
)
def test_an_address_is_read(url: str, host: str, port: int, tls: bool) -> None:
    target = read_target(MqttSettings(url=url))
    assert (target.host, target.port, target.tls is not None) == (host, port, tls)


def test_credentials_may_stand_in_the_address_and_are_never_shown() -> None:
    target = read_target(MqttSettings(url="mqtt://me:pass%40word@broker"))
    assert (target.username, target.password) == ("me", "pass@word")
    assert "word" not in repr(target)
    given_apart = MqttSettings(url="mqtt://broker", username="me", password=Secret("word"))
    assert read_target(given_apart).password == "word"
    with pytest.raises(ConfigError) as caught:
        read_target(MqttSettings(url="http://me:password@broker"))
    assert "password" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "broker",
        "http://broker",
        "http://broker:80",
        "mqtt://b?q",
        "mqtt://",
        "mqtt://broker:99999",
        "mqtt://b/topic",
        "mqtt://[::1",
    ],
)
def test_an_address_that_leads_nowhere_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigError, match=r"mqtt\.url"):
        read_target(MqttSettings(url=url))


@given(st.text(max_size=60))
def test_any_address_is_a_target_or_a_configuration_error(url: str) -> None:
    try:
        target = read_target(MqttSettings(url=url))
    except ConfigError:
        return
    assert isinstance(target, Target)
    assert target.host


def test_files_that_cannot_serve_are_told_before_the_first_connect(
    certificates: Certificates, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("", encoding="utf-8")
    wrong: list[tuple[str, dict[str, object]]] = [
        ("mqtt.ca_file", {"ca_file": str(tmp_path / "missing.pem")}),
        ("mqtt.ca_file", {"ca_file": str(empty)}),
        ("mqtt.client_certificate_file", {"client_certificate_file": str(certificates.client)}),
        ("mqtt.client_key_file", {"client_key_file": str(certificates.client_key)}),
        (
            "mqtt.client_certificate_file",
            {
                "client_certificate_file": str(certificates.client),
                "client_key_file": str(certificates.broker_key),
            },
        ),
    ]
    for path, files in wrong:
        with pytest.raises(ConfigError) as caught:
            read_target(settings_for("mqtts://127.0.0.1", **files))
        assert [issue.path for issue in caught.value.issues] == [path]


def test_certificates_without_tls_are_a_configuration_error(certificates: Certificates) -> None:
    with pytest.raises(ConfigError, match="mqtts"):
        read_target(settings_for("mqtt://127.0.0.1", ca_file=str(certificates.authority)))


def test_nobody_listening_is_unavailable() -> None:
    target = read_target(MqttSettings(url=f"mqtt://127.0.0.1:{free_port()}"))
    with pytest.raises(Unavailable, match="refused"):
        asyncio.run(dial(target, 10.0))


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70, "x..y"])
def test_a_name_that_leads_nowhere_is_unavailable(host: str) -> None:
    with pytest.raises(Unavailable):
        asyncio.run(dial(Target(host, 1883, None, "", ""), 10.0))


def test_a_server_that_never_shakes_hands_is_left_in_time_and_the_loop_runs_on(
    certificates: Certificates,
) -> None:
    async def scenario(port: int) -> None:
        target = read_target(settings_for(f"mqtts://127.0.0.1:{port}", ca_file=str(certificates.authority)))
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.001)

        counting = asyncio.ensure_future(count())
        with pytest.raises(Unavailable):
            await dial(target, 1.0)
        counting.cancel()
        assert turns > 5

    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        asyncio.run(scenario(deaf.getsockname()[1]))


def tls_broker(certificates: Certificates) -> Broker:
    """Return a broker that asks for client certificates."""
    return Broker(
        f"cafile {certificates.authority}",
        f"certfile {certificates.broker}",
        f"keyfile {certificates.broker_key}",
        "require_certificate true",
        "use_identity_as_username true",
    )


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_messages_of_every_size_pass_tls_with_client_certificates(
    certificates: Certificates, version: str
) -> None:
    async def scenario(broker: Broker) -> None:
        watch = Watch()
        settings = settings_for(
            f"mqtts://127.0.0.1:{broker.port}",
            version=version,
            ca_file=str(certificates.authority),
            client_certificate_file=str(certificates.client),
            client_key_file=str(certificates.client_key),
        )
        sizes = [1, 16_000, 16_384, 100_000, 3_000_000, 5] * 3
        async with connect(settings, watch) as connection:
            connection.subscribe("frames", 1, watch.take)
            await connection.wait_settled(soon())
            for index, size in enumerate(sizes):
                connection.publish("frames", bytes([index]) * size, index % 2)
            await watch.until(lambda: len(watch.messages) == len(sizes))
        assert watch.payloads == [bytes([index]) * size for index, size in enumerate(sizes)]

    with tls_broker(certificates) as broker:
        asyncio.run(scenario(broker))


def test_a_broker_that_cannot_be_trusted_and_a_client_without_papers_are_told_apart(
    certificates: Certificates,
) -> None:
    async def scenario(broker: Broker) -> None:
        url = f"mqtts://127.0.0.1:{broker.port}"
        with pytest.raises(Unavailable, match="not trusted"):
            await dial(read_target(settings_for(url)), 10.0)
        watch = Watch()
        async with connect(settings_for(url, ca_file=str(certificates.authority)), watch) as connection:
            await watch.until(lambda: any("alert" in reason.lower() for _, reason in watch.states))
            assert not connection.connected

    with tls_broker(certificates) as broker:
        asyncio.run(scenario(broker))


def test_a_name_that_the_certificate_does_not_hold_is_not_trusted(certificates: Certificates) -> None:
    async def scenario(broker: Broker) -> None:
        settings = settings_for(f"mqtts://localhost:{broker.port}", ca_file=str(certificates.authority))
        started_s = time.monotonic()
        with pytest.raises(Unavailable, match="localhost"):
            await dial(read_target(settings), 10.0)
        assert time.monotonic() >= started_s

    with tls_broker(certificates) as broker:
        asyncio.run(scenario(broker))
