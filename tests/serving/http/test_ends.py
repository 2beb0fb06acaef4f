"""Who is at both ends: this machine's programs are told apart, and certificates give their names."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from gateway.serving.access.networks import is_loopback
from gateway.serving.asgi import Receive, Scope, Send
from gateway.serving.http.ends import names, origin, subject
from gateway.serving.listener import Listener
from tests.serving.http.world import GET, answer, client, run


@pytest.mark.parametrize(
    ("address", "is_own"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("fe80::1%eth0", False),
        ("", False),
        ("x", False),
    ],
)
def test_loopback_is_this_machine(address: str, is_own: bool) -> None:
    assert is_loopback(address) is is_own


class _Transport(asyncio.Transport):
    def __init__(self, *peer: object) -> None:
        super().__init__({"peername": peer})


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("127.0.0.1", ""),
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
    ],
)
def test_connections_are_counted_for_whoever_can_make_them_without_end(address: str, counted: str) -> None:
    assert origin(_Transport(address, 1)) == counted


CERTIFICATE = {
    "subject": ((("countryName", "DE"),), (("organizationName", "A, B"),), (("commonName", "#camera"),)),
    "subjectAltName": (("DNS", "camera.example"), ("URI", "spiffe://x/camera"), ("DNS", "camera.example")),
}


def test_a_certificate_gives_its_names_the_most_telling_first() -> None:
    assert names(CERTIFICATE) == ("spiffe://x/camera", "camera.example", "#camera")
    assert names({}) == ()


def test_a_subject_is_written_as_rfc_4514_has_it() -> None:
    assert subject(CERTIFICATE) == "CN=\\#camera,O=A\\, B,C=DE"
    assert subject({}) == ""


def test_a_program_of_this_machine_is_known_by_the_way_it_came(tmp_path: Path) -> None:
    scopes: list[Scope] = []

    async def note(scope: Scope, _receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await answer(send, b"")

    async def work(listener: Listener) -> None:
        async with client(listener) as asking:
            await asking.sends(GET % b"x")
            assert (await asking.response())[0] == 200

    run(work, note)
    run(work, note, listen=f"unix:{tmp_path}/door")
    over_tcp, over_unix = scopes
    assert over_tcp["client"][0] == "127.0.0.1"
    assert over_tcp["extensions"]["gateway.local"] == {}
    assert over_unix["client"] is None
    assert over_unix["server"] == (f"{tmp_path}/door", None)
    assert over_unix["extensions"]["gateway.local"] == {"uid": os.getuid()}
    assert {each["scheme"] for each in scopes} == {"http"}
