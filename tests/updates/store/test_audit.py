"""The audit log: a chain that shows what was changed, cut out or torn."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import StoreFailed
from gateway.updates.store.audit import (
    FIRST,
    MOST_FILE_BYTES,
    OLDER_FILES,
    AuditLog,
    Head,
    breaks,
    decode,
    encode,
    files,
)
from gateway.updates.store.failpoints import armed
from gateway.updates.store.layout import Layout
from gateway.updates.store.store import Store
from tests.updates.store.transaction import open_store


def lines(root: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (root / "audit.jsonl").read_bytes().splitlines()]


def fill(layout: Layout) -> None:
    """Write the log full: as many files as are kept, and more lines than fit."""
    log = AuditLog(layout)
    for number in range((OLDER_FILES + 2) * MOST_FILE_BYTES // (30 << 10)):
        log.append("filled", number, {f"field{n}": "x" * 500 for n in range(57)})


def test_each_line_carries_the_digest_of_the_line_before_through_a_restart(root: Path) -> None:
    for number in range(3):
        store = open_store(root)
        store.audit("committed", model="door", release=number, share=0.5)
        store.close()
    before = FIRST
    for number, line in enumerate((root / "audit.jsonl").read_bytes().splitlines(), 1):
        said = json.loads(line)
        assert (said["prev"], said["seq"], said["event"]) == (before, number, "committed")
        before = hashlib.sha256(line).hexdigest()
    store = open_store(root)
    assert store.audit_head() == Head(3, before)
    store.close()


@given(st.dictionaries(st.text(max_size=9), st.text() | st.integers() | st.floats(), max_size=4))
def test_any_field_is_one_line_and_cannot_pass_for_another(fields: dict[str, str | int | float]) -> None:
    line = encode("looked", Head(4, "ab" * 32), 7, fields)
    assert line.count(b"\n") == 1
    said = decode(line)
    assert said is not None
    assert (said["event"], said["seq"], said["prev"], said["unix_s"]) == ("looked", 5, "ab" * 32, 7)


@given(st.binary())
def test_any_bytes_are_a_line_or_none(noise: bytes) -> None:
    assert decode(noise) is None or isinstance(json.loads(noise), dict)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_changed_byte_is_found(store: Store, data: st.DataObject) -> None:
    store.layout.audit.unlink(missing_ok=True)
    log = AuditLog(store.layout)
    for number in range(4):
        log.append("looked", number, {"n": number})
    whole = bytearray(store.layout.audit.read_bytes())
    last = whole.rstrip().rfind(b"\n") + 1
    place = data.draw(st.integers(0, last - 1))  # what follows the last line, only the head can tell
    whole[place] ^= data.draw(st.integers(1, 255))
    store.layout.audit.write_bytes(whole)
    assert list(breaks(store.layout))


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_line_cut_out_is_found(store: Store, index: int) -> None:
    for number in range(4):
        store.audit("looked", n=number)
    kept = store.layout.audit.read_bytes().splitlines(keepends=True)
    del kept[index]
    store.layout.audit.write_bytes(b"".join(kept))
    found = list(breaks(store.layout))
    assert len(found) == (0 if index == 0 else 1)  # the oldest lines go by themselves, too
    if index == 0:
        assert lines(store.root)[0]["prev"] != FIRST


@pytest.mark.parametrize("tail", [b'{"half', b"\0" * 700, b"\n\n", b'{"seq":1}\n', b"[]\n"])
def test_a_torn_tail_is_cut_off_and_the_chain_goes_on(root: Path, tail: bytes) -> None:
    store = open_store(root)
    store.audit("first")
    store.close()
    with (root / "audit.jsonl").open("ab") as file:
        file.write(tail)
    store = open_store(root)
    store.audit("second")
    store.close()
    assert [said["event"] for said in lines(root)] == ["first", "second"]
    assert list(breaks(store.layout)) == []


def test_a_log_of_rubbish_is_set_aside(store: Store) -> None:
    store.layout.audit.write_bytes(b"\0" * 5000)
    store.audit("first")
    assert [said["event"] for said in lines(store.root)] == ["first"]
    assert (store.root / "audit.jsonl.bad-1").exists()


@pytest.mark.parametrize("point", ["audit.write", "audit.fsync"])
def test_a_line_that_did_not_arrive_leaves_no_trace(store: Store, point: str) -> None:
    store.audit("first")
    with armed(f"{point}:error:EIO"), pytest.raises(StoreFailed):
        store.audit("lost")
    store.audit("second")
    assert [said["event"] for said in lines(store.root)] == ["first", "second"]
    assert list(breaks(store.layout)) == []


def test_the_log_is_bounded_and_its_chain_goes_through_the_files(store: Store) -> None:
    fill(store.layout)
    held = [path for path in files(store.layout) if path.exists()]
    assert len(held) == OLDER_FILES + 1
    assert all(path.stat().st_size <= MOST_FILE_BYTES for path in held)
    assert list(breaks(store.layout)) == []
    assert lines(store.root)[-1]["seq"] == AuditLog(store.layout).head().seq
    held[2].write_bytes(held[2].read_bytes().replace(b"filled", b"forged", 1))
    assert [each.path for each in breaks(store.layout)] == [held[2]]


def test_a_log_that_was_just_rotated_goes_on(store: Store) -> None:
    store.audit("first")
    store.layout.audit.rename(store.root / "audit.jsonl.1")
    AuditLog(store.layout).append("second", 1, {})
    assert [said["seq"] for said in lines(store.root)] == [2]
    assert list(breaks(store.layout)) == []
