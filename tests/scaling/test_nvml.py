"""The real bindings, asked through a stand-in for the library: each call stands alone, and nothing raises."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scaling.nvml_stub import DISCRETE, LIBRARY, ORIN, THOR, Driver

READ = "from gateway.scaling.nvml import NvmlProbe\nprobe = NvmlProbe()\nreading = probe.read()\n"
CALLS = (
    "nvmlDeviceGetName",
    "nvmlDeviceGetUUID",
    "nvmlDeviceGetMemoryInfo",
    "nvmlDeviceGetUtilizationRates",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetTemperature",
    "nvmlDeviceGetClockInfo",
    "nvmlDeviceGetMaxClockInfo",
    "nvmlDeviceGetCurrentClocksThrottleReasons",
    "nvmlDeviceGetComputeRunningProcesses_v3",
)


def test_a_gpu_of_its_own_tells_everything(driver: Driver) -> None:
    driver.say(DISCRETE)
    said = driver.run(
        f"{READ}gpu, = reading.gpus\nprint(gpu.name, gpu.uuid, gpu.total_bytes, gpu.free_bytes, gpu.load,"
        "gpu.clock_hz, gpu.max_clock_hz, gpu.power_w, gpu.temperature_c, gpu.throttled,"
        "dict(gpu.processes_bytes), reading.driver, set(gpu.answers.values()), sep='|')"
    )
    assert said.strip() == (
        "NVIDIA RTX A2000|GPU-1|6442450944|5368709120|0.37|1200000000.0|2100000000.0|35.5|61.0|('thermal',)|"
        "{4242: 500}|580.1|{'ok'}"
    )


def test_on_an_orin_only_the_name_is_told_and_the_rest_is_unknown_not_zero(driver: Driver) -> None:
    driver.say(ORIN)
    said = driver.run(
        f"{READ}gpu, = reading.gpus\n"
        "print(gpu.name, gpu.total_bytes, gpu.load, gpu.power_w, gpu.clock_hz, sep='|')\n"
        "answers = [gpu.answers[f'nvmlDeviceGet{call}'] for call in ('MemoryInfo', 'Name')]\n"
        "print(*answers, reading.trouble, sep='|')"
    )
    assert said.splitlines() == ["Orin (nvgpu)|None|None|None|None", "Not Supported|ok|"]


def test_a_process_in_both_lists_or_twice_in_one_counts_once_with_its_greatest_number(driver: Driver) -> None:
    driver.say(THOR)
    assert driver.run(f"{READ}print(dict(reading.gpus[0].processes_bytes))").strip() == "{17: 4000, 18: 10}"


@pytest.mark.parametrize("code", [2, 3, 13, 15, 999])
def test_what_one_call_refuses_costs_no_answer_of_another(driver: Driver, code: int) -> None:
    said = driver.run(
        f"from gateway.scaling.nvml import NvmlProbe\nprobe = NvmlProbe()\nfor call in {CALLS!r}:\n"
        f"    say({{**DISCRETE, f'error.{{call}}': {code}}})\n"
        "    answers = probe.read().gpus[0].answers\n"
        "    print(call, *(name for name, said in answers.items() if said != 'ok'))"
    )
    assert [line.split() for line in said.splitlines()] == [[call, call] for call in CALLS]


def test_an_older_driver_lists_processes_in_its_older_way(driver: Driver) -> None:
    driver.say({**THOR, "error.nvmlDeviceGetComputeRunningProcesses_v3": 13})
    assert driver.run(f"{READ}print(dict(reading.gpus[0].processes_bytes))").strip() == "{17: 4000, 18: 10}"


def test_without_a_library_there_is_a_reason_and_the_bindings_are_not_even_loaded(
    driver: Driver, tmp_path: Path
) -> None:
    said = driver.run(
        f"import sys\n{READ}print(reading.absent, reading.trouble, 'pynvml' in sys.modules, sep='|')",
        library=tmp_path / "nowhere",
    )
    assert said.strip() == f"there is no {LIBRARY}||False"


def test_a_library_that_appears_later_is_found(driver: Driver, tmp_path: Path) -> None:
    driver.say(DISCRETE)
    folder = tmp_path / "later"
    folder.mkdir()
    said = driver.run(
        f"import shutil\n{READ}print(len(reading.gpus))\n"
        f"shutil.copy({str(driver.library / LIBRARY)!r}, {str(folder)!r})\nprint(len(probe.read().gpus))",
        library=folder,
    )
    assert said.split() == ["0", "1"]


def test_a_driver_that_goes_and_comes_back_is_told_of_and_asked_anew(driver: Driver) -> None:
    driver.say(DISCRETE)
    said = driver.run(
        f"{READ}print(len(reading.gpus), reading.trouble)\n"
        "say({**DISCRETE, 'error.nvmlDeviceGetCount_v2': 15})\nreading = probe.read()\n"
        "print(len(reading.gpus), reading.trouble)\n"
        "say({**DISCRETE, 'error.nvmlInitWithFlags': 9})\nreading = probe.read()\n"
        "print(len(reading.gpus), reading.trouble)\n"
        "say(DISCRETE)\nreading = probe.read()\nprint(len(reading.gpus), reading.trouble)"
    )
    assert said.splitlines() == ["1 ", "0 GPU is lost", "0 Driver Not Loaded", "1 "]


def test_one_lost_gpu_does_not_hide_the_other(driver: Driver) -> None:
    both = {**DISCRETE, "count": 2, "1.name": "second", "0.error.nvmlDeviceGetHandleByIndex_v2": 15}
    driver.say(both)
    said = driver.run(f"{READ}print([gpu.index for gpu in reading.gpus], reading.trouble)")
    assert said.strip() == "[1] GPU 0: GPU is lost"


def test_a_forked_child_starts_the_library_for_itself(driver: Driver) -> None:
    driver.say(DISCRETE)
    said = driver.run(
        f"import os\n{READ}assert reading.gpus\npid = os.fork()\n"
        "if not pid:\n    reading = probe.read()\n    os._exit(0 if reading.gpus else 1)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    )
    assert said.strip() == "0"


def test_nonsense_in_every_answer_raises_nothing(driver: Driver) -> None:
    names = [name for name in DISCRETE if name.startswith("0.")]
    said = driver.run(
        "from gateway.scaling.nvml import NvmlProbe\nprobe = NvmlProbe()\n"
        f"for name in {names!r}:\n"
        "    for value in ('', '-1', '18446744073709551615', 'x' * 90, '1:1,1:' + '9' * 30, '\\xff'):\n"
        "        say({**DISCRETE, name: value})\n        assert probe.read().driver == '580.1'\n"
        "say({**DISCRETE, 'count': 4000})\nprint(len(probe.read().gpus))"
    )
    assert said.strip() == "1"
