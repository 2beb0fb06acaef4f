"""The states that a power cut can leave are all tried, each once, and built as they were recorded."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.faults.outcome import spread
from tests.faults.recorder import FLUSH, MARK, WRITE, Orders
from tests.faults.recording import Event
from tests.faults.replay import ALL, BLOCK_BYTES, NONE, SOME, TORN, Rebuilder, State, copy_sparse, states

SECTOR = 512


def write(place: int, letter: bytes) -> Event:
    return Event(WRITE, place * SECTOR, letter * SECTOR)


FLUSHED = Event(FLUSH, 0, b"")
LOG = (write(0, b"a"), FLUSHED, write(1, b"b"), Event(MARK, 0, b"record 1\n"), write(0, b"c"), FLUSHED)


def built(folder: Path, state: State) -> bytes:
    base = folder / "base"
    base.write_bytes(b"." * 2 * SECTOR)
    image = Rebuilder(base, LOG, folder, seed=1).image(state)
    return bytes(image.read_bytes()[:: SECTOR // 2][::2])


def test_every_write_is_cut_with_all_some_torn_and_none_of_what_was_not_flushed() -> None:
    found = states(LOG)
    assert {each.kept for each in found if each.upto == 3} == {ALL, SOME, TORN, NONE}
    # After a mark nothing has changed but what is acknowledged, and only what is flushed must bear it.
    assert {each.kept for each in found if each.upto == 4} == {NONE}
    assert [each.upto for each in found] == sorted(each.upto for each in found)


def test_a_disk_holds_what_was_flushed_and_as_much_of_the_rest_as_the_state_says(tmp_path: Path) -> None:
    assert built(tmp_path, State(1, NONE)) == b".."
    assert built(tmp_path, State(1, ALL)) == b"a."
    assert built(tmp_path, State(5, NONE)) == b"a."
    assert built(tmp_path, State(5, ALL)) == b"cb"
    assert built(tmp_path, State(6, NONE)) == b"cb"


def test_the_same_seed_tears_the_same_blocks(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.write_bytes(b"." * 64 * BLOCK_BYTES)
    log = (Event(WRITE, 0, b"x" * 64 * BLOCK_BYTES),)
    images = [Rebuilder(base, log, tmp_path, seed).image(State(1, TORN)).read_bytes() for seed in (1, 1, 2)]
    assert images[0] == images[1] != images[2]
    assert 0 < images[0].count(b"x" * BLOCK_BYTES) < 64


def test_a_copy_without_holes_has_the_same_bytes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.truncate(1 << 20)
        file.seek(300_000)
        file.write(b"in the middle")
    assert copy_sparse(source, tmp_path / "copy").read_bytes() == source.read_bytes()


@given(st.integers(0, 300), st.integers(0, 50), st.integers(0, 1 << 30))
def test_a_spread_is_in_order_and_no_more_than_was_asked_for(count: int, most: int, seed: int) -> None:
    chosen = spread(range(count), most, seed)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == (min(count, most) if most else count)


def test_the_write_that_was_ordered_fails_and_no_other() -> None:
    orders = Orders()
    orders.take(b"2")
    assert [orders.fails(b"x"), orders.fails(b"x"), orders.fails(b"x")] == [False, True, False]
    orders.take(b"=" + b"needle".hex().encode())
    page = b"." * 4096
    assert [orders.fails(page), orders.fails(page + b"needle"), orders.fails(page + b"needle")] == [
        False,
        True,
        False,
    ]
