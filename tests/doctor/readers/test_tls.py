"""Certificates of real brokers with TLS: sound, expired, of another authority, and none at all."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from gateway.configuration.settings import MqttSettings
from gateway.doctor.finding import Verdict, worst
from gateway.doctor.readers.tls import read_tls
from gateway.doctor.rules.tls import TlsFacts, judge_tls
from tests.broker import Broker
from tests.mqtt.certificates import Certificates, make_certificates
from tests.ports import free_port

DAY_S = 86_400.0


@pytest.fixture(name="made", scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(name="broker", scope="module")
def _broker(made: Certificates) -> Iterator[Broker]:
    with Broker(
        f"cafile {made.authority}", f"certfile {made.broker}", f"keyfile {made.broker_key}"
    ) as broker:
        yield broker


def mqtt(port: int, made: Certificates) -> MqttSettings:
    return MqttSettings(url=f"mqtts://127.0.0.1:{port}", ca_file=str(made.authority))


def expired(made: Certificates, folder: Path) -> Path:
    """Sign the broker's key anew, for days that have gone."""
    past = [datetime.now(timezone.utc) - timedelta(days=days) for days in (20, 10)]
    begin, end = (f"{day:%Y%m%d%H%M%SZ}" for day in past)
    (folder / "index.txt").write_text("")
    (folder / "ca.cnf").write_text(
        "[ca]\ndefault_ca = own\n[own]\ndatabase = index.txt\nnew_certs_dir = .\nrand_serial = yes\n"
        "default_md = sha256\npolicy = any\n[any]\ncommonName = supplied\n"
        "[broker]\nsubjectAltName = IP:127.0.0.1\nextendedKeyUsage = serverAuth\n"
    )
    home = made.authority.parent
    command = [
        "openssl", "ca", "-batch", "-config", "ca.cnf", "-cert", str(made.authority),
        "-keyfile", str(home / "authority.key"), "-in", str(home / "broker.csr"), "-out", "old.pem",
        "-startdate", begin, "-enddate", end, "-extensions", "broker", "-notext",
    ]  # fmt: skip
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "old.pem"


def said(facts: TlsFacts, check: str) -> list[tuple[Verdict, str]]:
    return [(each.verdict, each.what) for each in judge_tls(facts) if each.check == check]


def test_a_sound_certificate_is_trusted_and_its_end_is_told(broker: Broker, made: Certificates) -> None:
    facts = read_tls(mqtt(broker.port, made), offline=False)
    assert (facts.refusal, facts.unseen, facts.trouble) == ("", "", "")
    assert facts.broker is not None
    assert 1 * DAY_S < facts.broker.ends_s - time.time() < 2 * DAY_S
    (finding,) = said(facts, "tls.broker")
    assert finding[0] is Verdict.WARNING, "two days are soon"


def test_an_expired_certificate_is_told_with_its_day_although_nothing_is_exchanged(
    made: Certificates, tmp_path: Path
) -> None:
    old = expired(made, tmp_path)
    with Broker(f"cafile {made.authority}", f"certfile {old}", f"keyfile {made.broker_key}") as broker:
        facts = read_tls(mqtt(broker.port, made), offline=False)
    assert "expired" in facts.refusal
    day = f"{datetime.now(timezone.utc) - timedelta(days=10):%Y-%m-%d}"
    (finding,) = said(facts, "tls.broker")
    assert finding == (Verdict.PROBLEM, f"127.0.0.1:{broker.port}: expired on {day}")


def test_a_certificate_of_another_authority_is_refused_whatever_its_dates(
    broker: Broker, tmp_path: Path
) -> None:
    other = make_certificates(tmp_path)
    facts = read_tls(mqtt(broker.port, other), offline=False)
    (finding,) = said(facts, "tls.broker")
    assert finding[0] is Verdict.PROBLEM
    assert "not trusted" in finding[1]
    assert any("mqtt.ca_file" in line for each in judge_tls(facts) for line in each.mend)


def test_the_gateways_own_certificate_is_read_from_its_file_also_offline(made: Certificates) -> None:
    settings = replace(
        mqtt(1, made), client_certificate_file=str(made.client), client_key_file=str(made.client_key)
    )
    facts = read_tls(settings, offline=True)
    assert facts.client is not None
    assert facts.client.place == str(made.client)
    assert facts.broker is None
    assert said(facts, "tls.broker") == [
        (Verdict.NOTE, "the broker's certificate was not seen: it was not asked (--offline)")
    ]


def test_a_key_of_another_certificate_is_a_problem(made: Certificates) -> None:
    settings = replace(
        mqtt(1, made), client_certificate_file=str(made.client), client_key_file=str(made.broker_key)
    )
    facts = read_tls(settings, offline=False)
    assert "mqtt.client_certificate_file" in facts.trouble
    assert worst(judge_tls(facts)) is Verdict.PROBLEM


def test_a_broker_that_is_not_there_or_speaks_no_tls_is_left_to_the_brokers_own_check(
    made: Certificates,
) -> None:
    absent = read_tls(mqtt(free_port(), made), offline=False)
    assert (absent.refusal, absent.broker) == ("", None)
    assert said(absent, "tls.broker")[0][0] is Verdict.NOTE
    with Broker() as plain:
        facts = read_tls(mqtt(plain.port, made), offline=False)
    assert facts.broker is None
    assert said(facts, "tls.broker")


def test_without_tls_only_a_broker_elsewhere_is_a_worry() -> None:
    here = read_tls(MqttSettings(url="mqtt://127.0.0.1:1"), offline=False)
    there = read_tls(MqttSettings(url="mqtt://192.0.2.1"), offline=False)
    assert said(here, "tls.encrypted")[0][0] is Verdict.OK
    assert said(there, "tls.encrypted")[0][0] is Verdict.WARNING
