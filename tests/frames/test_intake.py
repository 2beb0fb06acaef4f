"""Decoded payloads as what a pipeline takes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from gateway.errors import RequestRefused, UnknownMedia, WrongDtype, WrongShape
from gateway.frames.intake import taken_as
from gateway.frames.specs import KIND_NAMES, AudioSpec, ImageSpec, NumbersSpec, TensorsSpec, ValueSpec
from gateway.frames.values import Audio, Image, Numbers, Tensors, Value
from gateway.tensor import Array
from tests.frames.made import picture

RAW = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)

values: st.SearchStrategy[Value] = st.one_of(
    st.just(picture(2, 3)),
    st.just(Audio(np.zeros(4, np.float32), 8000)),
    st.just(Numbers(np.zeros((4, 2), np.float32))),
    st.builds(
        Tensors,
        st.dictionaries(
            st.sampled_from(["", "x"]),
            st.sampled_from(["uint8", "int16", "float64", "bool"]).flatmap(
                lambda dtype: arrays(dtype, array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3))
            ),
            max_size=2,
        ),
        st.sampled_from(["", "HWC", "CHW", "NCHW", "NHWC", "NHW"]),
    ),
)


@given(st.sampled_from(list(KIND_NAMES)), values)
def test_any_value_is_taken_in_the_right_kind_or_refused(kind: type[ValueSpec], value: Value) -> None:
    wanted = {ImageSpec: Image, AudioSpec: Audio, NumbersSpec: Numbers, TensorsSpec: Tensors}[kind]
    try:
        taken = taken_as(kind, value)
    except RequestRefused:
        return
    assert isinstance(taken, wanted)
    if isinstance(taken, Image):
        assert taken.pixels.dtype == np.uint8
        assert taken.pixels.shape[:2] == (taken.source_height, taken.source_width)
        assert taken.pixels.shape[2] in {1, 3}
    if isinstance(taken, Numbers):
        assert taken.values.ndim == 2
        assert taken.values.dtype == np.float32


@pytest.mark.parametrize(
    ("array", "layout"),
    [
        (RAW, ""),
        (RAW[np.newaxis], "NHWC"),
        (np.moveaxis(RAW, 2, 0), "CHW"),
        (np.moveaxis(RAW, 2, 0)[np.newaxis], "NCHW"),
    ],
)
def test_raw_pixels_in_any_layout_are_a_picture(array: Array, layout: str) -> None:
    image = taken_as(ImageSpec, Tensors({"": array}, layout))
    assert isinstance(image, Image)
    np.testing.assert_array_equal(RAW, image.pixels)


def test_what_is_no_picture_is_refused_with_its_reason() -> None:
    with pytest.raises(WrongDtype, match="uint8, not float32"):
        taken_as(ImageSpec, Tensors({"": RAW.astype(np.float32)}))
    with pytest.raises(WrongShape, match="no picture"):
        taken_as(ImageSpec, Tensors({"": RAW.reshape(4, 3, 2)}))
    with pytest.raises(WrongShape, match="2 tensors, one is taken"):
        taken_as(ImageSpec, Tensors({"a": RAW, "b": RAW}))
    with pytest.raises(UnknownMedia, match="takes images, the payload is numbers"):
        taken_as(ImageSpec, Numbers(np.zeros((1, 1), np.float32)))
