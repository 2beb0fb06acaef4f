"""The status door answers each page from its source, and says plainly what it does not serve."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.operations.exposition import Exposition, format_of
from gateway.operations.health import Health, Reason, Verdict
from gateway.operations.metrics import Metrics
from gateway.serving.app import Sources, StatusDoor
from gateway.serving.asgi import Message


class House:
    """Real sources, with a health that the test sets."""

    def __init__(self) -> None:
        self.health = Health(30.0)
        self.status: Mapping[str, object] = {"gateway": "jetson-1"}
        self.door = StatusDoor(Sources(self.verdict, self.render, lambda: self.status, format_of))
        self.rendered = 0
        self._exposition = Exposition(Metrics())

    def render(self, accept: str) -> tuple[bytes, str]:
        self.rendered += 1
        return self._exposition.render(accept)

    def verdict(self) -> Verdict:
        return self.health.judge(100.0)

    def get(
        self, path: str, method: str = "GET", accept: bytes = b""
    ) -> tuple[int, dict[bytes, bytes], bytes]:
        return asyncio.run(self.ask(path, method, accept))

    async def ask(
        self, path: str, method: str = "GET", accept: bytes = b""
    ) -> tuple[int, dict[bytes, bytes], bytes]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        scope = {"type": "http", "method": method, "path": path, "headers": [(b"accept", accept)]}
        await self.door(scope, receive, send)
        start, body = sent
        headers = dict(start["headers"])
        if b"content-type" in headers and method != "HEAD":
            assert int(headers[b"content-length"]) == len(body["body"])
        return start["status"], headers, body["body"]

    def get_json(self, path: str) -> tuple[int, Any]:
        status, headers, body = self.get(path)
        assert headers[b"content-type"] == b"application/json"
        return status, json.loads(body)


def test_healthz_says_that_the_loop_turns() -> None:
    assert House().get("/healthz")[::2] == (200, b"ok\n")


def test_readyz_is_503_with_reasons_until_every_model_answered() -> None:
    house = House()
    house.health.expect(["face"])
    assert house.get_json("/readyz")[0] == 503
    house.health.clear(Reason.STARTING)
    house.health.canary_failed("face", "engine.run: boom")
    status, said = house.get_json("/readyz")
    assert (status, said["ready"], said["reasons"]) == (503, False, ["canary:face"])
    assert said["models"]["face"]["failure"] == "engine.run: boom"
    house.health.canary_answered("face", 99.0)
    status, said = house.get_json("/readyz")
    assert (status, said["ready"], said["models"]["face"]["age_s"]) == (200, True, 1.0)


def test_options_are_told_for_every_page_and_for_the_whole() -> None:
    for path in ("/metrics", "*"):
        status, headers, body = House().get(path, "OPTIONS")
        assert (status, headers[b"allow"], body) == (204, b"GET, HEAD, OPTIONS", b"")
        assert b"content-length" not in headers
    assert House().get("/nothing", "OPTIONS")[0] == 404


def test_metrics_come_in_the_format_that_was_asked_for() -> None:
    house = House()
    _, plain, body = house.get("/metrics")
    assert plain[b"content-type"].startswith(b"text/plain")
    assert b"gateway_build_info{" in body
    _, open_metrics, body = house.get("/metrics", accept=b"application/openmetrics-text; version=1.0.0")
    assert open_metrics[b"content-type"].startswith(b"application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_a_crowd_that_reads_metrics_is_answered_in_a_few_renderings_however_it_words_its_wish() -> None:
    async def crowd() -> list[tuple[int, dict[bytes, bytes], bytes]]:
        wishes = [b"text/plain;q=0.%d" % number for number in range(1, 100)]
        return await asyncio.gather(*(house.ask("/metrics", accept=wish) for wish in wishes))

    house = House()
    answers = asyncio.run(crowd())
    assert {status for status, _, _ in answers} == {200}
    assert all(b"gateway_build_info{" in body for _, _, body in answers)
    assert house.rendered == 2


def test_status_is_what_the_gateway_says_of_itself() -> None:
    assert House().get_json("/status") == (200, {"gateway": "jetson-1"})


def test_head_says_the_length_and_sends_nothing() -> None:
    house = House()
    status, headers, body = house.get("/status", "HEAD")
    assert (status, body) == (200, b"")
    assert headers[b"content-length"] == str(len(house.get("/status")[2])).encode()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_other_methods_are_refused_and_told_what_is_allowed(method: str) -> None:
    status, headers, body = House().get("/metrics", method)
    assert (status, headers[b"allow"]) == (405, b"GET, HEAD, OPTIONS")
    assert json.loads(body)["label"] == "refused.method"


@pytest.mark.parametrize("path", ["/", "/metrics/", "/nothing", "/../healthz"])
def test_an_unknown_page_is_404_and_lists_the_known_ones(path: str) -> None:
    status, said = House().get_json(path)
    assert (status, said["pages"]) == (404, ["/healthz", "/readyz", "/metrics", "/status"])
    assert said["label"] == "refused.unknown_path"


def test_a_page_that_raises_is_500_and_the_others_go_on(capfd: pytest.CaptureFixture[str]) -> None:
    house = House()
    house.status = {"broken": float("nan")}
    status, told = house.get_json("/status")
    assert (status, told["label"]) == (500, "bug")
    assert house.get("/healthz")[0] == 200
    said = capfd.readouterr().err  # in whichever form the log is, words or JSON
    assert "http_failed" in said
    assert "/status" in said


def test_it_speaks_http_alone() -> None:
    async def nothing(*_: object) -> Any:
        raise AssertionError

    with pytest.raises(ValueError, match="does not speak websocket"):
        asyncio.run(House().door({"type": "websocket"}, nothing, nothing))
