"""Scalars of a document to typed values, by the declared type and the rules of YAML 1.2.

A plain ``no`` is a text, never a truth value; ``1.10`` keeps its zero where a
text is declared; ``010`` is refused where a number is, because YAML 1.1 and 1.2
read it differently.
"""

from __future__ import annotations

import math
import re

from gateway.configuration.document import Scalar

PlainValue = bool | int | float | str | None

MAX_TEXT = 4096

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_OLD_BOOLS = {"yes": "true", "y": "true", "on": "true", "no": "false", "n": "false", "off": "false"}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,29})")
_PREFIXED_INT = re.compile(r"0x[0-9a-fA-F]{1,24}|0o[0-7]{1,30}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,60}|[0-9]{1,60}(\.[0-9]{0,60})?)([eE][-+]?[0-9]{1,4})?")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


class WrongType(Exception):
    """A scalar is not of the declared type; the message says what was expected and what is there."""


def is_null(scalar: Scalar) -> bool:
    """Return whether nothing, ``~`` or ``null`` is written."""
    return scalar.plain and scalar.text in _NULL


def shown(text: str) -> str:
    """Return a text quoted and cut for a message."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def as_text(scalar: Scalar) -> str:
    """Return the characters as written.

    Raises:
        WrongType: It is null, holds control characters, or more than ``MAX_TEXT`` characters.
    """
    if is_null(scalar):
        raise WrongType('needs a text; write "" for an empty one')
    if len(scalar.text) > MAX_TEXT:
        raise WrongType(f"holds {len(scalar.text)} characters; at most {MAX_TEXT} are taken")
    control = _CONTROL.search(scalar.text)
    if control is not None:
        raise WrongType(f"holds the control character U+{ord(control.group()):04X}")
    return scalar.text


def as_bool(scalar: Scalar) -> bool:
    """Return a truth value; raises ``WrongType``."""
    if scalar.plain and scalar.text in _TRUE:
        return True
    if scalar.plain and scalar.text in _FALSE:
        return False
    meant = _OLD_BOOLS.get(scalar.text.lower())
    if meant is not None:
        raise WrongType(f"needs true or false, not {shown(scalar.text)}; write {meant}")
    raise WrongType(f"needs true or false, not {_found(scalar)}")


def as_int(scalar: Scalar) -> int:
    """Return a whole number; raises ``WrongType``."""
    text = scalar.text
    if scalar.plain and _INT.fullmatch(text):
        return int(text)
    if scalar.plain and _PREFIXED_INT.fullmatch(text):
        return int(text, 0)
    raise WrongType(f"needs a whole number, not {_found(scalar)}{_number_hint(text)}")


def as_float(scalar: Scalar) -> float:
    """Return a finite number; raises ``WrongType``."""
    text = scalar.text
    if scalar.plain and _FLOAT.fullmatch(text) and not re.match(r"[-+]?0[0-9]", text):
        value = float(text)
        if math.isfinite(value):
            return value
        raise WrongType(f"needs a finite number, not {shown(text)}")
    if scalar.plain and _NOT_FINITE.fullmatch(text):
        raise WrongType(f"needs a finite number, not {shown(text)}")
    raise WrongType(f"needs a number, not {_found(scalar)}{_number_hint(text)}")


def as_plain(scalar: Scalar) -> bool | int | float | str | None:
    """Return the value that YAML 1.2 gives an undeclared scalar; raises ``WrongType`` if not finite."""
    text = scalar.text
    if not scalar.plain:
        return text
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INT.fullmatch(text) or _PREFIXED_INT.fullmatch(text):
        return as_int(scalar)
    if _FLOAT.fullmatch(text) or _NOT_FINITE.fullmatch(text):
        return as_float(scalar)
    return text


def _found(scalar: Scalar) -> str:
    if is_null(scalar):
        return "nothing"
    return shown(scalar.text) if scalar.plain else f"the text {shown(scalar.text)}"


def _number_hint(text: str) -> str:
    bare = text.replace("_", "").replace(",", "")
    if not (_INT.fullmatch(bare) or _FLOAT.fullmatch(bare)):
        return ""
    if bare != text:
        return f"; write {bare}"
    if re.fullmatch(r"[-+]?0[0-9]+", text):
        return "; leading zeros mean different numbers to different readers, write it without"
    return "" if "." in text or "e" in text.lower() else "; write it without quotes"
