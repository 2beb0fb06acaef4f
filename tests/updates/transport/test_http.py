"""The HTTP source against real sockets: a good server, and every bad one that we know of."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.errors import FetchFailed, FetchRefused
from gateway.updates.release import CHUNK_BYTES, Blob
from gateway.updates.transport.http import LONGEST_RUN, MOST_HEAD_BYTES, HttpLimits, HttpSource
from tests.ports import free_port
from tests.updates.transport.blobs import noise, part_of, put
from tests.updates.transport.static_server import Call, Fault, StaticServer, gzipped

# Nothing here takes so long unless it is broken.
LIMIT_S = 20.0
# For servers that never end: each is given up soon, for one reason alone, however late threads run.
SOON_TOO_SLOW = HttpLimits(least_bytes_s=1000, window_s=0.4)
SOON_SILENT = HttpLimits(read_s=0.3)
DATA = noise(5 * CHUNK_BYTES + 1000)
NGINX = "/usr/sbin/nginx"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StaticServer]:
    with StaticServer(tmp_path) as running:
        yield running


@pytest.fixture
def source(server: StaticServer) -> Iterator[HttpSource]:
    with closing(HttpSource(server.url)) as made:
        yield made


@pytest.fixture
def blob(tmp_path: Path) -> Blob:
    return put(tmp_path, DATA)


def soon() -> float:
    return time.monotonic() + LIMIT_S


def take(source: HttpSource, blob: Blob, *wanted: int) -> dict[int, bytes]:
    return dict(source.chunks(blob, wanted, soon()))


def test_a_small_file_is_read_whole(server: StaticServer, source: HttpSource, tmp_path: Path) -> None:
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata/1.root.json").write_bytes(b"{}")
    assert source.read("metadata/1.root.json", 2, soon()) == b"{}"
    assert server.calls[0].headers["accept-encoding"] == "identity"


def test_a_file_that_is_not_there_is_told_as_missing(source: HttpSource) -> None:
    with pytest.raises(FetchRefused) as caught:
        source.read("metadata/2.root.json", 10, soon())
    assert caught.value.attributes["missing"] == 1


def test_a_small_file_that_is_too_long_is_refused_by_its_head_and_by_its_bytes(
    server: StaticServer, source: HttpSource, tmp_path: Path
) -> None:
    (tmp_path / "big").write_bytes(b"x" * 100_000)
    with pytest.raises(FetchRefused, match="longer than 99999"):
        source.read("big", 99_999, soon())

    def endless(call: Call) -> None:
        call.sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not server.stopping.is_set():
            call.sock.sendall(b"1000\r\n" + b"y" * 0x1000 + b"\r\n")

    server.fault = endless
    with pytest.raises(FetchRefused, match="longer than 99999"):
        source.read("big", 99_999, soon())


def test_wanted_chunks_come_whole_and_neighbours_share_a_request(
    server: StaticServer, source: HttpSource, blob: Blob
) -> None:
    got = take(source, blob, 0, 1, 3, 5)
    assert got == {index: part_of(DATA, index) for index in (0, 1, 3, 5)}
    assert [call.span for call in server.calls] == [
        (0, 2 * CHUNK_BYTES - 1),
        (3 * CHUNK_BYTES, 4 * CHUNK_BYTES - 1),
        (5 * CHUNK_BYTES, len(DATA) - 1),
    ]


def test_requests_share_one_connection_and_a_run_left_in_the_middle_does_not_spoil_it(
    server: StaticServer, source: HttpSource, blob: Blob
) -> None:
    take(source, blob, 0, 2)
    take(source, blob, *range(6))
    assert server.connections == 1
    begun = source.chunks(blob, range(6), soon())
    next(begun)
    begun.close()
    assert take(source, blob, 4) == {4: part_of(DATA, 4)}
    assert server.connections == 2


def test_a_run_is_never_longer_than_its_bound(server: StaticServer, source: HttpSource, blob: Blob) -> None:
    huge = Blob(blob.sha256, (LONGEST_RUN + 2) * CHUNK_BYTES, ("0" * 64,) * (LONGEST_RUN + 2))
    with pytest.raises(FetchRefused, match="is sent"):
        take(source, huge, *range(LONGEST_RUN + 2))
    assert server.calls[0].span == (0, LONGEST_RUN * CHUNK_BYTES - 1)


def test_a_server_without_range_serves_whole_blobs_but_no_parts(
    server: StaticServer, source: HttpSource, blob: Blob
) -> None:
    def whole(call: Call) -> None:
        call.say("200 OK", call.body or b"")

    server.fault = whole
    assert b"".join(take(source, blob, *range(6)).values()) == DATA
    with pytest.raises(FetchRefused, match="ignores Range"):
        take(source, blob, 1)


def wrong_range(call: Call) -> None:
    call.say(
        "206 Partial Content",
        call.part,
        Content_Range=f"bytes 0-{len(call.part) - 1}/{len(call.body or b'')}",
    )


def wrong_size(call: Call) -> None:
    assert call.span is not None
    call.say("206 Partial Content", call.part, Content_Range=f"bytes {call.span[0]}-{call.span[1]}/{1 << 63}")


def no_range(call: Call) -> None:
    call.say("206 Partial Content", call.part)


def longer(call: Call) -> None:
    call.serve(lambda part: part + b"more")


def zipped_part(call: Call) -> None:
    assert call.span is not None
    span = f"bytes {call.span[0]}-{call.span[1]}/{len(call.body or b'')}"
    call.say("206 Partial Content", call.part, Content_Range=span, Content_Encoding="gzip")


def redirect(call: Call) -> None:
    call.say("302 Found", Location=f"http://127.0.0.1:1/{call.path}")


def redirect_home(call: Call) -> None:
    call.say("301 Moved Permanently", Location=f"/{call.path}?again")


def status(line: str) -> Fault:
    return lambda call: call.say(line)


def endless_head(call: Call) -> None:
    call.sock.sendall(b"HTTP/1.1 206 Partial Content\r\n")
    for number in range(10_000):
        call.sock.sendall(f"X-{number}: {'a' * 2000}\r\n".encode())


def endless_line(call: Call) -> None:
    call.sock.sendall(b"HTTP/1.1 206 Partial Content\r\nX: " + b"a" * (4 * MOST_HEAD_BYTES))


def endless_continue(call: Call) -> None:
    for _ in range(100_000):
        call.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (wrong_range, "is sent"),
        (wrong_size, "is sent"),
        (no_range, "is sent"),
        (longer, "announced"),
        (zipped_part, "encoding"),
        (redirect, "redirects are not followed"),
        (redirect_home, "redirects are not followed"),
        (status("400 Bad Request"), "answers 400"),
        (status("401 Unauthorized"), "answers 401"),
        (status("416 Range Not Satisfiable"), "answers 416"),
        (status("204 No Content"), "answers 204"),
        (endless_head, "head of the answer"),
        (endless_continue, "head of the answer"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_an_answer_that_cannot_be_used_is_refused(
    server: StaticServer, source: HttpSource, blob: Blob, fault: Fault, words: str
) -> None:
    server.fault = fault
    with pytest.raises(FetchRefused, match=words):
        take(source, blob, 1, 2)
    assert len(server.calls) == 1, "a redirect was followed, or a request repeated"
    server.fault = None
    assert take(source, blob, 1) == {1: part_of(DATA, 1)}, "the next request is not spoilt"


def test_a_compressed_small_file_is_refused_and_never_unpacked(
    server: StaticServer, source: HttpSource, tmp_path: Path
) -> None:
    (tmp_path / "bomb").write_bytes(b"\0" * 10_000)
    server.fault = gzipped
    with pytest.raises(FetchRefused, match="encoding"):
        source.read("bomb", 100_000, soon())


def drip(server: StaticServer, head: bytes) -> Callable[[Call], None]:
    def fault(call: Call) -> None:
        call.sock.sendall(head)
        while not server.stopping.wait(0.05):
            call.sock.sendall(b"x")

    return fault


SPAN = f"bytes {CHUNK_BYTES}-{2 * CHUNK_BYTES - 1}/{len(DATA)}"
HEAD = (
    f"HTTP/1.1 206 Partial Content\r\nContent-Length: {CHUNK_BYTES}\r\nContent-Range: {SPAN}\r\n\r\n".encode()
)


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 206 OK\r\n", HEAD], ids=["status", "headers", "body"])
def test_a_server_that_drips_is_given_up_wherever_it_begins_to(
    server: StaticServer, blob: Blob, head: bytes
) -> None:
    server.fault = drip(server, head)
    with (
        closing(HttpSource(server.url, SOON_TOO_SLOW)) as source,
        pytest.raises(FetchFailed, match="too slow") as caught,
    ):
        take(source, blob, 1)
    assert float(caught.value.attributes["rate_bytes_s"]) < 1000


def test_a_server_that_says_nothing_more_is_given_up(server: StaticServer, blob: Blob) -> None:
    def silent(call: Call) -> None:
        call.sock.sendall(HEAD + b"some")
        server.stopping.wait()

    server.fault = silent
    with (
        closing(HttpSource(server.url, SOON_SILENT)) as source,
        pytest.raises(FetchFailed, match="nothing came"),
    ):
        take(source, blob, 1)


def test_the_deadline_ends_a_server_that_is_just_fast_enough(server: StaticServer, blob: Blob) -> None:
    def steady(call: Call) -> None:
        call.sock.sendall(HEAD)
        while not server.stopping.wait(0.01):
            call.sock.sendall(b"x" * 100)

    server.fault = steady
    source = HttpSource(server.url, HttpLimits(least_bytes_s=10, window_s=0.2))
    with pytest.raises(FetchFailed, match="deadline"):
        list(source.chunks(blob, [1], time.monotonic() + 1))
    source.close()


def test_chunks_before_a_cut_are_kept_and_what_was_lost_is_told(
    server: StaticServer, source: HttpSource, blob: Blob
) -> None:
    def cut(call: Call) -> None:
        whole = HEAD.replace(SPAN.encode(), f"bytes 0-{len(DATA) - 1}/{len(DATA)}".encode())
        whole = whole.replace(f"Length: {CHUNK_BYTES}".encode(), f"Length: {len(DATA)}".encode())
        call.sock.sendall(whole + DATA[: 2 * CHUNK_BYTES + 77])
        call.sock.shutdown(socket.SHUT_RDWR)

    server.fault = cut
    got: dict[int, bytes] = {}
    with pytest.raises(FetchFailed, match="ended in the middle") as caught:
        got.update(source.chunks(blob, range(6), soon()))
    assert got == {0: part_of(DATA, 0), 1: part_of(DATA, 1)}
    assert caught.value.attributes["lost_bytes"] == 77


@pytest.mark.parametrize(
    "fault", [Call.reset, status("500 Oops"), status("503 Busy"), status("429 Slow Down"), endless_line]
)
def test_what_may_be_better_later_is_a_failure_and_no_refusal(
    server: StaticServer, source: HttpSource, blob: Blob, fault: Fault
) -> None:
    server.fault = fault
    with pytest.raises((FetchFailed, FetchRefused)) as caught:
        take(source, blob, 1)
    assert isinstance(caught.value, FetchFailed) is (fault is not endless_line)


def test_nobody_there_is_a_failure() -> None:
    source = HttpSource(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(FetchFailed):
        source.read("metadata/timestamp.json", 10, soon())


def test_a_deadline_that_has_passed_asks_nobody(server: StaticServer, source: HttpSource) -> None:
    with pytest.raises(FetchFailed, match="deadline"):
        source.read("metadata/timestamp.json", 10, time.monotonic() - 1)
    assert server.connections == 0


def test_user_and_password_are_sent_but_never_told(server: StaticServer, blob: Blob) -> None:
    source = HttpSource(server.url.replace("//", "//ann:s%40cret@"))
    assert take(source, blob, 1)
    assert server.calls[0].headers["authorization"] == "Basic YW5uOnNAY3JldA=="
    assert source.name == server.url
    source.close()


def test_a_proxy_of_the_environment_is_used(
    server: StaticServer, blob: Blob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "other.example")
    source = HttpSource("http://models.example/repo")
    with pytest.raises(FetchRefused):
        take(source, blob, 1)
    assert server.calls[0].path == f"http://models.example/repo/blobs/{blob.sha256}"
    source.close()


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a/b",
        "http://",
        "http:///x",
        "http://a:0/",
        "http://a:x/",
        "http://[::1/",
        "http://a/?q=1",
        "a/b",
        "",
    ],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(FetchRefused, match="no address"):
        HttpSource(url)
