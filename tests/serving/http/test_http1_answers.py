"""What an unusual request of HTTP/1.1 is answered, over a real socket: served, or refused and cut off."""

from __future__ import annotations

import re

import pytest

from gateway.serving.http.limits import HttpLimits
from gateway.serving.listener import Listener
from tests.serving.http.world import client, run

LINE = b"GET /a HTTP/1.1\r\n"
HOST = b"host: x\r\n"
POST = b"POST /a HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"
AFTER = b"GET /after HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"

SERVED = {
    "empty lines before it": (b"\r\n\r\n\r\n" + LINE + HOST + b"\r\n", b"GET /a 0 1.1"),
    "an empty line behind it": (POST + b"content-length: 3\r\n\r\nabc\r\n", b"POST /a 3 1.1"),
    "many empty lines behind it": (POST + b"content-length: 3\r\n\r\nabc" + b"\r\n" * 9, b"POST /a 3 1.1"),
    "a name in capitals": (LINE + b"HOST: x\r\n\r\n", b"GET /a 0 1.1"),
    "spaces around a value": (POST + b"content-length: \t3 \t\r\n\r\nabc", b"POST /a 3 1.1"),
    "zeros before a length": (POST + b"content-length: 003\r\n\r\nabc", b"POST /a 3 1.1"),
    "a value of Latin-1": (LINE + HOST + b"a: \xe4\r\n\r\n", b"GET /a 0 1.1"),
    "an empty host": (LINE + b"host:\r\n\r\n", b"GET /a 0 1.1"),
    "an address for a host": (LINE + b"host: [fe80::1]:80\r\n\r\n", b"GET /a 0 1.1"),
    "a URL": (b"GET http://y:80/a?b HTTP/1.1\r\n" + HOST + b"\r\n", b"GET /a 0 1.1"),
    "a URL without a path": (b"GET http://y HTTP/1.1\r\n" + HOST + b"\r\n", b"GET / 0 1.1"),
    "everything": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", b"OPTIONS * 0 1.1"),
    "a kept connection of HTTP/1.0": (
        b"GET /a HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
        b"GET /a 0 1.0",
    ),
    "chunks in capitals": (
        POST + b"Transfer-Encoding: Chunked\r\n\r\nA\r\n0123456789\r\n" + LAST,
        b"POST /a 10 1.1",
    ),
    "an extension": (CHUNKED + b'3;a;b=c;d="e;f"\r\nabc\r\n' + LAST, b"POST /a 3 1.1"),
    "zeros before a chunk's size": (CHUNKED + b"0003\r\nabc\r\n000\r\n\r\n", b"POST /a 3 1.1"),
    "trailers": (CHUNKED + b"3\r\nabc\r\n0\r\na: b\r\nhost: y\r\n\r\n", b"POST /a 3 1.1"),
    "a body with GET": (LINE + HOST + b"content-length: 3\r\n\r\nabc", b"GET /a 3 1.1"),
    "an expectation with HTTP/1.0": (
        b"POST /a HTTP/1.0\r\nconnection: keep-alive\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n1",
        b"POST /a 1 1.0",
    ),
}

