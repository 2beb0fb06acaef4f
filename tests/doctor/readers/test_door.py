"""The status door of gateways that run, start, hang, are none, or are not there."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.configuration.settings import HttpSettings
from gateway.doctor.finding import Verdict
from gateway.doctor.readers.door import read_door
from gateway.doctor.readers.service import Service
from gateway.doctor.rules.door import DoorFacts, judge_door
from tests.doctor.sound_facts import WHO
from tests.ports import free_port

ACTIVE = Service("gateway.service", {"LoadState": "loaded", "ActiveState": "active"}, WHO, None, None)
IDLE = replace(ACTIVE, properties={"LoadState": "loaded", "ActiveState": "inactive"})
NO_UNIT = replace(ACTIVE, properties={})


@contextmanager
def door(body: bytes, status: int = 200) -> Iterator[tuple[str, list[str]]]:
    """Serve one answer to everybody; yield the address and the paths that were asked for."""
    asked: list[str] = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def verdicts(facts: DoorFacts | None) -> list[Verdict]:
    assert facts is not None
    return [each.verdict for each in judge_door(facts, "gateway.service")]


@pytest.mark.parametrize(
    ("ready", "reasons", "verdict"),
    [
        (True, [], Verdict.OK),
        (True, ["broker"], Verdict.WARNING),
        (False, ["starting"], Verdict.NOTE),
        (False, ["canary:door", "broker"], Verdict.PROBLEM),
        (False, [], Verdict.PROBLEM),
    ],
)
def test_what_the_gateway_says_of_itself_is_passed_on(
    ready: bool, reasons: list[str], verdict: Verdict
) -> None:
    body = json.dumps({"ready": ready, "degraded": False, "models": {}, "reasons": reasons}).encode()
    with door(body, 200 if ready else 503) as (place, asked):
        facts = read_door(HttpSettings(listen=place), ACTIVE)
    assert (verdicts(facts), asked) == ([verdict], ["/readyz"])


def test_a_gateway_that_listens_at_a_path_is_asked_there(tmp_path: Path) -> None:
    settings = HttpSettings(listen=f"unix:{tmp_path}/door")
    facts = read_door(settings, ACTIVE)
    assert facts == DoorFacts(f"unix:{tmp_path}/door", runs=True, error="nobody listens")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(f"{tmp_path}/door")
        other.listen()

        def greet() -> None:
            client, _ = other.accept()
            with client:
                client.recv(65_536)
                client.sendall(
                    b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps({"ready": True, "reasons": []}).encode()
                )

        thread = threading.Thread(target=greet)
        thread.start()
        facts = read_door(settings, ACTIVE)
        thread.join()
    assert verdicts(facts) == [Verdict.OK]
    taken = DoorFacts(settings.listen, runs=True, taken=True, error="it hangs")
    (finding,) = judge_door(taken, "gateway.service")
    assert finding.mend[0] == f"sudo ss -lxp | grep -F '{tmp_path}/door'  # by whom"


def test_a_service_that_does_not_run_is_not_woken() -> None:
    with door(b"{}") as (place, asked):
        assert read_door(HttpSettings(listen=place), IDLE) is None
        assert read_door(HttpSettings(listen=place, enabled=False), ACTIVE) is None
    assert asked == []
    assert read_door(HttpSettings(listen="fd://3"), ACTIVE) is None
    assert read_door(HttpSettings(listen="nonsense"), ACTIVE) is None


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"ready": true}', b"\xff", b"[" * 60_000])
def test_somebody_else_at_the_port_is_a_problem(body: bytes) -> None:
    with door(body) as (place, _):
        facts = read_door(HttpSettings(listen=place), NO_UNIT)
    assert facts is not None
    (finding,) = judge_door(facts, "gateway.service")
    assert finding.verdict is Verdict.PROBLEM
    assert finding.mend[0] == f"sudo ss -ltnp 'sport = :{place.rpartition(':')[2]}'  # by whom"


def test_a_port_that_speaks_something_else_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def greet() -> None:
            peer, _ = other.accept()
            with peer:
                peer.recv(1000)
                peer.sendall(b"220 mail\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        facts = read_door(HttpSettings(listen=f":{other.getsockname()[1]}"), NO_UNIT)
        thread.join()
    assert facts is not None
    assert facts.taken


def test_nobody_at_the_port_matters_only_where_the_gateway_should_be() -> None:
    settings = HttpSettings(listen=f"127.0.0.1:{free_port()}")
    assert verdicts(read_door(settings, ACTIVE)) == [Verdict.PROBLEM]
    assert verdicts(read_door(settings, NO_UNIT)) == []
