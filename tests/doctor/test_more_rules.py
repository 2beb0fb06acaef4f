"""Judgements that depend on more than one fact: who asks, what is wanted, what is merely unknown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from gateway.doctor.finding import Finding, Verdict
from gateway.doctor.rules.board import judge_board
from gateway.doctor.rules.broker import judge_broker
from gateway.doctor.rules.configuration import ConfigurationFacts, judge_configuration
from gateway.doctor.rules.gpu import NvmlFacts, judge_gpu
from gateway.doctor.rules.memory import Swap, judge_memory
from gateway.doctor.rules.models import judge_models
from gateway.doctor.rules.packages import CudaLibrary, judge_packages
from gateway.doctor.rules.power import judge_power
from gateway.doctor.rules.service import judge_service
from gateway.doctor.rules.store import judge_store
from gateway.doctor.rules.tls import Certificate, judge_tls
from gateway.scaling.sample import Pressure
from tests.doctor.sound_facts import (
    ASKER,
    BOARD,
    BROKER,
    DAY_S,
    GIB,
    GPU,
    MEMORY,
    MIB,
    MODEL,
    NOW_S,
    OUTSIDER,
    PACKAGES,
    POWER,
    SERVICE,
    STORE,
    TLS,
)

OK, NOTE, WARNING, PROBLEM = Verdict


def of(findings: Iterable[Finding], check: str) -> Finding:
    (finding,) = (each for each in findings if each.check == check)
    return finding


def test_a_refusal_without_the_services_password_is_no_problem_of_the_broker() -> None:
    refused = replace(BROKER, limits=None, error="not authorised", refused=True)
    assert of(judge_broker(refused), "broker.reachable").verdict is PROBLEM
    without = of(judge_broker(replace(refused, without_secret=True)), "broker.reachable")
    assert (without.verdict, without.mend) == (NOTE, ("sudo gateway doctor --only broker",))


def test_a_broker_that_was_not_reached_is_judged_no_further() -> None:
    assert [each.check for each in judge_broker(replace(BROKER, limits=None, error="timed out"))] == [
        "broker.reachable"
    ]


def test_an_older_protocol_that_was_chosen_is_only_noted() -> None:
    chosen = of(judge_broker(replace(BROKER, version=4, asked_version="3.1.1")), "broker.version")
    assert (chosen.verdict, chosen.mend) == (NOTE, ("set mqtt.version: auto",))


def test_a_slow_round_trip_is_warned_of_by_its_median_alone() -> None:
    once = replace(BROKER, round_trips_ms=(900.0, 1.0, 1.0, 2.0, 1.0))
    assert of(judge_broker(once), "broker.round_trip").verdict is OK
    slow = of(judge_broker(replace(BROKER, round_trips_ms=(120.0, 150.0, 1.0))), "broker.round_trip")
    assert (slow.verdict, slow.values["median_ms"]) == (WARNING, 120.0)


def test_persistence_that_cannot_be_told_is_a_note_and_no_reproach() -> None:
    assert of(judge_broker(replace(BROKER, persistent=None)), "broker.persistence").verdict is NOTE


def test_a_file_that_may_not_be_read_is_not_called_wrong() -> None:
    (finding,) = judge_configuration(ConfigurationFacts("/etc/gateway/gateway.yaml", denied=True))
    assert finding.verdict is WARNING
    assert finding.mend == ("sudo gateway doctor --config /etc/gateway/gateway.yaml",)
    (none,) = judge_configuration(ConfigurationFacts(""))
    assert none.verdict is NOTE


def test_code_for_another_gpu_is_a_problem_only_where_a_model_asks_for_it() -> None:
    other = replace(PACKAGES, library=CudaLibrary("sm_89, sm_90, sm_120, sm_121", fits=False))
    assert of(judge_packages(other), "packages.cuda_code").verdict is PROBLEM
    unasked = of(judge_packages(replace(other, providers=frozenset())), "packages.cuda_code")
    assert unasked.verdict is WARNING
    assert "sm_89, sm_90, sm_120, sm_121, none for this board's sm_87" in unasked.what
    seven = of(judge_packages(replace(other, jetpack=7, capability=110)), "packages.cuda_code")
    assert seven.mend[0] == "build ONNX Runtime with CMAKE_CUDA_ARCHITECTURES=110-real"


def test_a_build_without_cuda_is_a_problem_where_a_model_asks_for_it() -> None:
    plain = {**PACKAGES.versions, "onnxruntime": "1.23.2"}
    del plain["onnxruntime-gpu"]
    facts = replace(PACKAGES, versions=plain, library=None)
    assert of(judge_packages(facts), "packages.cuda_code").verdict is PROBLEM
    unasked = judge_packages(replace(facts, providers=frozenset()))
    assert not [each for each in unasked if each.check == "packages.cuda_code"]


def test_a_missing_runtime_is_a_problem_only_where_a_model_needs_it() -> None:
    bare = replace(PACKAGES, versions={"numpy": "2.2.6"}, library=None, formats=frozenset({"tflite"}))
    found = list(judge_packages(bare))
    assert of(found, "packages.onnxruntime").verdict is WARNING
    assert of(found, "packages.tflite").verdict is PROBLEM


def test_onnxruntime_gpu_stands_in_for_the_requirement_of_onnxruntime() -> None:
    facts = replace(PACKAGES, unmet=("onnxruntime is not installed",))
    assert of(judge_packages(facts), "packages.requirements").verdict is OK


@pytest.mark.parametrize(
    ("jetpack", "jetson", "verdict"), [(4, True, OK), (5, True, OK), (6, True, NOTE), (0, False, NOTE)]
)
def test_no_nvml_is_as_it_should_be_before_jetpack_6(jetpack: int, jetson: bool, verdict: Verdict) -> None:
    facts = replace(GPU, jetson=jetson, jetpack=jetpack, nvml=NvmlFacts("the library is not there"))
    assert of(judge_gpu(facts), "gpu.nvml").verdict is verdict


def test_a_machine_without_gpu_and_nvml_is_well() -> None:
    facts = replace(
        GPU, jetson=False, jetpack=0, nodes=(), wanted=False, nvml=NvmlFacts("the library is not there")
    )
    assert {each.verdict for each in judge_gpu(facts)} == {OK}


def test_what_nvml_does_not_answer_is_told_call_by_call() -> None:
    calls = {"name": "ok", "memory": "not supported", "temperature": "ok"}
    finding = of(judge_gpu(replace(GPU, nvml=NvmlFacts("", "540.4", {"Orin (nvgpu)": calls}))), "gpu.nvml")
    assert "answers name, temperature; not memory (not supported)" in finding.what
    assert finding.values["memory"] == "not supported"


def test_rights_matter_less_where_no_model_wants_the_gpu() -> None:
    found = list(judge_gpu(replace(GPU, who=OUTSIDER, wanted=False)))
    assert of(found, "gpu.access").verdict is NOTE
    assert of(found, "gpu.groups").verdict is WARNING


def test_root_needs_no_group() -> None:
    root = replace(OUTSIDER, user="root", uid=0)
    found = list(judge_gpu(replace(GPU, who=root)))
    assert of(found, "gpu.access").verdict is OK
    assert not [each for each in found if each.check == "gpu.groups"]


def test_who_has_no_unit_gets_lines_for_a_shell() -> None:
    limit = of(judge_memory(replace(MEMORY, who=ASKER, lock_bytes=8 * MIB)), "memory.locking")
    assert limit.mend == ("ulimit -l 196608  # before the gateway is started",)
    files = of(judge_service(replace(SERVICE, loaded="not-found", open_files=64)), "service.descriptors")
    assert files.mend == ("ulimit -n 4096  # before the gateway is started",)
    free = replace(MEMORY, who=replace(ASKER, uid=0), lock_bytes=0)
    assert of(judge_memory(free), "memory.locking").verdict is OK


def test_memory_that_nobody_tells_says_what_could_not_be_read() -> None:
    facts = replace(MEMORY, memory=(), troubles=("/proc/meminfo: Permission denied",))
    assert "/proc/meminfo: Permission denied" in of(judge_memory(facts), "memory.source").what
    assert "cannot be read" in of(judge_memory(replace(facts, troubles=())), "memory.source").what


def test_what_stands_in_for_psi_is_told() -> None:
    other = of(judge_memory(replace(MEMORY, pressure=Pressure("vmstat"))), "memory.pressure")
    none = of(judge_memory(replace(MEMORY, pressure=Pressure())), "memory.pressure")
    assert "swapping is watched instead" in other.what
    assert "nothing in its place" in none.what
    unknown = of(judge_memory(replace(MEMORY, pressure=Pressure("psi", 0.5))), "memory.pressure")
    assert unknown.what == "PSI: some 50.0%, full unknown"


def test_a_small_jetson_without_swap_is_told_of_zram_and_no_other_machine_is() -> None:
    small = tuple(replace(each, total_bytes=4 * GIB, available_bytes=2 * GIB) for each in MEMORY.memory)
    bare = replace(MEMORY, swaps=(), memory=small)
    assert of(judge_memory(bare), "memory.swap").mend == ("sudo systemctl enable --now nvzramconfig",)
    assert of(judge_memory(replace(bare, jetson=False)), "memory.swap").verdict is OK
    assert of(judge_memory(replace(bare, memory=MEMORY.memory)), "memory.swap").verdict is OK
    half = replace(MEMORY, swaps=(Swap("/dev/zram0", 100, 50),))
    assert of(judge_memory(half), "memory.swap").verdict is OK


def test_a_limit_on_a_jetson_does_not_count_the_gpu() -> None:
    limited = replace(MEMORY, limit_bytes=2 * GIB)
    assert of(judge_memory(limited), "memory.cgroup").verdict is NOTE
    assert of(judge_memory(replace(limited, jetson=False)), "memory.cgroup").verdict is OK
    assert of(judge_memory(replace(MEMORY, groups="")), "memory.cgroup").verdict is NOTE


def test_an_unknown_power_mode_is_said_to_be_unknown_and_clocks_that_nobody_tells_are_not_told() -> None:
    found = list(judge_power(replace(POWER, mode="", clocks=())))
    assert of(found, "power.mode").mend == ("sudo nvpmodel -q",)
    assert not [each for each in found if each.check == "power.clocks"]


def test_that_nothing_tells_of_throttling_is_not_called_well_on_a_jetson() -> None:
    assert of(judge_power(replace(POWER, throttled=None)), "power.throttling").verdict is NOTE
    assert of(judge_power(replace(POWER, throttled=None, jetson=False)), "power.throttling").verdict is OK


@pytest.mark.parametrize(
    ("changes", "verdict", "line"),
    [
        ({"loaded": ""}, NOTE, ""),
        ({"loaded": "not-found"}, NOTE, "sudo scripts/install"),
        ({"active": "inactive", "sub": "dead"}, NOTE, "sudo systemctl start gateway.service"),
        ({"enabled": "disabled"}, NOTE, "sudo systemctl enable gateway.service"),
        (
            {"active": "activating", "sub": "auto-restart", "result": "exit-code"},
            PROBLEM,
            "journalctl -u gateway.service -b -n 100  # why",
        ),
        ({"restarts": 2}, OK, ""),
        ({"restarts": 3}, WARNING, "journalctl -u gateway.service -b -p warning"),
    ],
)
def test_each_state_of_the_unit_has_its_words(
    changes: dict[str, object], verdict: Verdict, line: str
) -> None:
    unit = of(judge_service(replace(SERVICE, **changes)), "service.unit")  # type: ignore[arg-type]
    assert (unit.verdict, unit.mend[:1]) == (verdict, (line,) if line else ())


def test_a_full_disk_is_a_problem_only_where_releases_are_taken() -> None:
    full = replace(STORE, free_bytes=1)
    assert of(judge_store(full), "store.space").verdict is PROBLEM
    assert [each.verdict for each in judge_store(replace(full, updates=False))] == [WARNING]
    assert of(judge_store(replace(STORE, free_files=3)), "store.space").verdict is PROBLEM
    assert of(judge_store(replace(STORE, read_only=True)), "store.access").verdict is PROBLEM
    hidden = list(judge_store(replace(STORE, used_bytes=None)))
    assert of(hidden, "store.quota").mend == ("sudo -u gateway gateway doctor --only store",)
    assert [each.check for each in hidden] == ["store.space", "store.quota"]
    assert of(judge_store(replace(STORE, free_bytes=GIB)), "store.quota").verdict is NOTE


@pytest.mark.parametrize(
    ("begins", "ends", "verdict"),
    [(1.0, 90.0, PROBLEM), (-1.0, 0.0, PROBLEM), (-1.0, 29.0, WARNING), (-1.0, 30.0, OK)],
)
def test_a_certificate_is_judged_by_its_days(begins: float, ends: float, verdict: Verdict) -> None:
    own = Certificate("client.pem", NOW_S + begins * DAY_S, NOW_S + ends * DAY_S)
    assert of(judge_tls(replace(TLS, client=own)), "tls.client").verdict is verdict


def test_dates_that_no_calendar_has_are_told_without_falling_over() -> None:
    own = Certificate("client.pem", 0.0, 1e18)
    assert "no date that can be" in of(judge_tls(replace(TLS, client=own)), "tls.client").what


def test_a_machine_with_musl_or_without_systemd_is_told_so() -> None:
    found = list(judge_board(replace(BOARD, glibc="", systemd=None)))
    assert of(found, "board.libc").verdict is WARNING
    assert of(found, "board.systemd").verdict is NOTE
    assert of(judge_board(replace(BOARD, python="3.14.0")), "board.python").verdict is WARNING
    assert of(judge_board(replace(BOARD, threads=(4, 4))), "board.processors").verdict is NOTE
    assert of(judge_board(replace(BOARD, glibc="2.27")), "board.libc").verdict is NOTE


def test_models_without_pipelines_or_known_memory_are_judged_by_what_is_known() -> None:
    alone = replace(MODEL, ttl_ms=None, shares=None)
    found = list(judge_models([alone], available_bytes=None, reserve_bytes=0, file="f"))
    assert [each.check for each in found] == ["models.runs", "models.backend"]
    tight = judge_models([MODEL], available_bytes=30_000_000, reserve_bytes=0, file="f")
    assert of(tight, "models.room").verdict is OK
    over = judge_models([MODEL], available_bytes=30_000_000, reserve_bytes=1, file="f")
    assert of(over, "models.room").verdict is WARNING
