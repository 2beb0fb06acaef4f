"""Large buffers are kept by glibc, and other C libraries are left alone."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from gateway.operations.malloc import SpareMemory, keep_large_buffers

# Each new mapping of a large buffer costs page faults when it is written to;
# a kept one costs none. Counted in a fresh process, as the thresholds stay.
FAULTS = """
import ctypes, resource, sys
from gateway.operations.malloc import keep_large_buffers
if sys.argv[1] == "keep":
    assert keep_large_buffers()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = (ctypes.c_void_p,)
def frame():
    block = libc.malloc(4_000_000)
    ctypes.memset(block, 1, 4_000_000)
    libc.free(block)
    ctypes.CDLL(None).malloc_trim  # touch nothing else
frame()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    other = libc.malloc(1)
    frame()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    answer = subprocess.run(
        [sys.executable, "-c", FAULTS, how],
        check=True,
        capture_output=True,
        text=True,
        env={"MALLOC_MMAP_THRESHOLD_": "131072"} if how == "plain" else {},
    )
    return int(answer.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_frames_of_megabytes_no_longer_fault_their_pages_in_anew() -> None:
    assert faults("plain") > 50 * 500
    assert faults("keep") < 500


# A storm of buffers, with something small behind each that stays.
STORM = """
from gateway.operations.malloc import SpareMemory, keep_large_buffers
keep_large_buffers()
def resident_bytes():
    with open("/proc/self/statm") as told:
        return int(told.read().split()[1]) * 4096
spare = SpareMemory(50_000_000)
looks = [spare.look()]
storm, stays = [], []
for _ in range(500):
    storm.append(b"x" * 400_000)
    stays.append(b"y" * 3_000)
looks += [spare.look(), spare.look()]
storm.clear()
looks.append(spare.look())
kept = resident_bytes()
looks.append(spare.look())
print(looks, kept - resident_bytes(), spare.look(), spare.look())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_what_a_storm_left_free_is_given_back_at_the_second_look_and_once() -> None:
    told = subprocess.run([sys.executable, "-c", STORM], check=True, capture_output=True, text=True).stdout
    looks, given, again, ever = told.rsplit(" ", 3)
    assert looks == "[False, False, False, False, True]"
    # Most of the 200 MB: which pages the kernel joins to huge ones meanwhile is its own affair.
    assert int(given) > 100_000_000
    assert (again, ever.strip()) == ("False", "False")


def test_a_c_library_without_mallopt_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        """A C library that has no mallopt."""

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: Other())
    assert not keep_large_buffers()
    assert not SpareMemory().look()
