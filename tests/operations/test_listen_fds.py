"""Sockets that were handed over: taken by name, in a process of its own as systemd starts one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.operations.listen_fds import HandedOver, handed_names, take_over
from tests.system.service import handing_over, listening

_ROOT = Path(__file__).parents[2]
_PROGRAM = """
import json, os, sys
if sys.argv[1] == "plain":
    sys.modules["systemd"] = None
else:
    import systemd.daemon
from gateway.operations.listen_fds import take_over
handed = take_over(os.environ, os.getpid(), ("http", "control"))
print(json.dumps([dict(handed.sockets), [(r.name, r.fd) for r in handed.refused],
    [name for name in os.environ if name.startswith("LISTEN_")], [os.get_inheritable(fd) for fds in
    handed.sockets.values() for fd in fds],
    [fd for fd in (3, 4, 5, 6) if os.path.exists(f"/proc/self/fd/{fd}")]]))
"""


@pytest.mark.parametrize("way", ["plain", "library"])
def test_named_listening_sockets_are_taken_and_others_are_closed(tmp_path: Path, way: str) -> None:
    if way == "library":
        pytest.importorskip("systemd.daemon", reason="systemd-python is not installed")
    with listening() as one, listening(tmp_path / "c") as two, listening() as odd, socket.socket() as mute:
        before, fds = handing_over({"http": one, "control": two, "odd": odd})
        before[-2] += f",{mute.fileno()}"
        before[-1] += ":http"
        command = [*before, "-c", _PROGRAM, way]
        done = subprocess.run(
            command,
            cwd=_ROOT,
            pass_fds=(*fds, mute.fileno()),
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(_ROOT), os.environ.get("PYTHONPATH", "")))},
        )
    taken, refused, variables, inheritable, is_open = json.loads(done.stdout)
    assert taken == {"http": [3], "control": [4]}
    assert refused == [["odd", 5], ["http", 6]]
    assert variables == []
    assert inheritable == [False, False]
    assert is_open == [3, 4]


def test_what_was_meant_for_another_process_is_left_alone() -> None:
    environment = {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "http"}
    assert take_over(environment, os.getpid(), ("http",)) == HandedOver({})
    assert environment == {}


def test_missing_names_are_empty() -> None:
    said = {"LISTEN_PID": "7", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "http"}
    assert handed_names(said, 7) == ["http", "", ""]


@given(st.dictionaries(st.sampled_from(["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]), st.text()))
def test_nothing_in_the_variables_upsets_it(said: dict[str, str]) -> None:
    assert len(handed_names({**said, "LISTEN_PID": "7"}, 7)) <= 64
    assert handed_names({**said, "LISTEN_PID": "8"}, 7) == []
