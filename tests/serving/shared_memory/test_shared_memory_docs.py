"""The page on shared memory: its example is executed, and what it says of the protocol is so."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

from gateway.serving.shared_memory.door_connection import METHODS, DoorLimits
from gateway.serving.shared_memory.door_words import MAX_PACKET_BYTES
from gateway.serving.shared_memory.names import RESERVED
from tests.serving.shared_memory.small_models import Bench, serve

PAGE = (Path(__file__).parents[3] / "docs/shared-memory.md").read_text()


def block(language: str) -> str:
    """Return the page's example in this language."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_example_prints_what_the_page_says() -> None:
    def client(path: str) -> str:
        said = io.StringIO()
        code = block("python").replace("/run/gateway/memory", path)
        with contextlib.redirect_stdout(said):
            exec(compile(code, "docs/shared-memory.md", "exec"), {})  # noqa: S102 - our own page
        return said.getvalue()

    async def run(bench: Bench) -> None:
        assert await bench.ask(client) == block("text")

    serve(run)


def test_the_page_names_every_word_limit_and_reserved_name() -> None:
    for word in (*METHODS, "cancel", *RESERVED):
        assert f"`{word}`" in PAGE
    assert f"{MAX_PACKET_BYTES:,} bytes" in PAGE
    limits = DoorLimits()
    assert f"{limits.connections} clients, and {limits.calls} calls of each" in PAGE
    assert f"answers for {limits.answer_s:.0f} seconds" in PAGE
