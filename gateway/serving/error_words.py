"""What a caller is told of an error, whatever its door: one sentence, its label, and every stage of it. Pure.

A request may fail at several stages, and in several of them for reasons of their own: a release
that did not load, so that a model was not ready. All are told, each with its label and its
facts (``model``, ``release``, ``sensor``, ``stage``, ``shape``). What only the log may say, the
caller does not read: errors that are not the gateway's own, and the words of its bugs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from gateway.errors import GatewayBug, GatewayError
from gateway.serving.error_stages import stages

LABEL_KEY: Final = "gateway-error-label"
# Its name says that the value is bytes.
WORDS_KEY: Final = "gateway-error-bin"

_MOST_DETAILS: Final = 16
_LONGEST: Final = 2000
# gRPC clients take 8 KiB of metadata with an answer: the status's words, escaped, and these, in base64.
_TRAILER_BYTES: Final = 2560
_BUG: Final = "the gateway failed where it never should; its log says more: please report it"


def error_words(error: BaseException, *more: GatewayError) -> dict[str, object]:
    """Return what a caller is told, as values that JSON can say.

    Args:
        error: What ended the request; a group of errors counts as each of them.
        more: Further errors of the same request.

    Returns:
        ``error``: one sentence; ``label``: that of the first error; ``details``: for each stage its
        ``label``, its ``error`` and its facts, at most 16 of them.
    """
    every = [each for one in (error, *more) for each in _spread(one)]
    details: list[dict[str, object]] = []
    for each in every:
        details += [told for told in map(_told, stages(each)) if told not in details]
    first = details[0]
    others = len(every) - 1
    sentence = str(first["error"])
    if others:
        sentence = f"{sentence} (and {others} more: see details)"
    return {"error": sentence, "label": first["label"], "details": details[:_MOST_DETAILS]}


def error_trailers(words: Mapping[str, object]) -> tuple[tuple[str, str | bytes], ...]:
    """Return the words as metadata that gRPC sends after an answer.

    Args:
        words: What ``error_words`` returned.

    Returns:
        ``gateway-error-label``, and ``gateway-error-bin``: the words as JSON in UTF-8; details that
        do not fit into 2.5 KiB are left out, the last ones first.
    """
    return ((LABEL_KEY, str(words["label"])), (WORDS_KEY, fitted_words(words, _TRAILER_BYTES)))


def fitted_words(words: Mapping[str, object], most_bytes: int) -> bytes:
    """Return the words as JSON in UTF-8 that is not too long.

    Args:
        words: What ``error_words`` returned, and whatever else has to be said, which is always kept.
        most_bytes: How long it may be. Details that do not fit are left out, the last ones first, and
            then the sentence: the label says it shorter.
    """
    details = words["details"]
    kept = list(details) if isinstance(details, list) else []
    while True:
        data = _json({**words, "details": kept})
        if len(data) <= most_bytes:
            return data
        if not kept:
            return _json({**words, "error": words["label"], "details": []})
        kept.pop()


def _json(words: Mapping[str, object]) -> bytes:
    return json.dumps(words, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _spread(error: BaseException) -> Iterator[GatewayError]:
    """Yield the gateway's errors in a group, or the one error; what is not ours becomes a bug of ours."""
    members = getattr(error, "exceptions", None)
    if isinstance(members, Iterable):
        ours = [each for each in _flat(error) if isinstance(each, GatewayError)]
        yield from ours or [GatewayBug(_BUG)]
    elif isinstance(error, GatewayError):
        yield error
    else:
        yield GatewayBug(_BUG)


def _flat(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors of a group and of the groups in it; a group holds no group that holds it."""
    waiting = [error]
    while waiting:
        each = waiting.pop()
        members = getattr(each, "exceptions", None)
        if isinstance(members, Iterable):
            waiting += reversed([one for one in members if isinstance(one, BaseException)])
        else:
            yield each


def _told(stage: Mapping[str, object]) -> dict[str, object]:
    label = str(stage["label"])
    is_bug = label.partition(".")[0] == GatewayBug.label
    facts = stage.get("facts")
    told: dict[str, object] = {"label": label, "error": _BUG if is_bug else _sentence(str(stage["error"]))}
    if isinstance(facts, Mapping) and not is_bug:
        told.update((_clean(str(key)), _value(value)) for key, value in facts.items())
    return told


def _value(value: object) -> object:
    return _clean(value) if isinstance(value, str) else value


def _sentence(text: str) -> str:
    return _clean(" ".join(text.split()))


def _clean(text: str) -> str:
    """Return a text that every encoder takes and that is not too long."""
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return text.encode("utf-8", "replace").decode()
