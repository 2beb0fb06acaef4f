"""Shared pages between the front end and a worker."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.inference.pages import Page, ReadOnlyPage


@pytest.fixture
def page() -> Iterator[Page]:
    made = Page("test")
    yield made
    made.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    batches=st.lists(st.lists(st.binary(max_size=300_000), min_size=1, max_size=4), min_size=1, max_size=4)
)
def test_a_reader_sees_every_payload_of_every_batch(page: Page, batches: list[list[bytes]]) -> None:
    fd = page.open_for_reading()
    try:
        reader = ReadOnlyPage(fd)
        for payloads in batches:
            offsets = page.write(payloads)
            view = reader.view(page.size_bytes)
            got = [bytes(view[at : at + len(p)]) for at, p in zip(offsets, payloads, strict=True)]
            assert got == payloads
            assert all(at % 64 == 0 for at in offsets)
        del reader
    finally:
        os.close(fd)


def test_a_worker_cannot_map_the_page_writable(page: Page) -> None:
    page.write([b"frame"])
    fd = page.open_for_reading()
    try:
        with pytest.raises(PermissionError):
            mmap.mmap(fd, page.size_bytes)
        with pytest.raises(OSError):
            os.write(fd, b"x")
    finally:
        os.close(fd)


def test_a_page_does_not_grow_for_batches_that_fit(page: Page) -> None:
    page.write([b"x" * 100_000])
    size = page.size_bytes
    for _ in range(10):
        page.write([b"y" * 90_000])
    assert page.size_bytes == size
