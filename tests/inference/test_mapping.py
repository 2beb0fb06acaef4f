"""Mapping a model file: what was hashed is what stays, whatever happens to its name."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import LoadFailed
from gateway.inference.mapping import MappedFile

BODY = bytes(range(256)) * 300


def write(path: Path, body: bytes = BODY) -> Path:
    path.write_bytes(body)
    return path


def resident_pages(file: MappedFile) -> int:
    """Count the file's pages that this process's own table holds."""
    shown, counting = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if "-" in words[0] and not words[0].endswith(":"):
            counting = line.endswith(str(file.path))
        elif counting and words[0] == "Rss:":
            shown += int(words[1]) // 4
    return shown


def test_the_digest_is_that_of_the_file_and_its_pages_are_there(tmp_path: Path) -> None:
    file = MappedFile.open(write(tmp_path / "m"))
    assert file.sha256 == hashlib.sha256(BODY).hexdigest()
    assert (file.size_bytes, file.start(4)) == (len(BODY), BODY[:4])
    assert resident_pages(file) == -(-len(BODY) // 4096)
    file.close()
    file.close()


def test_what_is_renamed_into_its_place_changes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "m")
    file = MappedFile.open(path)
    write(tmp_path / "other", b"other").replace(path)
    assert file.engine_path.read_bytes() == BODY
    assert path.read_bytes() == b"other"
    file.close()


def test_what_is_written_in_place_after_hashing_is_seen_by_the_mapping_not_by_the_digest(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "m")
    file = MappedFile.open(path)
    with path.open("r+b") as other:
        other.write(b"XXXX")
    assert file.start(4) == b"XXXX"
    assert file.sha256 == hashlib.sha256(BODY).hexdigest()
    file.close()


def test_what_is_no_plain_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "m")
    (tmp_path / "link").symlink_to(tmp_path / "m")
    os.mkfifo(tmp_path / "pipe")
    write(tmp_path / "empty", b"")
    for name, why in [
        ("link", "is a symbolic link"),
        ("pipe", "is not a regular file"),
        (".", "is not a regular file"),
        ("empty", "is empty"),
        ("absent", "No such file"),
    ]:
        with pytest.raises(LoadFailed, match=why):
            MappedFile.open(tmp_path / name)


def test_no_descriptor_is_left_by_files_that_are_opened_refused_or_dropped(tmp_path: Path) -> None:
    path, empty = write(tmp_path / "m"), write(tmp_path / "empty", b"")
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    for _ in range(5):
        MappedFile.open(path)
        MappedFile.open(path).close()
        with pytest.raises(LoadFailed):
            MappedFile.open(empty)
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before


def test_a_released_file_keeps_its_digest_and_says_why_it_is_not_locked(tmp_path: Path) -> None:
    file = MappedFile.open(write(tmp_path / "m"))
    file.release("copied")
    file.release("again")
    assert (file.pinned, file.note, file.sha256) == (False, "copied", hashlib.sha256(BODY).hexdigest())


UNPRIVILEGED = """
import ctypes, resource, struct, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_MEMLOCK, (int(sys.argv[2]), int(sys.argv[2])))
# Root may lock what it likes by one of its capabilities: here it has none.
assert ctypes.CDLL(None).capset(struct.pack("=Ii", 0x20080522, 0), bytes(24)) == 0
from gateway.inference.mapping import MappedFile
file = MappedFile.open(Path(sys.argv[1]))
locked = next(l.split()[1] for l in open("/proc/self/status") if l.startswith("VmLck"))
print(file.pinned, locked, file.note)
"""


@pytest.mark.parametrize("limit", [1 << 20, 4096])
def test_pages_are_locked_if_the_limit_allows_it_and_else_it_says_so(tmp_path: Path, limit: int) -> None:
    path = write(tmp_path / "m")
    said = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, str(path), str(limit)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    if limit > len(BODY):
        assert said.split() == ["True", "76"]
    else:
        assert said.split()[:2] == ["False", "0"]
        assert f"the file has {len(BODY)} bytes, RLIMIT_MEMLOCK is 4096 bytes" in said
