"""The gate lets in who may, counts who is in, slows who guesses, and notes each call of an administrator."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from gateway.configuration.secret import Secret
from gateway.configuration.serving_settings import AccessSettings, ServingSettings, TlsSettings, TokenSettings
from gateway.configuration.settings import LogSettings
from gateway.errors import AccessRefused, ConfigError, Forbidden, LoadFailed, RateLimited, Unauthenticated
from gateway.operations.log import log
from gateway.operations.metrics import Metrics
from gateway.serving.access.gate import Gate
from gateway.serving.access.opening import check_bound, configured_policy, gate_of
from gateway.serving.access.peer import Peer
from gateway.serving.access.policy import policy_of
from tests.serving.said import parsed

LOOPBACK = Peer("127.0.0.1", is_local=True, host="127.0.0.1:8080")
OUTSIDE = Peer("192.0.2.7", is_encrypted=True)
RIGHT = "Bearer right-0123456789abcdef"
TOKENS = (
    TokenSettings("ops", Secret("right-0123456789abcdef"), ("infer", "read", "admin")),
    TokenSettings("eyes", Secret("eyes-0123456789abcdef"), ("read",)),
)


@dataclass
class House:
    """A gate with a clock that the test turns."""

    access: AccessSettings
    now_s: float = 1000.0

    def __post_init__(self) -> None:
        self.metrics = Metrics()
        policy = policy_of(self.access, takes_certificates=False, is_exposed=False)
        self.gate = Gate(policy, self.access, self.metrics.access_refused, lambda: self.now_s)

    def refused(self) -> dict[str, float]:
        return {labels[0]: count for labels, count in self.metrics.access_refused.values()}


Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(capfd: pytest.CaptureFixture[str]) -> Lines:
    log.configure(replace(LogSettings(), format="json", interval_s=0.0))
    return lambda: parsed(capfd.readouterr().err)


@pytest.fixture(autouse=True)
def _plain_log() -> Any:
    yield
    log.configure(LogSettings())


def test_a_request_is_counted_from_admission_until_it_is_left() -> None:
    gate = House(AccessSettings(concurrent=2)).gate
    first = gate.admit(LOOPBACK, "infer")
    with gate.admit(LOOPBACK, "read") as caller:
        assert caller.name == "127.0.0.1"
        with pytest.raises(RateLimited) as refused:
            gate.admit(LOOPBACK, "infer")
        assert refused.value.attributes["retry_after_s"] == 1.0
        with gate.admit(LOOPBACK._replace(address="::1"), "infer"):
            pass
    with pytest.raises(OSError, match="gone"), gate.admit(LOOPBACK, "infer"):
        raise OSError("gone")
    with first:
        first.close()
    with gate.admit(LOOPBACK, "infer"), gate.admit(LOOPBACK, "infer"):
        pass


def test_a_rate_is_per_client_and_says_when_to_come_again() -> None:
    house = House(AccessSettings(requests_per_s=2.0, burst=3, tokens=TOKENS))
    for _ in range(3):
        house.gate.admit(LOOPBACK, "infer").close()
    with pytest.raises(RateLimited) as refused:
        house.gate.admit(LOOPBACK, "infer")
    assert refused.value.attributes["retry_after_s"] == 0.5
    house.gate.admit(LOOPBACK._replace(authorization=RIGHT), "infer").close()
    house.now_s += 0.5
    house.gate.admit(LOOPBACK, "infer").close()
    assert house.refused() == {"rate": 1}


def test_a_token_is_one_client_from_wherever_it_is_used_and_a_network_of_version_6_too() -> None:
    house = House(AccessSettings(requests_per_s=1.0, burst=1, tokens=TOKENS))
    house.gate.admit(OUTSIDE._replace(authorization=RIGHT), "infer").close()
    with pytest.raises(RateLimited):
        house.gate.admit(Peer("198.51.100.9", authorization=RIGHT), "infer")
    opened = House(AccessSettings(requests_per_s=1.0, burst=1, open_to_everybody=True))
    opened.gate.admit(Peer("2001:db8::1"), "infer").close()
    with pytest.raises(RateLimited):
        opened.gate.admit(Peer("2001:db8::2"), "infer")


def test_who_guesses_is_slowed_and_not_even_the_right_token_is_looked_at() -> None:
    house = House(AccessSettings(tokens=TOKENS))
    for number in range(10):
        with pytest.raises(Unauthenticated):
            house.gate.admit(OUTSIDE._replace(authorization=f"Bearer guess-{number}"), "infer")
    right = OUTSIDE._replace(authorization=RIGHT)
    with pytest.raises(RateLimited) as refused:
        house.gate.admit(right, "infer")
    assert refused.value.attributes == {"reason": "guessing", "retry_after_s": 5.0}
    house.gate.admit(right._replace(address="198.51.100.9"), "infer").close()
    house.gate.admit(LOOPBACK, "infer").close()
    house.now_s += 5.0
    house.gate.admit(right, "infer").close()
    assert house.refused() == {"unknown_token": 10, "guessing": 1}


def test_a_wrong_token_is_never_overlooked_because_the_peer_is_local() -> None:
    house = House(AccessSettings())
    for header, reason in (("Bearer wrong", "unknown_token"), ("Basic b3BzOm9wcw==", "no_bearer")):
        with pytest.raises(Unauthenticated) as refused:
            house.gate.admit(LOOPBACK._replace(authorization=header), "infer")
        assert refused.value.attributes["reason"] == reason


def test_probes_are_let_in_whoever_asks_and_however_many() -> None:
    gate = House(AccessSettings(tokens=TOKENS, concurrent=1, requests_per_s=1.0, burst=1)).gate
    admissions = [gate.admit(OUTSIDE._replace(authorization="Bearer wrong"), "") for _ in range(50)]
    assert {each.caller.scopes for each in admissions} == {frozenset()}


def test_every_call_of_an_administrator_leaves_one_line(lines: Lines) -> None:
    gate = House(AccessSettings(tokens=TOKENS)).gate
    ops = OUTSIDE._replace(authorization=RIGHT)
    with gate.admit(ops, "admin", "load", "detector"):
        pass
    answered = gate.admit(ops, "admin", "unload", "detector")
    with answered:
        answered.failed("refused.unknown_model")
    for error in (LoadFailed("no"), asyncio.CancelledError()):
        with pytest.raises(type(error)), gate.admit(ops, "admin", "load", "face"):
            raise error
    with gate.admit(ops, "infer", "infer", "face"):
        pass
    said = [line for line in lines() if line["event"] == "admin_call"]
    assert [[line[key] for key in ("who", "address", "call", "on", "outcome")] for line in said] == [
        ["token:ops", "192.0.2.7", "load", "detector", "done"],
        ["token:ops", "192.0.2.7", "unload", "detector", "refused.unknown_model"],
        ["token:ops", "192.0.2.7", "load", "face", "engine.load"],
        ["token:ops", "192.0.2.7", "load", "face", "cancelled"],
    ]


def test_a_refusal_is_counted_and_logged_without_the_token(lines: Lines) -> None:
    house = House(AccessSettings(tokens=TOKENS))
    shown = OUTSIDE._replace(authorization="Bearer eyes-0123456789abcdef")
    with pytest.raises(Forbidden):
        house.gate.admit(shown, "admin", "unload", "detector")
    with pytest.raises(Unauthenticated):
        house.gate.admit(OUTSIDE._replace(authorization="Bearer secret-guess"), "infer")
    assert house.refused() == {"scope": 1, "unknown_token": 1}
    first, second = lines()
    assert (first["event"], first["reason"], first["call"]) == ("access_refused", "scope", "unload")
    assert "0123456789abcdef" not in json.dumps([first, second])
    assert "secret-guess" not in json.dumps([first, second])


def test_another_configuration_is_gone_by_at_once_and_who_is_in_stays_counted() -> None:
    house = House(AccessSettings(concurrent=2))
    inside = [house.gate.admit(LOOPBACK, "infer") for _ in range(2)]
    access = AccessSettings(concurrent=3, tokens=TOKENS)
    house.gate.apply(policy_of(access, takes_certificates=False, is_exposed=False), access)
    house.gate.admit(LOOPBACK, "infer")
    with pytest.raises(RateLimited):
        house.gate.admit(LOOPBACK, "infer")
    with pytest.raises(Forbidden):
        house.gate.admit(LOOPBACK, "admin")
    for each in inside:
        each.close()
    house.gate.admit(OUTSIDE._replace(authorization=RIGHT), "admin").close()


def test_a_reload_gives_nobody_another_burst_unless_the_rate_was_changed() -> None:
    access = AccessSettings(requests_per_s=1.0, burst=1)
    house = House(access)
    policy = policy_of(access, takes_certificates=False, is_exposed=False)
    house.gate.admit(LOOPBACK, "infer").close()
    house.gate.apply(policy, replace(access, concurrent=5))
    with pytest.raises(RateLimited):
        house.gate.admit(LOOPBACK, "infer")
    for changed in (replace(access, burst=2), replace(access, requests_per_s=0.0)):
        house.gate.apply(policy, changed)
        house.gate.admit(LOOPBACK, "infer").close()


def test_the_gate_of_a_configuration_knows_whether_a_door_is_open_to_others() -> None:
    serving = ServingSettings()
    closed = configured_policy(serving, ["127.0.0.1:8080", "/run/gateway/control", "[::1]:8081"])
    assert (closed.is_exposed, closed.takes_certificates) == (False, False)
    assert configured_policy(serving, ["127.0.0.1:8080", "0.0.0.0:8081"]).is_exposed
    mutual = replace(serving, tls=TlsSettings("server.pem", "server.key", "clients.pem"))
    assert configured_policy(mutual, []).takes_certificates
    gate = gate_of(serving, ["[::]:8080"], Metrics())
    with gate.admit(LOOPBACK, "infer"):
        pass
    with pytest.raises(AccessRefused):
        gate.admit(LOOPBACK, "admin")


def test_a_socket_that_was_handed_over_is_held_to_the_rules_of_its_address() -> None:
    inside, outside = ["127.0.0.1:8080", "/run/gateway/control"], ["/run/gateway/control", "[::]:8080"]
    mine, tokens = ServingSettings(), ServingSettings(access=AccessSettings(tokens=TOKENS))
    for serving, words in ((mine, "nobody is asked"), (tokens, "read the tokens")):
        check_bound(serving, inside)
        with pytest.raises(ConfigError, match=words) as refused:
            check_bound(serving, outside)
        assert [issue.path for issue in refused.value.issues] == ["[::]:8080"]
        check_bound(replace(serving, enabled=False), outside)
        check_bound(replace(serving, access=replace(serving.access, open_to_everybody=True)), outside)
    check_bound(replace(tokens, tls=TlsSettings("server.pem", "server.key")), outside)


def test_names_from_outside_are_cut_and_begin_no_line_of_their_own(lines: Lines) -> None:
    with House(AccessSettings()).gate.admit(LOOPBACK, "admin", "load", "x\nadmin_call who=ops " + "y" * 5000):
        pass
    (line,) = lines()
    assert line["on"].startswith("x\nadmin_call")
    assert len(line["on"]) == 128