REFUSED = {
    "two spaces behind the method": (b"GET  /a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "two spaces behind the target": (b"GET /a  HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a tab for a space": (b"GET\t/a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a space before the method": (b" GET /a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a space behind the version": (b"GET /a HTTP/1.1 \r\n" + HOST + b"\r\n", 400),
    "a space before the first name": (LINE + b" a: b\r\n" + HOST + b"\r\n", 400),
    "a bare CR in the first line": (b"GET /a\r HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a bare CR behind a value": (LINE + HOST + b"a: b\r\r\n\r\n", 400),
    "a bare CR at the end": (LINE + HOST + b"\r\r\n\r\n", 400),
    "another protocol": (b"GET /a RTSP/1.0\r\n" + HOST + b"\r\n", 400),
    "a protocol in small letters": (b"GET /a http/1.1\r\n" + HOST + b"\r\n", 400),
    "a version of two digits": (b"GET /a HTTP/1.10\r\n" + HOST + b"\r\n", 400),
    "an older version": (b"GET /a HTTP/0.9\r\n" + HOST + b"\r\n", 400),
    "a folded line of a tab": (LINE + HOST + b"a: b\r\n\tc\r\n\r\n", 400),
    "a fold behind nothing": (LINE + HOST + b"a:\r\n b\r\n\r\n", 400),
    "a tab before the colon": (LINE + HOST + b"a\t: b\r\n\r\n", 400),
    "a space in a name": (LINE + HOST + b"a b: c\r\n\r\n", 400),
    "no colon": (LINE + HOST + b"abc\r\n\r\n", 400),
    "a zero in a name": (LINE + HOST + b"a\0: b\r\n\r\n", 400),
    "a zero in a value": (LINE + HOST + b"a: b\0\r\n\r\n", 400),
    "a control in a value": (LINE + HOST + b"a: \x01\r\n\r\n", 400),
    "a length of nothing": (POST + b"content-length:\r\n\r\n", 400),
    "a length in C's words": (POST + b"content-length: 0x3\r\n\r\nabc", 400),
    "two numbers for a length": (POST + b"content-length: 3 3\r\n\r\nabc", 400),
    "no length, and chunks": (POST + b"content-length: 0\r\ntransfer-encoding: chunked\r\n\r\n" + LAST, 400),
    "no coding": (POST + b"transfer-encoding:\r\n\r\n" + LAST, 400),
    "another coding": (POST + b"transfer-encoding: identity\r\n\r\n" + LAST, 501),
    "a coding in quotes": (POST + b'transfer-encoding: "chunked"\r\n\r\n' + LAST, 501),
    "chunks within chunks": (POST + b"transfer-encoding: chunked, chunked\r\n\r\n" + LAST, 400),
    "an extension of nothing": (CHUNKED + b"3;\r\nabc\r\n" + LAST, 400),
    "an extension behind a space": (CHUNKED + b"3 ;a=b\r\nabc\r\n" + LAST, 400),
    "an extension with a bare CR": (CHUNKED + b"3;a\rb\r\nabc\r\n" + LAST, 400),
    "an extension with a zero": (CHUNKED + b"3;a\0b\r\nabc\r\n" + LAST, 400),
    "a signed chunk": (CHUNKED + b"+3\r\nabc\r\n" + LAST, 400),
    "a chunk whose end lacks CR": (CHUNKED + b"3\r\nabc\n" + LAST, 400),
    "a chunk whose size lacks LF": (CHUNKED + b"3\rabc\r\n" + LAST, 400),
    "a folded trailer": (CHUNKED + b"3\r\nabc\r\n0\r\na: b\r\n c\r\n\r\n", 400),
    "a coding behind the body": (CHUNKED + b"3\r\nabc\r\n0\r\ntransfer-encoding: chunked\r\n\r\n", 400),
    "a host with a path": (LINE + b"host: x/y\r\n\r\n", 400),
    "a host with a user": (LINE + b"host: x@y\r\n\r\n", 400),
    "two names in a host": (LINE + b"host: x, y\r\n\r\n", 400),
    "one host twice": (LINE + HOST + HOST + b"\r\n", 400),
    "two hosts with HTTP/1.0": (b"GET /a HTTP/1.0\r\nhost: x\r\nhost: y\r\n\r\n", 400),
    "an authority": (b"GET x:80 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a tunnel": (b"CONNECT x:80 HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    "another scheme": (b"GET ftp://x/a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a URL without a host": (b"GET http:///a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a URL with a user": (b"GET http://x@y/a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "everything, but to get it": (b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "no slash": (b"GET a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "an unknown expectation": (POST + b"expect: tea\r\ncontent-length: 1\r\n\r\n1", 417),
    "an expectation more": (POST + b"expect: 100-continue, tea\r\ncontent-length: 1\r\n\r\n1", 417),
}


async def _statuses(listener: Listener, sent: bytes) -> list[tuple[int, bytes]]:
    """Return status and body of every answer until the server ends the connection."""
    async with client(listener) as asking:
        await asking.sends(sent)
        rest = await asking.rest()
    found = re.split(rb"(?=HTTP/1\.1 [0-9]{3} )", rest)[1:]
    return [(int(each[9:12]), each.partition(b"\r\n\r\n")[2]) for each in found]


@pytest.mark.parametrize("name", SERVED)
def test_what_is_unusual_and_clear_is_served_and_so_is_what_follows(name: str) -> None:
    sent, said = SERVED[name]

    async def work(listener: Listener) -> None:
        assert await _statuses(listener, sent + AFTER) == [(200, said), (200, b"GET /after 0 1.1")]

    run(work)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_unclear_is_refused_and_what_follows_is_not_looked_at(name: str) -> None:
    sent, status = REFUSED[name]

    async def work(listener: Listener) -> None:
        assert [found for found, _ in await _statuses(listener, sent + AFTER)] == [status]

    run(work, limits=HttpLimits(linger_s=0.05))
