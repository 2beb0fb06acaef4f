"""Servers, drop folders and assignments in wrong hands: what they do is refused, the rest goes on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.attacks.house import House, unmoved
from tests.broker import Broker
from tests.system.author import Author
from tests.system.releases import CONFIG, QUICK, Frames, release_of
from tests.system.running import Client, Daemon, subscribed, until
from tests.updates.transport.static_server import Call, Fault, StaticServer, gzipped

SECRET = b"nobody outside may ever see this " * 40


TRICKS: Mapping[str, Fault] = {
    "redirect": lambda call: call.say("302 Found", Location="http://127.0.0.1:9/elsewhere"),
    "gzip": gzipped,
    "other-range": lambda call: call.say("206 Partial Content", call.part, Content_Range="bytes 7-9/99"),
    "no-range": lambda call: call.say("416 Range Not Satisfiable"),
    "missing": lambda call: call.say("404 Not Found"),
    "other-bytes": lambda call: call.serve(lambda body: body[::-1]),
}


def _blob(house: House, name: str) -> str:
    """Return the path of the one blob that only this victim's release has."""
    return "blobs/" + hashlib.sha256((house.folder / f"{name}-1/card.yaml").read_bytes()).hexdigest()


def _refused(daemon: Daemon, name: str) -> str:
    until(lambda: release_of(daemon, name)["last_error"], f"{name} was refused")
    found = release_of(daemon, name)
    assert found["active"]["release"] == 0
    return f"{found['last_error']['code']} {found['last_error']['detail']}"


@pytest.mark.slow
def test_whatever_a_web_server_answers_only_what_it_answers_wrongly_is_not_installed(
    tmp_path: Path, broker: Broker, house: House, frames: Frames
) -> None:
    for name in (*TRICKS, "honest"):
        house.release(name)
    house.publish()
    faults = {_blob(house, name): trick for name, trick in TRICKS.items()}
    wrong = lambda call: faults.get(call.path, Call.serve)(call)  # noqa: E731
    with (
        StaticServer(house.author.repository_folder, wrong) as server,
        Daemon(tmp_path, house.config(repository=server.url), broker.url) as daemon,
    ):
        daemon.ready()
        subscribed(broker, "watch/motion")
        with unmoved(daemon, frames, [*TRICKS]):
            said = {name: _refused(daemon, name) for name in TRICKS}
            daemon.wait_event("release_step", step="committed", model="honest")
        assert all(words.startswith("update.fetch") for words in said.values()), said
        assert len({words.replace(_blob(house, name), "") for name, words in said.items()}) == len(TRICKS)
        assert daemon.stop() == 0


def _linked(path: Path, secret: Path) -> None:
    path.symlink_to(secret)


def _sparse(path: Path, _secret: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


PLANTED: Mapping[str, Callable[[Path, Path], object]] = {
    "symlink": _linked,
    "hard-link": lambda path, secret: path.hardlink_to(secret),
    "pipe": lambda path, _: os.mkfifo(path),
    "folder": lambda path, _: path.mkdir(),
    "sparse": _sparse,
}


@pytest.mark.slow
def test_whatever_is_planted_in_a_drop_folder_only_signed_bytes_get_out_of_it(
    tmp_path: Path, broker: Broker, house: House, frames: Frames
) -> None:
    (tmp_path / "secret").write_bytes(SECRET)
    for name in (*PLANTED, "others-file"):
        house.release(name)
    house.publish()
    stick = tmp_path / "stick"
    house.author.repository.publish(stick)
    for name, plant in PLANTED.items():
        (stick / _blob(house, name)).unlink()
        plant(stick / _blob(house, name), tmp_path / "secret")
    owned = stick / _blob(house, "others-file")
    owned.chmod(0o666)
    if os.geteuid() == 0:
        os.chown(owned, 65534, 65534)
    settings = house.config(repository="", inbox_dir=str(stick))
    with Daemon(tmp_path, settings, broker.url) as daemon:
        daemon.ready()
        subscribed(broker, "watch/motion")
        with unmoved(daemon, frames, [*PLANTED]):
            said = {name: _refused(daemon, name) for name in PLANTED}
            daemon.wait_event("release_step", step="committed", model="others-file")
        assert all(words.startswith("update.fetch") for words in said.values()), said
        assert daemon.stop() == 0
    kept = [path for path in (house.author.folder / "store").rglob("*") if path.is_file()]
    assert not [path for path in kept if SECRET[:33] in path.read_bytes()]
    ours = [path for path in kept if path.parent.name == "blobs"]
    assert {(path.stat().st_uid, path.stat().st_mode & 0o777) for path in ours} == {(os.geteuid(), 0o444)}


@pytest.mark.slow
def test_whoever_holds_the_key_of_assign_cannot_go_below_what_the_author_of_the_models_allows(
    tmp_path: Path, broker: Broker, client: Client, author: Author
) -> None:
    old = author.release("motion-int8", "motion", 3)
    author.repository.add(old)
    author.publish(author.release("motion-int8", "motion", 5, min_release=5))
    settings = author.settings(bake=QUICK)
    with Daemon(tmp_path, CONFIG + settings, broker.url) as daemon:
        daemon.ready()
        daemon.wait_event("release_step", step="committed", release=5)
        author.assign_again("motion", 3, allow_downgrade=True)
        author.ring(client, "down")
        refused = daemon.wait_event("release_refused", release=3)
        assert (refused["model"], release_of(daemon)["active"]["release"]) == ("motion", 5)
        assert release_of(daemon)["floor"] == 5
        assert daemon.stop() == 0
