"""What memory a worker holds, by the kernel's proportional share, whatever else runs on the machine."""

from __future__ import annotations

from pathlib import Path


def held_bytes(pid: int) -> int:
    """Return a process's share of what it maps, but for programs and libraries.

    Of those it has a larger share the fewer others use them, which tests beside this one decide.
    """
    total, is_counted = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text(errors="replace").splitlines():
        first, *rest = line.split()
        if not first.endswith(":"):
            is_counted = not any(".so" in word or "/bin/" in word for word in rest)
        elif is_counted and first == "Pss:":
            total += int(rest[0]) * 1024
    return total
