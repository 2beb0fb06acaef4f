"""The reader of HTTP/1.1 requests: strict, bounded, and the same however the bytes are cut."""

from __future__ import annotations

import contextlib
import random

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import Malformed, NotSupported, RequestRefused, TooLarge
from gateway.serving.http.request_reader import RequestHead, RequestReader

HOST = b"host: x\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


class Seen:
    """Writes down what the reader says."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes, tuple[tuple[bytes, bytes], ...], bytes]] = []
        self._head = RequestHead()
        self._body = b""
        self.bodies = 0

    def head(self, head: RequestHead) -> None:
        self._head, self._body = head, b""

    def body(self, piece: bytes) -> None:
        assert piece
        self._body += piece
        self.bodies += len(piece)

    def end(self) -> None:
        head = self._head
        self.requests.append((head.method, head.target, tuple(head.headers), self._body))


def read(sent: bytes, *cuts: int) -> tuple[Seen, RequestRefused | None]:
    """Read bytes that come in pieces."""
    seen = Seen()
    reader = RequestReader(seen, 16_384, 128)
    try:
        for start, end in zip((0, *cuts), (*cuts, len(sent)), strict=True):
            piece = sent[start:end]
            while piece:
                taken = reader.take(piece)
                assert 0 < taken <= len(piece)
                piece = piece[taken:]
    except RequestRefused as error:
        return seen, error
    return seen, None


SMUGGLED = {
    "length and chunks": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n"
    b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n"
    b"content-length: 3\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    "one length twice": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\nabc",
    "a list of lengths": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3, 3\r\n\r\nabc",
    "a signed length": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: +3\r\n\r\nabc",
    "a negative length": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -3\r\n\r\nabc",
    "an endless length": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999999\r\n\r\nabc",
    "chunks twice": b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n"
    b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks, then not": b"POST / HTTP/1.1\r\nhost: x\r\n"
    b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunks after a control": b"POST / HTTP/1.1\r\nhost: x\r\n"
    b"transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunks with HTTP/1.0": b"POST / HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a folded line": b"GET / HTTP/1.1\r\nhost: x\r\nfoo: a\r\n b\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nhost : x\r\n\r\n",
    "a bare LF": b"GET / HTTP/1.1\nhost: x\n\n",
    "a bare LF in the headers": b"GET / HTTP/1.1\r\nhost: x\nfoo: b\r\n\r\n",
    "a bare CR": b"GET / HTTP/1.1\r\nhost: x\rfoo: b\r\n\r\n",
    "a zero": b"GET / HTTP/1.1\r\nhost: x\0y\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "no name": b"GET / HTTP/1.1\r\nhost: x\r\n: y\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "another version": b"GET / HTTP/2.0\r\nhost: x\r\n\r\n",
    "a space in the target": b"GET /a b HTTP/1.1\r\nhost: x\r\n\r\n",
    "a control in the target": b"GET /\x01 HTTP/1.1\r\nhost: x\r\n\r\n",
    "a small method": b"get / HTTP/1.1\r\nhost: x\r\n\r\n",
    "an offer without a host": b"GET / HTTP/1.1\r\nupgrade: h2c\r\n\r\n",
    "an offer with two lengths": b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\ncontent-length: 1\r\n"
    b"content-length: 2\r\n\r\n12",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a chunk with LF": CHUNKED + b"3\nabc\r\n0\r\n\r\n",
    "a chunk in C's words": CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
    "a chunk with a space": CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n",
    "a chunk that is longer": CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
    "a chunk that is endless": CHUNKED + b"FFFFFFFFFFFFFFFFF\r\nabcd\r\n0\r\n\r\n",
    "a negative chunk": CHUNKED + b"-1\r\nabcd\r\n0\r\n\r\n",
    "a chunk of nothing": CHUNKED + b"\r\nabcd\r\n0\r\n\r\n",
    "an extension with LF": CHUNKED + b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "a length behind the body": CHUNKED + b"3\r\nabc\r\n0\r\ncontent-length: 5\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLED)
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_what_two_servers_could_read_differently_is_refused(name: str, step: int) -> None:
    sent = SMUGGLED[name]
    seen, error = read(sent, *range(step, len(sent), step))
    assert type(error) is Malformed
    assert seen.requests == []


@pytest.mark.parametrize(
    "sent",
    [
        b"CONNECT a:1 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"BREW /pot HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\nexpect: tea\r\ncontent-length: 1\r\n\r\n1",
    ],
)
def test_what_is_known_but_not_done_here_is_said_to_be_so(sent: bytes) -> None:
    assert type(read(sent)[1]) is NotSupported


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nhost: x\r\nc: " + b"c" * 17_000,
        b"GET / HTTP/1.1\r\nhost: x\r\nc: " + b"c" * 17_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n" + b"c: d\r\n" * 200 + b"\r\n",
        b"GET /" + b"c" * 17_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        CHUNKED + b"3;" + b"c" * 5000 + b"\r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"0\r\n" + b"c: d\r\n" * 5000 + b"\r\n",
    ],
)
@pytest.mark.parametrize("step", [512, 100_000])
def test_what_is_larger_than_allowed_is_refused_before_it_is_kept(sent: bytes, step: int) -> None:
    assert type(read(sent, *range(step, len(sent), step))[1]) is TooLarge


def test_many_chunks_of_one_byte_are_refused() -> None:
    seen, error = read(CHUNKED + b"1\r\na\r\n" * 10_000)
    assert isinstance(error, Malformed)
    assert seen.bodies < 6000


def test_an_offer_of_another_protocol_is_ignored_and_takes_no_body_with_it() -> None:
    offer = b"upgrade: h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: AAA\r\n"
    seen, error = read(
        b"POST /1 HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n" + offer + b"\r\nabcGET /2 HTTP/1.1\r\n"
        b"host: x\r\n\r\n"
    )
    assert error is None
    assert [(each[1], each[3]) for each in seen.requests] == [(b"/1", b"abc"), (b"/2", b"")]


def test_a_connection_is_kept_as_each_version_has_it() -> None:
    kept = []
    for version, header in (("1.1", ""), ("1.1", "close"), ("1.0", ""), ("1.0", "keep-alive")):
        heads: list[RequestHead] = []
        seen = Seen()
        seen.head = heads.append  # type: ignore[method-assign,assignment]
        line = f"connection: {header}\r\n" if header else ""
        RequestReader(seen, 999, 9).take(f"GET / HTTP/{version}\r\nhost: x\r\n{line}\r\n".encode())
        kept.append(heads[0].keeps)
    assert kept == [True, False, False, True]


BODIES = st.binary(max_size=200)
REQUESTS = st.builds(
    lambda method, path, extra, body, is_chunked, pieces: (
        method.encode() + b" /" + path.encode() + b" HTTP/1.1\r\n" + HOST + extra + _framed(body, pieces)
        if is_chunked
        else method.encode()
        + b" /"
        + path.encode()
        + b" HTTP/1.1\r\n"
        + HOST
        + extra
        + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    ),
    st.sampled_from(("GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS")),
    st.text("abc/%20", max_size=10),
    st.sampled_from((b"", b"A: b\r\n", b"a:\r\n", b"a:  b c \t\r\n", b"connection: keep-alive\r\n")),
    BODIES,
    st.booleans(),
    st.integers(1, 50),
)


def _framed(body: bytes, size: int) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = b"".join(b"%X;e=1\r\n%b\r\n" % (len(part), part) for part in parts)
    return b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\ntrailer: 1\r\n\r\n"


@given(st.lists(REQUESTS, min_size=1, max_size=4), st.lists(st.integers(0, 2000), max_size=8))
def test_sound_requests_are_read_alike_however_they_are_cut_and_as_h11_reads_them(
    requests: list[bytes], cuts: list[int]
) -> None:
    sent = b"".join(requests)
    whole, error = read(sent)
    assert error is None
    assert len(whole.requests) == len(requests)
    cut, error = read(sent, *sorted(min(at, len(sent)) for at in cuts))
    assert error is None
    assert cut.requests == whole.requests
    assert whole.requests == [_by_h11(each) for each in requests]


FEW = st.lists(REQUESTS, min_size=1, max_size=3).flatmap(
    lambda requests: st.lists(st.sampled_from(requests), min_size=2, max_size=12)
)


@given(FEW, st.lists(st.integers(0, 4000), max_size=8))
def test_a_head_that_comes_again_means_what_it_meant_before(requests: list[bytes], cuts: list[int]) -> None:
    sent = b"".join(requests)
    seen, error = read(sent, *sorted(min(at, len(sent)) for at in cuts))
    assert error is None
    alone = [read(each)[0].requests[0] for each in requests]
    assert seen.requests == alone


def test_a_head_that_comes_again_with_another_body_is_another_request() -> None:
    head = b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n"
    seen, error = read(
        head + b"abc" + head + b"def" + head + b"g\r\n" + b"GET /b HTTP/1.1\r\nhost: x\r\n\r\n"
    )
    assert error is None
    assert [(target, body) for _, target, _, body in seen.requests] == [
        (b"/a", b"abc"),
        (b"/a", b"def"),
        (b"/a", b"g\r\n"),
        (b"/b", b""),
    ]


@given(FEW, st.lists(st.integers(0, 9), max_size=12), st.lists(st.integers(0, 4000), max_size=8))
def test_empty_lines_between_requests_ask_for_nothing(
    requests: list[bytes], lines: list[int], cuts: list[int]
) -> None:
    counts = [*lines, *[0] * len(requests)]
    sent = b"".join(b"\r\n" * count + each for count, each in zip(counts, requests, strict=False))
    sent += b"\r\n" * 8
    seen, error = read(sent, *sorted(min(at, len(sent)) for at in cuts))
    assert error is None
    assert seen.requests == [read(each)[0].requests[0] for each in requests]


def test_every_request_of_a_head_that_comes_again_has_a_head_of_its_own() -> None:
    heads: list[RequestHead] = []
    seen = Seen()
    seen.head = heads.append  # type: ignore[method-assign,assignment]
    reader = RequestReader(seen, 999, 9)
    sent = b"GET / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n\r\n"
    for _ in range(3):
        assert reader.take(sent) == len(sent)
        assert heads[-1].expects
        heads[-1].expects = False
        heads[-1].headers.clear()
    assert len({id(head) for head in heads}) == 3


def _by_h11(sent: bytes) -> tuple[str, bytes, tuple[tuple[bytes, bytes], ...], bytes]:
    machine = h11.Connection(h11.SERVER)
    machine.receive_data(sent)
    request = machine.next_event()
    assert isinstance(request, h11.Request)
    body = b""
    while isinstance(event := machine.next_event(), h11.Data):
        body += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage)
    return request.method.decode(), request.target, tuple(request.headers), body


@given(st.binary(max_size=400), st.integers(0, 400))
@example(b"\r\n" * 150, 3)
def test_any_bytes_give_requests_or_one_error(sent: bytes, cut: int) -> None:
    read(sent, min(cut, len(sent)))


def test_sound_requests_with_a_few_bytes_changed_give_requests_or_one_error() -> None:
    rng = random.Random(7)
    sound = CHUNKED + b"3\r\nabc\r\n0\r\n\r\n" + b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc"
    refused = 0
    for _ in range(3000):
        changed = bytearray(sound)
        for _ in range(rng.randint(1, 4)):
            changed[rng.randrange(len(changed))] = (
                rng.choice(b"\r\n\0 :;0a\xff") if rng.random() < 0.7 else 65
            )
        refused += read(bytes(changed), rng.randrange(len(changed)))[1] is not None
    assert 500 < refused < 3000


SOUND = (
    b"GET /a HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n",
    b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\ny: z\r\n\r\n",
)
TOKENS = (
    *(b"\r\n", b"\n", b"\r", b" ", b"\t", b"\0", b":", b",", b";", b"0", b"1", b"-", b"0x", b"\x0b", b"\xff"),
    *(b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n"),
    *(
        b"Host: y\r\n",
        b"Connection: close\r\n",
        b"Upgrade: h2c\r\n",
        b"Expect: 100-continue\r\n",
        b"HTTP/1.0",
    ),
)


def _spoiled(rng: random.Random) -> bytes:
    sent = bytearray(b"".join(rng.choice(SOUND) for _ in range(rng.randint(1, 3))))
    for _ in range(rng.randint(1, 3)):
        at, token = rng.randrange(len(sent) + 1), rng.choice(TOKENS)
        sent[at : at + rng.choice((0, len(token), 3))] = token if rng.random() < 0.8 else b""
    return bytes(sent)


def test_what_another_parser_would_read_differently_is_refused() -> None:
    rng = random.Random(11)
    read_by_both = refused = 0
    for _ in range(6000):
        sent = _spoiled(rng)
        seen, error = read(sent, rng.randrange(len(sent)))
        refused += error is not None
        for ours, theirs in zip(seen.requests, _all_by_h11(sent), strict=False):
            assert (ours[0], ours[1], ours[3]) == theirs, sent
            read_by_both += 1
    assert refused > 2000
    assert read_by_both > 2000


def _all_by_h11(sent: bytes) -> list[tuple[str, bytes, bytes]]:
    """Return what h11 reads of requests up to the first that it refuses."""
    machine = h11.Connection(h11.SERVER)
    machine.receive_data(sent)
    found: list[tuple[str, bytes, bytes]] = []
    head, body = ("", b""), b""
    with contextlib.suppress(h11.RemoteProtocolError):
        while (event := machine.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            if isinstance(event, h11.Request):
                head, body = (event.method.decode(), event.target), b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                found.append((*head, body))
                machine.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                machine.send(h11.EndOfMessage())
                if h11.MUST_CLOSE in (machine.our_state, machine.their_state):
                    break
                machine.start_next_cycle()
    return found
