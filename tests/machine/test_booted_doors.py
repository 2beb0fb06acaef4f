"""The service's doors opened to other machines as docs/access.md says: TLS, a token, systemd's socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.machine.installed import SERVICE, Installed
from tests.mqtt.certificates import make_certificates

URL: Final = "https://127.0.0.1:8443"
ELSEWHERE: Final = "192.0.2.7"  # an address of the box that is none of a program of this machine
TOKEN: Final = "only-for-this-test-0123456789abcdef"
CREDENTIAL: Final = "/etc/gateway/credentials/camera-token"
SOCKET_DROP_IN: Final = "/etc/systemd/system/gateway.socket.d/test.conf"
AUTHORITY: Final = "/run/authority.pem"
WRITTEN: Final = {
    "    certificate_file: .*": "    certificate_file: tls/server.pem",
    "    key_file: .*": "    key_file: tls/server.key",
    "    tokens:": "    tokens: [{name: camera, token: '${credential:camera-token}', scopes: [infer, read]}]",
}


@pytest.fixture(name="opened")
def _opened(gateway: Installed, tmp_path: Path) -> Iterator[Installed]:
    """The gateway on every address of its box."""
    box, made = gateway.box, make_certificates(tmp_path)
    box.run("ip", "address", "add", ELSEWHERE, "dev", "lo")
    box.write(AUTHORITY, made.authority.read_text())
    box.write("/etc/gateway/tls/server.pem", made.broker.read_text())
    box.write("/etc/gateway/tls/server.key", made.broker_key.read_text(), 0o640)
    box.run("chgrp", "gateway", "/etc/gateway/tls/server.key")
    box.write(CREDENTIAL, TOKEN + "\n", 0o600)
    box.write(SOCKET_DROP_IN, "[Socket]\nListenStream=\nListenStream=0.0.0.0:8443\n")
    for old, new in WRITTEN.items():
        box.run("sed", "-i", f"s#^{old}#{new}#", "/etc/gateway/gateway.yaml")
    gateway.drop_in(f"[Service]\nLoadCredential=camera-token:{CREDENTIAL}\n")
    # Restarted, the socket would be refused: its service is still there.
    box.run("systemctl", "stop", "gateway.socket", SERVICE)
    box.run("systemctl", "start", "gateway.socket", SERVICE)
    yield gateway
    box.shell(f"rm -r /etc/gateway/tls {CREDENTIAL} {AUTHORITY} {Path(SOCKET_DROP_IN).parent}")
    box.run("ip", "address", "delete", f"{ELSEWHERE}/32", "dev", "lo")
    box.run("systemctl", "daemon-reload")
    box.run("systemctl", "stop", "gateway.socket", SERVICE)


def asked(gateway: Installed, path: str, *words: str) -> tuple[str, str]:
    """Return code and body of a page as curl sees it, over a connection that it trusts."""
    command = ["curl", "-s", "-m", "10", "--interface", ELSEWHERE, "--cacert", AUTHORITY]
    command += ["-w", "\n%{http_version} %{http_code}", *words]
    body, _, code = gateway.box.run(*command, URL + path, check=False).stdout.rpartition("\n")
    return code, body


def test_a_door_of_a_network_wants_trust_and_a_token(opened: Installed) -> None:
    bearer = ("-H", f"Authorization: Bearer {TOKEN}")
    opened.until(lambda: asked(opened, "/v2/health/ready", "--http1.1")[0] == "1.1 200", "ready over TLS")
    assert asked(opened, "/v2", "--http1.1", *bearer)[0] == "1.1 200"
    code, body = asked(opened, "/v2/models/motion/config", "--http2", *bearer)
    assert (code, json.loads(body)["name"]) == ("2 200", "motion")
    assert asked(opened, "/v2/models/motion", "--http2")[0] == "2 401"
    assert (
        asked(opened, "/v2/models/motion", "--http2", "-H", f"Authorization: Bearer {TOKEN}x")[0] == "2 401"
    )
    assert asked(opened, "/v2/repository/models/motion/unload", "--http2", "-d", "{}", *bearer)[0] == "2 403"
    plain = opened.box.run("curl", "-s", "-m", "10", URL.replace("https", "http") + "/v2", check=False)
    assert plain.returncode != 0
    untrusted = opened.box.run("curl", "-s", "-m", "10", URL + "/v2", check=False)
    assert untrusted.returncode == 60  # curl's for a certificate that nobody known signed
    who = opened.box.run("runuser", "-u", "gateway", "--", "cat", CREDENTIAL, check=False)
    assert who.returncode != 0
