"""docs/access.md is true: its commands make certificates that work, its configuration loads."""

from __future__ import annotations

import re
import shlex
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.configuration.load import load
from gateway.configuration.serving_settings import SCOPES, TlsSettings
from gateway.configuration.tls_checks import check_tls
from gateway.operations.metrics import Metrics
from gateway.serving.access.http_peer import http_peer
from gateway.serving.access.opening import gate_of
from gateway.serving.http.ends import names

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/access.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
(CONFIGURATION,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module", name="made")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which every command of the page was run, for a gateway at 127.0.0.1."""
    folder = tmp_path_factory.mktemp("access")
    for block in COMMANDS:
        script = block.replace("IP:192.0.2.7", "IP:127.0.0.1")
        subprocess.run(["sh", "-eu", "-c", script], cwd=folder, check=True, capture_output=True)
    (folder / "tls").mkdir()
    for name in ("server.pem", "server.key"):
        (folder / "tls" / name).write_bytes((folder / name).read_bytes())
    (folder / "tls" / "server.key").chmod(0o640)
    return folder


@contextmanager
def tls_server(folder: Path) -> Iterator[tuple[int, list[dict[str, object]]]]:
    """Serve one connection with the page's certificate, asking for clients'; yield its port and who came."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    context.load_verify_locations(folder / "authority.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    came: list[dict[str, object]] = []

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            try:
                with context.wrap_socket(connection, server_side=True) as secure:
                    came.append(dict(secure.getpeercert() or {}))
                    secure.recv(4096)
                    secure.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nhi\n")
            except ssl.SSLError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(30)
        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1], came
        thread.join()


def asked(port: int, context: ssl.SSLContext) -> bytes:
    """Ask for a page; return the answer.

    Raises:
        OSError: The server cannot be trusted, or does not trust us.
    """
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        secure.sendall(b"GET / HTTP/1.1\r\n\r\n")
        data = secure.recv(4096)
        if not data:
            raise OSError("the server closed the connection")
        return data


def test_the_certificates_pass_the_strictest_verification_and_name_the_client(made: Path) -> None:
    context = ssl.create_default_context(cafile=str(made / "authority.pem"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_cert_chain(made / "camera-7.pem", made / "camera-7.key")
    with tls_server(made) as (port, came):
        assert asked(port, context).startswith(b"HTTP/1.1 200")
    tls = {"client_cert_names": names(came[0])}
    peer = http_peer({"headers": [], "client": ("192.0.2.9", 1), "extensions": {"tls": tls}})
    assert peer.certificate == ("camera-7",)
    assert peer.is_encrypted


def test_curl_as_it_is_called_there_trusts_the_certificate(made: Path) -> None:
    (line,) = re.findall(r"`(curl .*?)`", PAGE)
    client = ["--cert", str(made / "camera-7.pem"), "--key", str(made / "camera-7.key"), "--silent"]
    with tls_server(made) as (port, came):
        place = f"https://127.0.0.1:{port}/v2"
        words = [place if word.startswith("https://") else word for word in shlex.split(line)]
        ran = subprocess.run([*words, *client], cwd=made, check=True, capture_output=True)
    assert ran.stdout == b"hi\n"
    assert names(came[0]) == ("camera-7",)


def test_a_client_without_a_certificate_is_not_let_in_where_one_is_wanted(made: Path) -> None:
    context = ssl.create_default_context(cafile=str(made / "authority.pem"))
    # The refusal comes as an alert, or as the end of the connection that overtakes it.
    with tls_server(made) as (port, came), pytest.raises(OSError, match=r"."):
        asked(port, context)
    assert came == []


def test_the_files_and_the_configuration_are_sound_and_open_the_doors_to_the_token(made: Path) -> None:
    tls = TlsSettings(*(str(made / name) for name in ("tls/server.pem", "tls/server.key", "authority.pem")))
    assert list(check_tls(tls)) == []
    file = made / "gateway.yaml"
    file.write_text(CONFIGURATION)
    loaded = load(file, {"CREDENTIALS_DIRECTORY": str(made)})
    assert [str(warning) for warning in loaded.warnings] == []
    gate = gate_of(loaded.settings.serving, [loaded.settings.http.listen], Metrics())
    token = (made / "camera-token").read_bytes().strip()
    headers = [(b"authorization", b"Bearer " + token)]
    peer = http_peer({"headers": headers, "client": ("192.0.2.9", 1), "extensions": {"tls": {}}})
    with gate.admit(peer, "infer") as caller:
        assert (caller.name, sorted(caller.scopes)) == ("token:camera", ["infer", "read"])


def test_every_reason_and_every_scope_is_listed() -> None:
    files = (ROOT / "gateway/serving/access").glob("*.py")
    raised = {reason for file in files for reason in re.findall(r'reason="(\w+)"', file.read_text())}
    assert set(re.findall(r"^\| `(\w+)` \| [0-9]{3} \|", PAGE, re.MULTILINE)) == raised
    assert set(re.findall(r"^\| `(\w+)` \| [A-Z]", PAGE, re.MULTILINE)) == set(SCOPES)
