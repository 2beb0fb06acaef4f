"""One number out of a message that needs a template or a table of words, as JSON for the decoder."""

from __future__ import annotations

import math

from gateway.errors import Malformed, NotFinite, TooLarge
from gateway.sensors.sensor import Reading

MAX_MESSAGE_BYTES = 65_536


def number_of(reading: Reading, payload: bytes) -> bytes:
    """Return the number in ``payload`` as a JSON number.

    Raises:
        Malformed: The message does not hold it, or it is no number.
        NotFinite: It is NaN or infinite.
        TooLarge: The message is too long to be read in the front end.
    """
    if len(payload) > MAX_MESSAGE_BYTES:
        raise TooLarge(
            f"message of {len(payload)} bytes: a reading is taken from {MAX_MESSAGE_BYTES} at most"
        )
    if reading.template is not None:
        value = reading.template.evaluate(payload)
    else:
        try:
            value = payload.decode("utf-8")
        except UnicodeDecodeError:
            raise Malformed("reading: the message is no text") from None
    text = str(value)
    for word, worth in reading.words:
        if text == word:
            return repr(worth).encode()
    try:
        worth = float(value) if value is not None else float("nan")
    except (ValueError, OverflowError):
        raise Malformed(f"reading: {text[:40]!r} is no number") from None
    if not math.isfinite(worth):
        raise NotFinite("reading: the number is not finite")
    return repr(worth).encode()
