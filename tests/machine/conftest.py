"""One booted box with the gateway installed in it, shared by every test of this folder that needs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machine import wheels
from tests.machine.box import Box, missing
from tests.machine.installed import Installed, python_root
from tests.rules.tree import ROOT
from tests.wheel import build


def _never_ready(name: str, text: str) -> str:
    """Make a gateway that starts and ends again."""
    if name != "gateway/daemon/main.py":
        return text
    return text.replace(
        "    started_s = time.monotonic()\n", "    return 1\n    started_s = time.monotonic()\n", 1
    )


@pytest.fixture(scope="session", name="supplies")
def _supplies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make folders of wheels: ``now`` is this tree, ``next`` comes later, ``bad`` never gets ready."""
    folder = tmp_path_factory.mktemp("wheels")
    for name in ("now", "next", "bad"):
        (folder / name).mkdir()
    ours = build(folder / "now")
    wheels.repack_dependencies(ours)
    others = [wheel for wheel in (folder / "now").glob("*.whl") if wheel != ours]
    wheels.changed(ours, folder / "next", "98.0", lambda _, text: text)
    wheels.changed(ours, folder / "bad", "97.0", _never_ready)
    for name in ("next", "bad"):
        wheels.linked(others, folder / name)
    return folder


@pytest.fixture(scope="session", name="box")
def _box(supplies: Path) -> Iterator[Box]:
    """Boot a box that sees the tree, the wheels and this interpreter."""
    with Box({"/srv/gateway": ROOT, "/srv/wheels": supplies, "/opt/python": python_root()}) as box:
        yield box


@pytest.fixture(scope="session", name="_installed_once")
def _installed_once_fixture(request: pytest.FixtureRequest) -> Installed:
    lacking = missing()
    if lacking:
        pytest.skip(f"NOT TRIED, for {', '.join(lacking)} is not there")
    return Installed(request.getfixturevalue("box"))


@pytest.fixture(name="gateway")
def _gateway(_installed_once: Installed) -> Installed:
    """The installed gateway: ready, as shipped but for shorter times, whatever the test before did to it."""
    _installed_once.settle()
    return _installed_once
