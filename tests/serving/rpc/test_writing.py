"""What is written piece by piece is what a message of the protocol would say."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.serving.call import InferReply, OutputTensor
from gateway.serving.rpc import protocol
from gateway.serving.rpc.writing import response, stream_error, stream_response

names = st.text(max_size=8)
outputs = st.lists(
    st.builds(
        OutputTensor,
        names,
        st.sampled_from(["FP32", "BYTES"]),
        st.lists(st.integers(0, 2**40), max_size=3).map(tuple),
        st.binary(max_size=300) | st.binary(max_size=300).map(lambda data: memoryview(data)),  # noqa: PLW0108,
    ),
    max_size=3,
).map(tuple)
parameters = st.dictionaries(
    names, st.booleans() | st.integers(-(2**70), 2**70) | names | st.floats(allow_nan=False), max_size=3
)
replies = st.builds(InferReply, names, names, names, outputs, parameters)


def value_of(parameter: Any) -> Any:
    """Return what a parameter says."""
    return getattr(parameter, parameter.WhichOneof("parameter_choice"))


@given(replies)
def test_an_answer_says_everything(reply: InferReply) -> None:
    message = protocol.message("inference.ModelInferResponse").FromString(response(reply))
    assert (message.model_name, message.model_version, message.id) == (reply.model, reply.version, reply.id)
    assert [(each.name, each.datatype, tuple(each.shape)) for each in message.outputs] == [
        (each.name, each.datatype, each.shape) for each in reply.outputs
    ]
    assert list(message.raw_output_contents) == [bytes(each.data) for each in reply.outputs]
    for name, value in reply.parameters.items():
        fits = not isinstance(value, int) or -(2**63) <= value < 2**64
        assert value_of(message.parameters[name]) == (value if fits else str(value))


@given(replies)
def test_an_answer_of_a_stream_is_the_same_and_final(reply: InferReply) -> None:
    message = protocol.message("inference.ModelStreamInferResponse").FromString(stream_response(reply))
    expected = protocol.message("inference.ModelInferResponse").FromString(response(reply))
    if "triton_final_response" not in reply.parameters:
        assert message.infer_response.parameters["triton_final_response"].bool_param is True
        del message.infer_response.parameters["triton_final_response"]
    assert message.error_message == ""
    assert message.infer_response == expected


def test_an_output_that_went_elsewhere_leaves_its_place_empty() -> None:
    tensors = tuple(OutputTensor(name, "UINT8", (1,), b"x") for name in ("a", "b"))
    data = response(InferReply("m", "1", "", tensors), {"a"})
    assert list(protocol.message("inference.ModelInferResponse").FromString(data).raw_output_contents) == [
        b"",
        b"x",
    ]


def test_the_length_of_any_view_counts_bytes() -> None:
    array = np.arange(100, dtype=np.float64)
    data = response(InferReply("m", "1", "", (OutputTensor("a", "FP64", (100,), array.data),)))
    message = protocol.message("inference.ModelInferResponse").FromString(data)
    assert message.raw_output_contents[0] == array.tobytes()


def test_an_error_of_a_stream_names_its_request() -> None:
    message = protocol.message("inference.ModelStreamInferResponse").FromString(stream_error("no", "7"))
    assert (message.error_message, message.infer_response.id) == ("no", "7")
