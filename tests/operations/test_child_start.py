"""What a child process does first, in real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

PARENT = """
import os, time
from gateway.operations.child_start import die_with_parent
parent = os.getpid()
reading, writing = os.pipe()
if not os.fork():
    die_with_parent(parent)
    os.write(writing, b"tied")
    time.sleep(10)
    os.write(1, b"outlived it")
    os._exit(0)
os.read(reading, 4)
print("tied", flush=True)
time.sleep(600)
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


def test_a_child_dies_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "tied\n"
        process.kill()
        # Standard output is the child's too: it ends when both have.
        assert process.stdout.read() == ""
        assert process.wait(20) == -signal.SIGKILL


def test_a_child_whose_parent_has_ended_already_ends_at_once() -> None:
    program = "from gateway.operations.child_start import die_with_parent as d; d({}); print('lives')"
    assert run(program.format(os.getpid())).stdout == "lives\n"
    orphan = run(program.format(1 << 22))
    assert (orphan.returncode, orphan.stdout) == (1, "")


def test_standard_output_is_for_answers_alone() -> None:
    ran = run(
        "import os; from gateway.operations.child_start import take_stdout; answers = take_stdout(); "
        "print('chatter', flush=True); os.write(answers, b'answer')"
    )
    assert (ran.stdout, ran.stderr) == ("answer", "chatter\n")
