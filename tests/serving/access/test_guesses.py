"""Who tries one token after another is slowed; who repeats an old one is not, nor are others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.serving.access.credentials import digest_of
from gateway.serving.access.guesses import FREE, PERIOD_S, Guesses


def tries(guesses: Guesses, address: str, tokens: list[str], now_s: float) -> int:
    """Try wrong tokens; return how many of them were looked at."""
    looked = 0
    for token in tokens:
        if guesses.wait_s(address, digest_of(token), now_s) == 0.0:
            guesses.was_wrong(address, digest_of(token), now_s)
            looked += 1
    return looked


def test_after_ten_guesses_one_more_is_looked_at_every_five_seconds() -> None:
    guesses = Guesses()
    words = [f"guess-{number}" for number in range(100)]
    assert tries(guesses, "192.0.2.1", words, 0.0) == FREE
    assert guesses.wait_s("192.0.2.1", digest_of("right"), 0.0) == PERIOD_S
    assert guesses.wait_s("192.0.2.2", digest_of("right"), 0.0) == 0.0
    assert tries(guesses, "192.0.2.1", [f"later-{number}" for number in range(9)], PERIOD_S) == 1


def test_an_old_token_that_is_repeated_is_one_guess() -> None:
    guesses = Guesses()
    assert tries(guesses, "127.0.0.1", ["old", "older"] * 1000, 0.0) == 2000
    assert guesses.wait_s("127.0.0.1", digest_of("right"), 0.0) == 0.0


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), max_size=300))
def test_memory_is_bounded_whoever_guesses(attempts: list[tuple[int, int]]) -> None:
    guesses = Guesses(most_addresses=8)
    for index, (address, word) in enumerate(attempts):
        tries(guesses, f"192.0.2.{address}", [f"word-{word}"], index / 10)
        assert len(guesses) <= 8


@given(st.lists(st.integers(0, 10**6), unique=True, min_size=50, max_size=150), st.integers(1, 50))
def test_no_address_gets_more_guesses_than_that(words: list[int], pace: int) -> None:
    guesses = Guesses()
    looked = sum(tries(guesses, "192.0.2.1", [str(word)], index / pace) for index, word in enumerate(words))
    assert looked <= FREE + len(words) / pace / PERIOD_S + 1
