"""The HTTP source against a real nginx, and over TLS."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.errors import FetchFailed, FetchRefused
from gateway.updates.transport.http import HttpSource
from tests.mqtt.certificates import Certificates, make_certificates
from tests.ports import free_port
from tests.updates.transport.blobs import part_of, put
from tests.updates.transport.static_server import StaticServer
from tests.updates.transport.test_http import DATA, HEAD, SOON_TOO_SLOW, drip, soon, take

NGINX = "/usr/sbin/nginx"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def tls_server(tmp_path: Path, certificates: Certificates) -> Iterator[StaticServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.broker, certificates.broker_key)
    with StaticServer(tmp_path, tls=context) as running:
        yield running


def test_an_authority_of_ones_own_is_named_by_the_environment(
    tls_server: StaticServer, tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = put(tmp_path, DATA)
    stranger = HttpSource(tls_server.url)
    with pytest.raises(FetchFailed, match="certificate"):
        take(stranger, blob, 1)
    assert tls_server.calls == []
    stranger.close()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    with closing(HttpSource(tls_server.url)) as source:
        assert take(source, blob, 1, 2) == {index: part_of(DATA, index) for index in (1, 2)}
    tls_server.fault = drip(tls_server, HEAD)
    with (
        closing(HttpSource(tls_server.url, SOON_TOO_SLOW)) as source,
        pytest.raises(FetchFailed, match="too slow"),
    ):
        take(source, blob, 1)


def test_a_real_nginx_serves_ranges_of_a_repository(tmp_path: Path) -> None:
    blob = put(tmp_path, DATA)
    program = shutil.which(NGINX)
    if program is None:
        pytest.skip(f"{NGINX} IS NOT INSTALLED: the range requests were tried against our own server alone")
    port = free_port()
    conf = tmp_path / "nginx.conf"
    conf.write_text(
        f"daemon off; master_process off; pid {tmp_path}/pid; error_log stderr;\n"
        "events {}\n"
        f"http {{ access_log off; client_body_temp_path {tmp_path}/b; proxy_temp_path {tmp_path}/p;\n"
        f"fastcgi_temp_path {tmp_path}/f; uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;\n"
        f"server {{ listen 127.0.0.1:{port}; root {tmp_path}; }} }}\n"
    )
    for place in (tmp_path, *tmp_path.parents[:2]):
        os.chmod(place, 0o755)  # noqa: PTH101, S103 - nginx becomes another user
    with subprocess.Popen([program, "-c", str(conf), "-e", "stderr"], stderr=subprocess.DEVNULL) as nginx:
        try:
            _listens(port)
            source = HttpSource(f"http://127.0.0.1:{port}")
            assert take(source, blob, 0, 1, 5) == {index: part_of(DATA, index) for index in (0, 1, 5)}
            with pytest.raises(FetchRefused) as caught:
                source.read("metadata/9.root.json", 10, soon())
            assert caught.value.attributes["missing"] == 1
            source.close()
        finally:
            nginx.terminate()


def _listens(port: int) -> None:
    deadline_s = soon()
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline_s, "nginx does not listen"
        else:
            return
