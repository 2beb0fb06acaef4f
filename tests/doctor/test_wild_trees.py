"""Whatever the files and commands of a board say, every group ends with findings and none falls over."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.doctor.checks import CHECKS
from gateway.doctor.examination import examine_groups
from gateway.doctor.visit_plan import Choices, VisitPlan
from tests.doctor.trees import BOARDS, Commands, build, commands

READ_FROM_FILES = frozenset({"service", "board", "gpu", "memory", "power"})
NUMBERS = st.sampled_from(
    [b"", b"-1\n", b"0", b"99999999999999999999999", b"nan", b"inf", b"1e400", b"\xff\xfe", b"\0\0"]
)
CONTENTS = st.one_of(st.binary(max_size=60), NUMBERS)


@given(
    st.sampled_from(sorted(BOARDS)),
    st.lists(st.tuples(st.integers(0, 200), CONTENTS), max_size=8),
    st.text(max_size=120),
)
@example("orin-jp6", [(at, b"nan") for at in range(200)], "MainPID=1\nNRestarts=\nLimitNOFILE=-5\n")
@example("nano-jp4", [(at, b"inf") for at in range(200)], "LoadState=loaded\nMainPID=99999999999999999999\n")
def test_any_bytes_in_any_file_and_any_words_of_systemd_give_findings(
    name: str, changes: list[tuple[int, bytes]], shown: str
) -> None:
    with tempfile.TemporaryDirectory(prefix="board-") as folder:
        root = build(Path(folder), name)
        files = sorted(path for path in root.rglob("*") if path.is_file())
        for at, content in changes:
            files[at % len(files)].write_bytes(content)
        said = {**commands(name), ("systemctl", "show"): shown}
        choices = Choices(models=False, offline=True, root=root, run=Commands(said))
        for _, findings in examine_groups(VisitPlan(choices).groups(), READ_FROM_FILES):
            assert [each for each in findings if each.check not in CHECKS] == []
