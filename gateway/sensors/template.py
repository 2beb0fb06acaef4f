"""Value templates of Home Assistant announcements: a small, safe part of Jinja.

``{{ value_json.imu.x[0]['raw'] | float | round(2) }}`` or ``{{ value }}``: one
root, keys and indices, then filters. A template comes from whoever can publish,
so it is read here and never run: everything else of Jinja is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from gateway.errors import Malformed, MalformedAnnouncement
from gateway.sensors.document import parse_json

MAX_TEMPLATE = 512
_MAX_PARTS = 32

Scalar = str | int | float | bool | None
Literal = str | int | float | bool | None

_TOKEN = re.compile(
    r"\s*(?:(?P<number>-?\d{1,15}(?:\.\d{1,15})?)|(?P<name>[A-Za-z_]\w{0,63})"
    r"|'(?P<single>[^'\\]{0,256})'|\"(?P<double>[^\"\\]{0,256})\"|(?P<sign>[.\[\]|(),]))",
    re.ASCII,
)
_WRAPPING = re.compile(r"\s*\{\{-?(.*?)-?\}\}\s*", re.DOTALL)
_CONSTANTS: dict[str, Literal] = {
    "true": True,
    "True": True,
    "false": False,
    "False": False,
    "none": None,
    "None": None,
}


@dataclass(frozen=True, slots=True)
class Missing:
    """What a path leads to when the message does not hold it."""


_MISSING = Missing()
_Found = Scalar | Missing


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter after a ``|``.

    Attributes:
        name: A key of ``FILTERS``.
        arguments: Literals between its parentheses.
    """

    name: str
    arguments: tuple[Literal, ...] = ()


@dataclass(frozen=True, slots=True)
class Template:
    """A template that was read and found harmless.

    Attributes:
        whole: The payload itself is the value; else a path into its JSON is.
        path: Keys and indices.
        filters: Applied in order.
    """

    whole: bool
    path: tuple[str | int, ...] = ()
    filters: tuple[Filter, ...] = ()

    def evaluate(self, payload: bytes) -> Scalar:
        """Return the value in ``payload``.

        Raises:
            Malformed: The payload does not hold it, or a filter cannot take it.
        """
        found: _Found = self._root(payload)
        for step in self.filters:
            try:
                found = FILTERS[step.name](found, step.arguments)
            except (ValueError, TypeError, OverflowError):
                raise Malformed(f"template: {step.name} cannot take the value", stage="template") from None
        if isinstance(found, Missing):
            raise Malformed("template: the message does not hold the value", stage="template")
        return found

    def text(self, payload: bytes) -> str:
        """Return the value as the text that Jinja would write.

        Raises:
            Malformed: As ``evaluate``.
        """
        return str(self.evaluate(payload))

    def _root(self, payload: bytes) -> _Found:
        try:
            if self.whole:
                return payload.decode("utf-8")
            value = parse_json(payload)
        except ValueError:
            raise Malformed(
                "template: the message is not what the template reads", stage="template"
            ) from None
        for key in self.path:
            if isinstance(value, dict) and isinstance(key, str) and key in value:
                value = value[key]
                continue
            if not isinstance(value, list) or not isinstance(key, int) or not -len(value) <= key < len(value):
                return _MISSING
            value = value[key]
        if value is None or isinstance(value, str | int | float):
            return value
        raise Malformed("template: the value is an object or a list", stage="template")


def parse_template(source: str) -> Template:
    """Read a template.

    Raises:
        MalformedAnnouncement: It is too long, or not in the part that is understood.
    """
    if len(source) > MAX_TEMPLATE:
        raise MalformedAnnouncement(f"template: longer than {MAX_TEMPLATE} characters")
    inner = _WRAPPING.fullmatch(source)
    if inner is None:
        raise _not_understood(source)
    return _Parser(inner.group(1), source).template()


def _not_understood(source: str) -> MalformedAnnouncement:
    return MalformedAnnouncement(
        f"template {source[:80]!r} is not understood: use {{{{ value_json.key | float }}}} or {{{{ value }}}}"
    )


