"""The compiled protocol is what its sources say, what clients speak, and nobody else's business."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.serving.rpc import protocol
from tests.rules.tree import ROOT

# Known to us alone: the base protocol has it, the clients' copy of it has not.
OURS_ALONE = {("ModelMetadataResponse", "properties")}


def test_the_compiled_file_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "scripts/make-protocol"), "--check"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def fields(descriptor: Any) -> dict[str, tuple[Any, ...]]:
    """Return a message's fields: number, type, how often, which message or enum, in which choice."""
    return {
        field.name: (
            field.number,
            field.type,
            field.is_repeated,
            field.message_type.full_name if field.message_type else None,
            field.enum_type.full_name if field.enum_type else None,
            field.containing_oneof.name if field.containing_oneof else None,
        )
        for field in descriptor.fields
    }


def messages(descriptors: Any) -> Iterator[Any]:
    """Yield messages and those inside of them."""
    for each in descriptors:
        yield each
        yield from messages(each.nested_types)


def test_every_field_has_the_number_and_the_type_that_clients_know() -> None:
    from tritonclient.grpc import service_pb2

    theirs = {
        each.full_name: each for each in messages(service_pb2.DESCRIPTOR.message_types_by_name.values())
    }
    ours = {
        each.full_name: each
        for each in messages(protocol.pool().FindFileByName("inference.proto").message_types_by_name.values())
    }
    assert set(theirs) <= set(ours)
    for name, descriptor in theirs.items():
        said = fields(ours[name])
        for extra in [key for key in said if (descriptor.name, key) in OURS_ALONE]:
            del said[extra]
        known = fields(descriptor)
        assert {key: said[key] for key in known} == known, name
        assert {key: number for key, (number, *_) in said.items() if key not in known} == {}, name


def test_what_is_said_of_a_configuration_is_said_as_clients_read_it() -> None:
    from tritonclient.grpc import model_config_pb2

    theirs = {
        each.full_name: each for each in messages(model_config_pb2.DESCRIPTOR.message_types_by_name.values())
    }
    found = protocol.pool().FindFileByName("model_config.proto")
    for each in messages(found.message_types_by_name.values()):
        known = fields(theirs[each.full_name])
        # Newer words than the installed client's are read by it as unknown fields.
        said = {name: facts for name, facts in fields(each).items() if name in known}
        assert said == {name: known[name] for name in said}, each.full_name
        newer = {facts[0] for name, facts in fields(each).items() if name not in known}
        assert not newer & {facts[0] for facts in known.values()}, each.full_name
    for name, enum in found.enum_types_by_name.items():
        theirs_of_it = model_config_pb2.DESCRIPTOR.enum_types_by_name[name]
        assert {value.name: value.number for value in enum.values} == {
            value.name: value.number for value in theirs_of_it.values
        }


def test_every_method_is_there_with_the_messages_that_clients_send() -> None:
    from tritonclient.grpc import service_pb2

    theirs = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    ours = protocol.pool().FindServiceByName(protocol.INFERENCE)
    assert [
        (
            each.name,
            each.input_type.full_name,
            each.output_type.full_name,
            each.client_streaming,
            each.server_streaming,
        )
        for each in ours.methods
    ] == [
        (
            each.name,
            each.input_type.full_name,
            each.output_type.full_name,
            each.client_streaming,
            each.server_streaming,
        )
        for each in theirs.methods
    ]
    assert len(ours.methods) == 20


@pytest.mark.parametrize(
    ("file", "module"),
    [
        ("health.proto", "grpc_health.v1.health_pb2"),
        ("reflection_draft.proto", "grpc_reflection.v1alpha.reflection_pb2"),
    ],
)
def test_health_and_reflection_are_grpcs_own(file: str, module: str) -> None:
    import importlib

    theirs = importlib.import_module(module).DESCRIPTOR
    ours = protocol.pool().FindFileByName(file)
    for name, descriptor in theirs.message_types_by_name.items():
        assert fields(ours.message_types_by_name[name]) == fields(descriptor)


def test_reflection_is_the_same_under_both_of_its_names() -> None:
    both = [protocol.pool().FindFileByName(name) for name in ("reflection.proto", "reflection_draft.proto")]
    names = [sorted(each.message_types_by_name) for each in both]
    assert names[0] == names[1]
    assert protocol.methods(protocol.REFLECTION).keys() == protocol.methods(protocol.REFLECTION_DRAFT).keys()


@pytest.mark.parametrize("ours_first", [True, False])
def test_clients_of_the_same_protocol_can_be_imported_in_the_same_process(ours_first: bool) -> None:
    ours = "from gateway.serving.rpc import protocol; protocol.methods(protocol.INFERENCE)"
    # The last two register a file of other content under the same names, as other servers' packages do.
    theirs = "import tritonclient.grpc, grpc_health.v1.health_pb2, grpc_reflection.v1alpha.reflection_pb2"
    clash = (
        "from google.protobuf import descriptor_pb2, descriptor_pool\n"
        "made = descriptor_pb2.FileDescriptorProto(name='inference.proto', package='inference')\n"
        "made.message_type.add(name='Foreign')\n"
        "descriptor_pool.Default().AddSerializedFile(made.SerializeToString())\n"
    )
    lines = [ours, theirs, clash] if ours_first else [theirs, clash, ours]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, cwd=ROOT)


def test_the_pool_is_private() -> None:
    from google.protobuf import descriptor_pool

    assert protocol.pool() is not descriptor_pool.Default()
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindServiceByName(protocol.RUNTIME)
