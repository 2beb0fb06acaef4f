"""Words are found wherever they stand, also across the pieces in which a file is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.inference.engines.word_search import holds_any


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.binary(max_size=60),
    st.lists(st.sampled_from([b"a", b"ab", b"location", b"\0\0"]), min_size=1, max_size=3),
    st.integers(1, 20),
)
def test_any_file_read_in_any_pieces_holds_what_it_holds(
    tmp_path: Path, body: bytes, words: list[bytes], piece_bytes: int
) -> None:
    path = tmp_path / "file"
    for text in (body, body.replace(b"\0", b"location"), b"ab" + body + b"a"):
        path.write_bytes(text)
        assert holds_any(path, words, piece_bytes) == any(word in text for word in words)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="absent"):
        holds_any(tmp_path / "absent", [b"word"])
