"""The demo's web server: files whole and in part, and nothing outside its folder."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from gateway.demo.web import HOST, RangeHandler, Web
from gateway.updates.packing.contents import blob_of
from gateway.updates.release import CHUNK_BYTES
from gateway.updates.transport.http import HttpSource

LIMIT_S = 30.0


class Quiet(RangeHandler):
    """Says nothing on standard error."""

    def log_message(self, format: str, *words: object) -> None:
        """Drop a line."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, Web]]:
    folder = tmp_path / "served"
    (folder / "blobs").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(b"secret")
    with Web((HOST, 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield folder, server
        server.shutdown()
        thread.join()


def get(server: Web, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of an answer."""
    connection = http.client.HTTPConnection(HOST, server.server_port, timeout=LIMIT_S)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def test_a_gateway_takes_a_blob_from_it_chunk_by_chunk(served: tuple[Path, Web]) -> None:
    folder, server = served
    data = bytes(range(256)) * (CHUNK_BYTES // 100)
    (folder / "whole").write_bytes(data)
    blob = blob_of(folder / "whole")
    (folder / "whole").rename(folder / "blobs" / blob.sha256)
    source = HttpSource(f"http://{HOST}:{server.server_port}")
    deadline_s = time.monotonic() + LIMIT_S
    try:
        found = dict(source.chunks(blob, [2, 0], deadline_s))
        assert found == {index: data[index * CHUNK_BYTES :][:CHUNK_BYTES] for index in (0, 2)}
    finally:
        source.close()


def test_a_file_comes_whole_or_in_part(served: tuple[Path, Web]) -> None:
    folder, server = served
    (folder / "ten").write_bytes(b"0123456789")
    assert get(server, "/ten")[::2] == (200, b"0123456789")
    status, headers, body = get(server, "/ten", Range="bytes=3-5")
    assert (status, headers["Content-Range"], body) == (206, "bytes 3-5/10", b"345")
    assert get(server, "/ten", Range="bytes=8-99")[2] == b"89"
    assert get(server, "/ten", Range="bytes=10-12")[0] == 416
    assert get(server, "/ten", method="HEAD")[0] == 501


def test_nothing_outside_its_folder_and_no_folder_is_served(served: tuple[Path, Web]) -> None:
    _, server = served
    for path in ("/../secret", "/%2e%2e/secret", "//../secret", "/blobs", "/", "/absent"):
        assert get(server, path)[0] == 404, path
