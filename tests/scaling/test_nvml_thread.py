"""A library that hangs is told of within the limit, is not asked twice, and nothing old is told for it."""

from __future__ import annotations

from tests.scaling.nvml_stub import DISCRETE, Driver

ASK = (
    "import threading\nfrom gateway.scaling.nvml_thread import NvmlThread\n"
    "def alive(): return [t for t in threading.enumerate() if t.name == 'nvml']\n"
)


def test_a_library_that_is_switched_off_is_not_touched(driver: Driver) -> None:
    driver.say(DISCRETE)
    said = driver.run(f"{ASK}print(NvmlThread(enabled=False).read().absent, alive())")
    assert said.strip() == "telemetry.nvml is off []"


def test_while_a_call_hangs_nothing_old_is_told_and_afterwards_all_is(driver: Driver) -> None:
    driver.say(DISCRETE)
    said = driver.run(
        f"{ASK}thread = NvmlThread(limit_s=30)\nassert thread.read().gpus\n"
        "thread._limit_s = 0.05\nsay({**DISCRETE, 'hang_ms.nvmlDeviceGetUtilizationRates': 2000})\n"
        "first = thread.read()\nprint(first.gpus, first.trouble)\n"
        "second = thread.read()\n"
        "print(second.gpus, second.trouble, thread._worker._questions.qsize())\n"
        "say(DISCRETE)\nthread._worker._answered.wait()\nthread._limit_s = 30\nthird = thread.read()\n"
        "print(len(third.gpus), third.trouble)"
    )
    silent = "() NVML does not answer"
    assert said.splitlines() == [silent, f"{silent} 0", "1 "]


def test_a_forked_child_has_a_thread_of_its_own(driver: Driver) -> None:
    driver.say(DISCRETE)
    said = driver.run(
        f"import os\n{ASK}thread = NvmlThread(limit_s=30)\nassert thread.read().gpus\npid = os.fork()\n"
        "if not pid:\n    os._exit(0 if thread.read().gpus else 1)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    )
    assert said.strip() == "0"


def test_the_thread_ends_when_it_is_closed(driver: Driver) -> None:
    said = driver.run(
        f"{ASK}thread = NvmlThread(limit_s=30)\nthread.read()\nrunning, = alive()\n"
        "thread.close()\nrunning.join(30)\nprint(alive())"
    )
    assert said.strip() == "[]"
