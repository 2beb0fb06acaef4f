"""The cases of checks on disk, certificates and broker; see ``tests.doctor.cases`` for what a case is."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.doctor.finding import Verdict
from gateway.doctor.rules.broker import judge_broker
from gateway.doctor.rules.store import judge_store
from gateway.doctor.rules.tls import Certificate, judge_tls
from gateway.doctor.rules.who import Node
from gateway.mqtt.handshake import Accepted
from tests.doctor.cases import Case
from tests.doctor.sound_facts import BROKER, DAY_S, GIB, MIB, NOW_S, STORE, TLS

NOTE, WARNING, PROBLEM = Verdict.NOTE, Verdict.WARNING, Verdict.PROBLEM
TIGHT = Accepted(False, 1, 65_536, 0, False, True)
EXPIRED = Certificate("broker.example:8883", NOW_S - 400 * DAY_S, NOW_S - 2 * DAY_S)

NET_CASES: Final[dict[str, Case]] = {
    "store.space": Case(
        judge_store(STORE),
        judge_store(replace(STORE, free_bytes=10 * MIB)),
        PROBLEM,
        "journalctl --vacuum-size",
    ),
    "store.quota": Case(
        judge_store(STORE),
        judge_store(replace(STORE, used_bytes=4 * GIB)),
        WARNING,
        "updates.keep_releases: 0",
    ),
    "store.access": Case(
        judge_store(STORE),
        judge_store(replace(STORE, nearest=Node("/var/lib/gateway/models", 0, 0, 0o755))),
        PROBLEM,
        "sudo install -d -o gateway -g gateway -m 0750 /var/lib/gateway/models",
    ),
    "tls.broker": Case(
        judge_tls(TLS), judge_tls(replace(TLS, broker=EXPIRED)), PROBLEM, "renew it on the broker"
    ),
    "tls.client": Case(
        judge_tls(TLS),
        judge_tls(replace(TLS, client=Certificate("client.pem", NOW_S - DAY_S, NOW_S + 3 * DAY_S))),
        WARNING,
        "signs the gateway's certificates",
    ),
    "tls.encrypted": Case(
        judge_tls(TLS), judge_tls(replace(TLS, encrypted=False, broker=None)), WARNING, "mqtts://HOST:8883"
    ),
    "broker.reachable": Case(
        judge_broker(BROKER),
        judge_broker(replace(BROKER, local=True, limits=None, error="Connection refused")),
        PROBLEM,
        "sudo systemctl enable --now mosquitto",
    ),
    "broker.version": Case(
        judge_broker(BROKER), judge_broker(replace(BROKER, version=4)), WARNING, "sudo apt install mosquitto"
    ),
    "broker.packet_size": Case(
        judge_broker(BROKER),
        judge_broker(replace(BROKER, limits=TIGHT)),
        WARNING,
        "mqtt.max_packet_bytes: 65536",
    ),
    "broker.qos": Case(
        judge_broker(BROKER), judge_broker(replace(BROKER, limits=TIGHT)), WARNING, "max_qos 1"
    ),
    "broker.retain": Case(
        judge_broker(BROKER), judge_broker(replace(BROKER, limits=TIGHT)), PROBLEM, "retain_available true"
    ),
    "broker.receive_maximum": Case(
        judge_broker(BROKER), judge_broker(replace(BROKER, limits=TIGHT)), NOTE, "max_inflight_messages 20"
    ),
    "broker.round_trip": Case(
        judge_broker(BROKER),
        judge_broker(replace(BROKER, round_trips_ms=())),
        PROBLEM,
        "topic readwrite gw/#",
    ),
    "broker.persistence": Case(
        judge_broker(BROKER),
        judge_broker(replace(BROKER, persistent=False)),
        WARNING,
        "echo 'persistence true' | sudo tee /etc/mosquitto/conf.d/gateway-persistence.conf",
    ),
}
