"""Declared shapes against what really came: fills the one open axis and checks the bounds."""

from __future__ import annotations

import math

from gateway.errors import TooLarge, WrongShape
from gateway.frames.limits import PayloadLimits

MAX_AXES = 8


def resolve_shape(shape: tuple[int, ...], elements: int) -> tuple[int, ...]:
    """Return ``shape`` with its open axis (-1) filled for so many elements.

    Raises:
        WrongShape: A size is no size, two axes are open, or the elements do not fit.
    """
    fixed = [size for size in shape if size != -1]
    if len(shape) > MAX_AXES or len(shape) - len(fixed) > 1 or any(size < 1 for size in fixed):
        raise WrongShape(f"shape {shape[:16]} is not up to {MAX_AXES} sizes above 0, one of them perhaps -1")
    known = math.prod(fixed)
    if len(fixed) < len(shape):
        if elements < known or elements % known:
            raise WrongShape(f"{elements} elements do not fill shape {shape}")
        return tuple(elements // known if size == -1 else size for size in shape)
    if known != elements:
        raise WrongShape(f"shape {shape} holds {known} elements, the payload {elements}")
    return shape


def check_elements(what: str, elements: int, limits: PayloadLimits) -> None:
    """Refuse more elements than allowed, and none at all.

    Raises:
        TooLarge: More than ``max_elements``.
        WrongShape: There are none.
    """
    if elements > limits.max_elements:
        raise TooLarge(f"{what}: {elements} elements are more than max_elements {limits.max_elements}")
    if elements < 1:
        raise WrongShape(f"{what}: holds no elements")
