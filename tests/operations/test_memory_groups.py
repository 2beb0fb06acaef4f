"""Which groups we are in is read from lines that may hold anything, and never leads out of their folder."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gateway.operations.memory_groups import (
    Membership,
    group_folders,
    parse_membership,
    pressure_files,
    read_group_kills,
)

PARTS = st.sampled_from(["", ".", "..", "a", "b.slice", "c d", "é"])


def test_a_machine_with_both_versions_is_read_as_both() -> None:
    text = "9:name=systemd:/x\n4:cpu,memory:/jobs/17:a\n0::/user.slice\n"
    assert parse_membership(text) == Membership("/jobs/17:a", "/user.slice")


def test_kills_are_those_of_our_own_group(tmp_path: Path) -> None:
    member = Membership("/gw", "/gw")
    assert read_group_kills(str(tmp_path), member) is None
    v1 = tmp_path / "sys/fs/cgroup/memory/gw"
    v1.mkdir(parents=True)
    (v1 / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\n")
    assert read_group_kills(str(tmp_path), member) is None
    (v1 / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    assert read_group_kills(str(tmp_path), member) == 3


def test_the_pressure_on_the_topmost_group_is_that_of_the_machine() -> None:
    assert pressure_files("", Membership(None, "/")) == ("/proc/pressure/memory",)
    assert pressure_files("", Membership(None, "/gw"))[1] == "/sys/fs/cgroup/gw/memory.pressure"


@given(st.one_of(st.text(), st.lists(PARTS).map("/".join)))
def test_no_path_leads_out_of_the_folder_of_groups(path: str) -> None:
    folders = group_folders("/mount", path)
    assert folders[-1] == "/mount"
    assert len(folders) <= 33
    for folder in folders:
        assert folder == "/mount" or folder.startswith("/mount/")
        assert ".." not in folder.split("/")


@given(
    st.one_of(
        st.text(), st.lists(st.sampled_from(["0::/a", "4:memory:/b", ":", "::", "0:", "x"])).map("\n".join)
    )
)
def test_any_text_tells_of_groups_or_of_none(text: str) -> None:
    member = parse_membership(text)
    assert member.v1 is None or isinstance(member.v1, str)
    if member.v1 is not None or member.v2 is not None:
        assert ":" in text
