"""``gateway watch`` on a real broker."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.exit_codes import ExitCode
from gateway.cli.main import main
from gateway.cli.watch import result_filters
from gateway.configuration.reader import read
from gateway.configuration.settings import MqttSettings, Settings
from gateway.mqtt.connection import Connection
from gateway.mqtt.state import ConnectionOptions
from tests.broker import Broker
from tests.ports import free_port


@pytest.fixture(name="broker", scope="module")
def _broker() -> Iterator[Broker]:
    with Broker() as broker:
        yield broker


def result(sensor: str, pipeline: str = "classify") -> bytes:
    return json.dumps(
        {
            "v": 1,
            "sensor": sensor,
            "pipeline": pipeline,
            "frame": {"received_at": "2026-01-02T03:04:05.678Z"},
            "prediction": {"kind": "classification", "classes": [{"label": "tabby", "score": 0.9}]},
            "latency_ms": {"total": 6.25},
        }
    ).encode()


def publish(broker: Broker, *messages: tuple[str, bytes], retain: bool) -> None:
    """Publish and wait until the broker has everything."""

    async def run() -> None:
        settings = MqttSettings(url=broker.url)
        async with Connection(settings, ConnectionOptions("publisher", clean=True)) as connection:
            for topic, payload in messages:
                await connection.publish_confirmed(topic, payload, time.monotonic() + 30, retain=retain)

    asyncio.run(run())


def test_results_are_shown_one_a_line(broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    publish(broker, ("gw/a/results/cam-1/classify", result("cam-1")), retain=True)
    assert main(["watch", "--url", broker.url, "--sensor", "cam-1", "--retained", "--count", "1"]) == 0
    assert capsys.readouterr().out == "03:04:05.678  cam-1  classify  tabby 0.90  6.2 ms\n"


def test_json_holds_the_result_as_published(broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    publish(broker, ("gw/a/results/cam-2/classify", result("cam-2")), retain=True)
    arguments = ["watch", "--url", broker.url, "--sensor", "cam-2", "--retained", "--count", "1", "--json"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out) == {
        "topic": "gw/a/results/cam-2/classify",
        "result": json.loads(result("cam-2")),
    }


def test_live_results_of_the_wanted_sensor_alone_are_shown(
    broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(broker, ("gw/a/results/old/classify", result("old")), retain=True)
    seen = threading.Event()

    def keep_publishing() -> None:
        # Until the watcher has seen enough: nobody can know when it has subscribed.
        while not seen.wait(0.05):
            publish(
                broker,
                ("gw/a/results/x/classify", b"no result \xff"),
                ("gw/a/results/other/classify", result("other")),
                ("gw/a/results/live-3/classify", result("live-3")),
                retain=False,
            )

    thread = threading.Thread(target=keep_publishing)
    thread.start()
    try:
        assert main(["watch", "--url", broker.url, "--sensor", "[lo]*[3d]", "--count", "2"]) == 0
    finally:
        seen.set()
        thread.join()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["live-3", "live-3"]


def test_watching_ends_when_the_time_is_over(broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", "--url", broker.url, "--seconds", "0", "--sensor", "none"]) == 0
    assert capsys.readouterr().out == ""


def test_no_broker_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(f"mqtt: {{url: 'mqtt://127.0.0.1:{free_port()}', connect_timeout_s: 1}}\n")
    assert main(["watch", "-c", str(file)]) == ExitCode.UNAVAILABLE
    err = capsys.readouterr().err
    assert err.startswith("gateway: unavailable.not_ready: broker mqtt://127.0.0.1:")
    assert "refused" in err


def test_a_wrong_configuration_ends_with_its_own_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("mqtt: {password: '${env:SURELY_NOT_SET}'}\n")
    assert main(["watch", "-c", str(file), "--json"]) == ExitCode.CONFIG
    told = json.loads(capsys.readouterr().err)
    assert told["error"]["issues"][0]["path"] == "mqtt.password"


def test_the_filters_follow_the_templates_of_the_pipelines() -> None:
    settings = read(
        """
        gateway: {id: board}
        pipelines:
          a: {model: m}
          b: {model: m, publish: {topic: "home/{sensor}/{model}"}}
        """,
        "f.yaml",
        Settings,
    )
    assert result_filters(settings) == ("gw/board/results/+/a", "home/+/m")
    assert result_filters(Settings()) == ("gw/+/results/+/+",)
