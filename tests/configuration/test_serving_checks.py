"""What keeps the doors from being safe is found before the gateway starts, at its key, with what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.configuration.load import inspect
from gateway.configuration.overrides import overridden
from gateway.configuration.reader import read
from gateway.configuration.serving_checks import check_serving, why_not_open
from gateway.configuration.serving_settings import AccessSettings, ServingSettings
from gateway.configuration.settings import Settings
from gateway.errors import ConfigError

TOKEN = "{name: ops, token: 0123456789abcdef}"
TLS = "tls: {certificate_file: c.pem, key_file: k.pem}"
CA = "tls: {certificate_file: c.pem, key_file: k.pem, client_ca_file: a.pem}"


def found(text: str, *, warnings: bool = False) -> dict[str, str]:
    findings = check_serving(read(text, "f.yaml", Settings))
    return {f.path: f.what for f in findings if f.is_warning is warnings}


def test_the_defaults_have_no_findings() -> None:
    assert not list(check_serving(Settings()))


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", ":8080", "[::]:8080", "192.0.2.7:8080", "orin:8080"])
def test_an_address_that_others_reach_is_refused_unless_somebody_is_asked(listen: str) -> None:
    assert list(found(f"http: {{listen: '{listen}'}}")) == ["http.listen"]
    assert list(found(f"serving: {{grpc: {{listen: '{listen}'}}}}")) == ["serving.grpc.listen"]
    other = listen.replace(":8080", ":8081")
    both = f"http: {{listen: '{listen}'}}\nserving: {{grpc: {{listen: '{other}'}}"
    assert list(found(f"{both}}}")) == ["http.listen", "serving.grpc.listen"]
    assert not found(f"{both}, {TLS}, access: {{tokens: [{TOKEN}]}}}}")
    assert not found(f"{both}, {CA}}}")
    assert not found(f"{both}, access: {{open_to_everybody: true}}}}")


@pytest.mark.parametrize(
    "listen", ["127.0.0.1:8080", "localhost:8080", "'[::1]:8080'", "'unix:/run/door'", "'fd://3'"]
)
def test_an_address_of_this_machine_needs_nothing(listen: str) -> None:
    assert not found(f"http: {{listen: {listen}}}")


def test_status_alone_may_be_read_from_anywhere_and_a_door_that_is_off_is_none() -> None:
    assert not found("http: {listen: '0.0.0.0:8080'}\nserving: {enabled: false}")
    assert not found("http: {listen: '0.0.0.0:8080', enabled: false}")
    assert not found("serving: {grpc: {listen: '0.0.0.0:8081', enabled: false}}")


def test_the_refusal_says_every_way_out() -> None:
    what = found("http: {listen: '0.0.0.0:8080'}")["http.listen"]
    for way in ("127.0.0.1", "access.tokens", "client_ca_file", "enabled: false", "open_to_everybody: true"):
        assert way in what


def test_tls_alone_asks_nobody_who_they_are() -> None:
    assert list(found(f"http: {{listen: '0.0.0.0:8080'}}\nserving: {{{TLS}}}")) == ["http.listen"]


def test_tokens_that_cross_the_network_in_clear_are_refused_and_unwise_where_everybody_may_come() -> None:
    text = f"http: {{listen: '0.0.0.0:8080'}}\nserving: {{access: {{tokens: [{TOKEN}]"
    assert list(found(f"{text}}}}}")) == ["serving.access.tokens"]
    opened = f"{text}, open_to_everybody: true}}}}"
    assert not found(opened)
    assert list(found(opened, warnings=True)) == ["serving.access.tokens"]
    assert not found(f"serving: {{access: {{tokens: [{TOKEN}]}}}}")


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("{access: {tokens: [{name: a, token: short}]}}", "tokens[0].token", "at least 16"),
        ("{access: {tokens: [{name: a, token: ''}]}}", "tokens[0].token", "0 characters"),
        ("{access: {tokens: [{name: a, token: 'with a space 0123'}]}}", "tokens[0].token", "header"),
        ("{access: {tokens: [{name: a, token: 0123456789abcdéf}]}}", "tokens[0].token", "header"),
        (
            "{access: {tokens: [{name: a, token: 0123456789abcdef}, {name: b, token: 0123456789abcdef}]}}",
            *("tokens[1].token", "tokens[0]"),
        ),
        (
            "{access: {tokens: [{name: a, token: 0123456789abcdef}, {name: a, token: fedcba9876543210}]}}",
            *("tokens[1].name", "tokens[0]"),
        ),
        (
            "{access: {tokens: [{name: a, token: 0123456789abcdef, scopes: [read, adnim]}]}}",
            *("tokens[0].scopes[1]", "admin"),
        ),
        (
            "{access: {tokens: [{name: a, token: 0123456789abcdef, scopes: []}]}}",
            "tokens[0].scopes",
            "nothing",
        ),
        ("{access: {certificate_scopes: [all]}}", "certificate_scopes[0]", "known: infer"),
        ("{tls: {client_ca_file: ca.pem}}", "client_ca_file", "certificate_file"),
        ("{tls: {certificate_file: c.pem}}", "certificate_file", "key_file"),
        ("{tls: {key_file: c.pem}}", "key_file", "certificate_file"),
        ("{timeout_s: 400}", "timeout_s", "max_timeout_s (300)"),
        ("{grpc: {listen: nowhere}}", "grpc.listen", "HOST:PORT"),
        ("{grpc: {listen: 'fd://3'}}", "grpc.listen", "unix:/PATH"),
        ("{grpc: {listen: '127.0.0.1:8080'}}", "grpc.listen", "another port"),
        ("{priority: {levels: 4, default: 5}}", "priority.default", "priority.levels, which is 4"),
        ("{priority: {levels: 4, frames: 5}}", "priority.frames", "priority.levels, which is 4"),
    ],
)
def test_what_does_not_fit_is_found_at_its_key(text: str, path: str, words: str) -> None:
    findings = found(f"serving: {text}")
    assert [key.endswith(path) for key in findings] == [True]
    (what,) = findings.values()
    assert words in what
    assert "0123456789abcdef" not in what


def test_sockets_that_were_handed_over_are_asked_for_by_the_same_rule() -> None:
    assert "open_to_everybody" in why_not_open(ServingSettings())
    assert not why_not_open(replace(ServingSettings(), enabled=False))
    assert not why_not_open(replace(ServingSettings(), access=AccessSettings(open_to_everybody=True)))


def test_issues_stand_at_their_line_of_the_file_and_overrides_do_not_slip_by(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(
        "http:\n  listen: 0.0.0.0:8080\nserving:\n  timeout_s: 400\n  access:\n    tokens:\n"
        "      - name: ops\n        token: 0123456789abcdef\n        scopes: [root]\n"
    )
    file.chmod(0o644)
    inspected = inspect(file, {})
    assert [str(issue).rpartition(f"{file}:")[2].split(": ")[:2] for issue in inspected.issues] == [
        ["4:14", "serving.timeout_s"],
        ["6:5", "serving.access.tokens"],
        ["9:18", "serving.access.tokens[0].scopes[0]"],
    ]
    assert [issue.path for issue in inspected.warnings] == ["serving.access.tokens[0].token"]
    file.write_text("gateway: {id: a}\n")
    with pytest.raises(ConfigError) as refused:
        overridden(inspect(file, {}), ["http.listen=0.0.0.0:8080"])
    assert [issue.path for issue in refused.value.issues] == ["http.listen"]
