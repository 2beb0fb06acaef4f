"""TLS of the doors: both versions of HTTP, clients' certificates, renewal, and errors that name the file."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from gateway.configuration.serving_settings import TlsSettings
from gateway.serving.access.http_peer import http_peer
from gateway.serving.asgi import Receive, Scope, Send
from gateway.serving.http.limits import HttpLimits
from gateway.serving.listener import Listener
from gateway.serving.tls import build_tls
from tests.mqtt.certificates import Certificates, make_certificates
from tests.serving.http.h2_client import h2_client
from tests.serving.http.world import GET, answer, client, run, until


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


def server(made: Certificates, *, mutual: bool = False) -> ssl.SSLContext:
    authority = str(made.authority) if mutual else ""
    context = build_tls(TlsSettings(str(made.broker), str(made.broker_key), authority))
    assert context is not None
    return context


def caller(made: Certificates, *protocols: str, shows: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(made.authority))
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if shows:
        context.load_cert_chain(made.client, made.client_key)
    return context


def test_each_client_is_spoken_to_as_it_asks(made: Certificates) -> None:
    async def work(listener: Listener) -> None:
        for protocols in ((), ("http/1.1",), ("x", "http/1.1")):
            async with client(listener, caller(made, *protocols)) as asking:
                await asking.sends(GET % b"a")
                assert await asking.response() == (200, b"GET /a 0 1.1")
        async with h2_client(listener, caller(made, "h2", "http/1.1")) as asking:
            assert (await asking.answered(asking.ask("/a"))).body == b"GET /a 0 2"
            got = await asking.upload("/b", b"c" * 2_000_000)
            assert got.body == b"POST /b 2000000 2"

    run(work, tls=server(made))


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_goes_over_to_http2_by_itself_and_asks_twice_over_one_connection(made: Certificates) -> None:
    def curl(url: str) -> str:
        form = "%{stdout} %{http_version} %{num_connects}\n"
        line = ["curl", "-sS", "-m", "30", "--cacert", str(made.authority), "-w", form, url, url]
        return subprocess.run(line, check=True, capture_output=True, text=True).stdout

    async def work(listener: Listener) -> None:
        said = await asyncio.to_thread(curl, f"https://{listener.address}/a")
        assert said.split() == ["GET", "/a", "0", "2", "2", "1", "GET", "/a", "0", "2", "2", "0"]

    run(work, tls=server(made))


@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_the_application_knows_the_names_in_its_clients_certificate(
    made: Certificates, protocol: str
) -> None:
    scopes: list[Scope] = []

    async def note(scope: Scope, _receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await answer(send, b"")

    async def work(listener: Listener) -> None:
        tls = caller(made, protocol, shows=True)
        if protocol == "h2":
            async with h2_client(listener, tls) as asking:
                assert (await asking.answered(asking.ask("/a"))).status == 200
        else:
            async with client(listener, tls) as plain:
                await plain.sends(GET % b"a")
                assert (await plain.response())[0] == 200

    run(work, note, tls=server(made, mutual=True))
    (scope,) = scopes
    tls = scope["extensions"]["tls"]
    assert scope["scheme"] == "https"
    assert tls["client_cert_name"] == "CN=client"
    assert tls["client_cert_names"] == ("client",)
    assert tls["client_cert_chain"][0].split() == made.client.read_text().split()
    assert tls["tls_version"] == 0x0304
    peer = http_peer(scope)
    assert (peer.certificate, peer.is_encrypted) == (("client",), True)


def test_a_client_without_a_certificate_is_not_let_in_where_one_is_wanted(
    made: Certificates, capfd: pytest.CaptureFixture[str]
) -> None:
    async def refused(listener: Listener) -> None:
        async with client(listener, caller(made)) as asking:
            await asking.sends(GET % b"a")
            await asking.response()

    async def work(listener: Listener) -> None:
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await refused(listener)
        await until(lambda: not listener._connections)

    run(work, tls=server(made, mutual=True))
    assert "tls_refused" in capfd.readouterr().err


@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_an_application_is_ended_whose_client_is_gone(
    made: Certificates, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    working, ended = asyncio.Event(), asyncio.Event()

    async def long(_scope: Scope, _receive: Receive, _send: Send) -> None:
        working.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def work(listener: Listener) -> None:
        tls = caller(made, protocol)
        if protocol == "h2":
            async with h2_client(listener, tls) as asking:
                asking.ask("/a")
                await working.wait()
        else:
            async with client(listener, tls) as plain:
                await plain.sends(GET % b"a")
                await working.wait()
        await ended.wait()

    run(work, long, tls=server(made))
    assert caplog.messages == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1])
@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
def test_old_versions_are_refused(made: Certificates, version: ssl.TLSVersion) -> None:
    async def work(listener: Listener) -> None:
        old = caller(made)
        old.minimum_version = old.maximum_version = version
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises(OSError):
            async with client(listener, old):
                pass
        await until(lambda: not listener._connections)

    run(work, tls=server(made))


def test_who_speaks_no_tls_or_never_ends_its_handshake_is_cut_off(made: Certificates) -> None:
    async def work(listener: Listener) -> None:
        for sent in (GET % b"a", b"", b"\x16\x03\x01"):
            async with client(listener) as asking:
                await asking.sends(sent)
                assert b"HTTP" not in await asking.rest()
        await until(lambda: not listener._connections)

    run(work, tls=server(made), limits=HttpLimits(head_s=0.2))


def test_handshakes_count_as_connections(made: Certificates) -> None:
    async def work(listener: Listener) -> None:
        async with client(listener):
            await until(lambda: len(listener._connections) == 1)
            async with client(listener) as second:
                assert await second.rest() == b""

    run(work, tls=server(made), limits=HttpLimits(connections=1, head_s=5.0))


def test_a_thousand_idle_connections_hold_thirty_megabytes_of_buffers(made: Certificates) -> None:
    async def work(listener: Listener) -> None:
        async with client(listener, caller(made)) as asking:
            await asking.sends(GET % b"a")
            assert (await asking.response())[0] == 200
            (connection,) = listener._connections
            held = getattr(connection._transport, "_ssl_protocol", None)
            # Python 3.10 reads without a buffer of the connection's own.
            assert len(getattr(held, "_ssl_buffer", b"")) <= 32_768

    run(work, tls=server(made))


def test_a_renewed_certificate_is_shown_to_new_clients_and_old_ones_go_on(
    made: Certificates, tmp_path: Path
) -> None:
    renewed = make_certificates(tmp_path)

    def shown(address: str) -> bytes:
        host, _, port = address.rpartition(":")
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection((host, int(port)), 30) as sock, trusting.wrap_socket(sock) as tls:
            return tls.getpeercert(binary_form=True) or b""

    def der(path: Path) -> bytes:
        return ssl.PEM_cert_to_DER_cert(path.read_text())

    async def work(listener: Listener) -> None:
        async with client(listener, caller(made)) as asking:
            assert await asyncio.to_thread(shown, listener.address) == der(made.broker)
            listener.renew_tls(server(renewed))
            assert await asyncio.to_thread(shown, listener.address) == der(renewed.broker)
            await asking.sends(GET % b"a")
            assert (await asking.response())[0] == 200

    run(work, tls=server(made))


def test_a_door_without_tls_has_none_to_renew(made: Certificates) -> None:
    async def work(listener: Listener) -> None:
        with pytest.raises(ValueError, match="without TLS"):
            listener.renew_tls(server(made))

    run(work)


def test_without_a_certificate_there_is_no_tls() -> None:
    assert build_tls(TlsSettings()) is None


@pytest.mark.parametrize(
    "kind", ["gone", "empty", "other key", "passphrase", "clients", "no key", "leftover"]
)
def test_what_cannot_be_used_is_named(kind: str, made: Certificates, tmp_path: Path) -> None:
    empty, locked = tmp_path / "empty.pem", tmp_path / "locked.key"
    empty.write_bytes(b"")
    if kind == "passphrase":
        subprocess.run(
            ["openssl", "ec", "-in", made.broker_key, "-aes128", "-passout", "pass:abcd", "-out", locked],
            check=True,
            capture_output=True,
        )
    chain, key, gone = str(made.broker), str(made.broker_key), str(tmp_path / "gone.pem")
    settings, named = {
        "gone": (TlsSettings(gone, key), gone),
        "empty": (TlsSettings(str(empty), key), str(empty)),
        "other key": (TlsSettings(chain, str(made.client_key)), str(made.client_key)),
        "passphrase": (TlsSettings(chain, str(locked)), str(locked)),
        "clients": (TlsSettings(chain, key, str(empty)), str(empty)),
        "no key": (TlsSettings(chain), "key_file"),
        "leftover": (TlsSettings("", "", chain), "client_ca_file"),
    }[kind]
    with pytest.raises(ValueError, match=r"serving\.tls") as caught:
        build_tls(settings)
    assert named in str(caught.value)