class _Parser:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, expression: str, source: str) -> None:
        self._source = source
        self._tokens: list[tuple[str, str]] = []
        self._next = 0
        expression = expression.rstrip()
        position = 0
        while position < len(expression):
            token = _TOKEN.match(expression, position)
            if token is None or token.lastgroup is None:
                raise _not_understood(source)
            kind = "string" if token.lastgroup in ("single", "double") else token.lastgroup
            self._tokens.append((kind, token.group(token.lastgroup)))
            position = token.end()

    def template(self) -> Template:
        root = self._take("name")
        if root not in ("value", "value_json"):
            raise _not_understood(self._source)
        path: list[str | int] = []
        filters: list[Filter] = []
        while root == "value_json" and self._peek() in (".", "["):
            path.append(self._key())
        while self._next < len(self._tokens):
            self._sign("|")
            filters.append(self._filter())
        if len(path) > _MAX_PARTS or len(filters) > _MAX_PARTS:
            raise _not_understood(self._source)
        return Template(root == "value", tuple(path), tuple(filters))

    def _key(self) -> str | int:
        if self._peek() == ".":
            self._sign(".")
            return self._take("name")
        self._sign("[")
        key = self._literal()
        if isinstance(key, bool) or not isinstance(key, str | int):
            raise _not_understood(self._source)
        self._sign("]")
        return key

    def _filter(self) -> Filter:
        name = self._take("name")
        arguments: list[Literal] = []
        if self._peek() == "(":
            self._sign("(")
            while self._peek() != ")":
                arguments.append(self._literal())
                if self._peek() != ")":
                    self._sign(",")
            self._sign(")")
        if name not in FILTERS or len(arguments) > 1:
            raise _not_understood(self._source)
        return Filter(name, tuple(arguments))

    def _literal(self) -> Literal:
        kind, word = self._token()
        if kind == "string":
            return word
        if kind == "number":
            return float(word) if "." in word else int(word)
        if kind == "name" and word in _CONSTANTS:
            return _CONSTANTS[word]
        raise _not_understood(self._source)

    def _token(self) -> tuple[str, str]:
        if self._next >= len(self._tokens):
            raise _not_understood(self._source)
        self._next += 1
        return self._tokens[self._next - 1]

    def _peek(self) -> str:
        if self._next >= len(self._tokens):
            return ""
        kind, word = self._tokens[self._next]
        return word if kind == "sign" else ""

    def _take(self, kind: str) -> str:
        found, word = self._token()
        if found != kind:
            raise _not_understood(self._source)
        return word

    def _sign(self, sign: str) -> None:
        if self._token() != ("sign", sign):
            raise _not_understood(self._source)


def _number(found: _Found, arguments: tuple[Literal, ...]) -> _Found:
    try:
        return float(_present(found))
    except (ValueError, TypeError, OverflowError):
        if arguments:
            return arguments[0]
        raise


def _whole(found: _Found, arguments: tuple[Literal, ...]) -> _Found:
    try:
        return int(float(_present(found)))
    except (ValueError, TypeError, OverflowError):
        if arguments:
            return arguments[0]
        raise


def _rounded(found: _Found, arguments: tuple[Literal, ...]) -> _Found:
    digits = arguments[0] if arguments else 0
    if isinstance(digits, bool) or not isinstance(digits, int) or not 0 <= digits <= 15:
        raise ValueError("digits")
    return round(float(_present(found)), digits)


def _default(found: _Found, arguments: tuple[Literal, ...]) -> _Found:
    if not isinstance(found, Missing):
        return found
    return arguments[0] if arguments else ""


def _defined(found: _Found, _arguments: tuple[Literal, ...]) -> _Found:
    return _present(found)


def _lower(found: _Found, _arguments: tuple[Literal, ...]) -> _Found:
    return str(_present(found)).lower()


def _upper(found: _Found, _arguments: tuple[Literal, ...]) -> _Found:
    return str(_present(found)).upper()


def _present(found: _Found) -> str | int | float | bool:
    if found is None or isinstance(found, Missing):
        raise ValueError("missing")
    return found


FILTERS: dict[str, Callable[[_Found, tuple[Literal, ...]], _Found]] = {
    "float": _number,
    "int": _whole,
    "round": _rounded,
    "default": _default,
    "is_defined": _defined,
    "lower": _lower,
    "upper": _upper,
}
