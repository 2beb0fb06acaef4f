"""The door itself: where it listens, whom it lets in, and what one client may cost."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.configuration.secret import Secret
from gateway.configuration.serving_settings import AccessSettings, ServingSettings, TlsSettings, TokenSettings
from gateway.serving.rpc.options import server_options
from tests.mqtt.certificates import Certificates, make_certificates
from tests.rules.tree import ROOT
from tests.serving.rpc.door import open_door
from tests.serving.rpc.raw_client import client_of, word
from tests.serving.rpc.requests import add, echo


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


async def status_of(calling: Any) -> tuple[str, str, Any]:
    """Return how a call failed: status, words, label."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await calling
    error = caught.value
    return error.code().name, error.details() or "", word(error, "gateway-error-label")


def test_an_address_that_is_taken_is_an_error_of_the_system() -> None:
    async def run() -> None:
        async with open_door() as door:
            with pytest.raises(OSError, match=r"cannot listen at 127\.0\.0\.1:\d+: Address already in use"):
                async with open_door(listen=door.address):
                    pass
        with pytest.raises(OSError, match=r"cannot listen at 192\.0\.2\.1:7"):
            async with open_door(listen="192.0.2.1:7"):
                pass
        with pytest.raises(ValueError, match="handed over"):
            async with open_door(listen="fd://3"):
                pass

    asyncio.run(run())


def test_a_path_serves_its_owner_and_group_and_is_gone_afterwards(tmp_path: Path) -> None:
    async def run() -> None:
        path = tmp_path / "door"
        async with open_door(listen=f"unix:{path}") as door:
            assert door.address == f"unix:{path}"
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            async with client_of(door.address) as client:
                await client.call("ModelInfer", echo())
                await client.made("RepositoryModelLoad", model_name="add")
                assert door.models.calls[0].caller == "unix"
            with pytest.raises(OSError, match="somebody listens there"):
                async with open_door(listen=f"unix:{path}"):
                    pass
        assert not path.exists()
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        async with open_door(listen=f"unix:{path}") as door, client_of(door.address) as client:
            await client.made("ServerLive")

    asyncio.run(run())


def test_a_door_can_be_opened_again_at_the_same_port() -> None:
    async def run() -> None:
        async with open_door() as door:
            address = door.address
        for _ in range(3):
            async with open_door(listen=address) as door, client_of(address) as client:
                assert (await client.made("ServerLive")).live
        assert address == door.address

    asyncio.run(run())


@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_message_that_is_too_large_is_refused_with_words_compressed_or_not(compression: Any) -> None:
    async def run() -> None:
        async with open_door(max_message_bytes=100_000) as door, client_of(door.address) as client:
            call = client.method("ModelInfer")
            status, words, _ = await status_of(
                call(echo(b"\0" * 5_000_000).SerializeToString(), compression=compression)
            )
            assert status == "RESOURCE_EXHAUSTED"
            assert "larger than max" in words
            assert await call(echo(b"\0" * 90_000).SerializeToString(), compression=compression)
            assert len(door.models.calls) == 1

    asyncio.run(run())


class Counting:
    """Passes a connection on, and counts the bytes that come back."""

    def __init__(self, address: str) -> None:
        self._host, _, self._port = address.partition(":")
        self.bytes = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, there = await asyncio.open_connection(self._host, int(self._port))
        await asyncio.gather(self._pass(reader, there), self._pass(back, writer, counts=True))

    async def _pass(self, reader: Any, writer: Any, *, counts: bool = False) -> None:
        with contextlib.suppress(ConnectionError):
            while part := await reader.read(65_536):
                self.bytes += len(part) if counts else 0
                writer.write(part)
                await writer.drain()
        writer.close()


@pytest.mark.parametrize("how", ["gzip", "deflate"])
def test_answers_are_compressed_for_who_asks(how: str) -> None:
    async def run() -> None:
        async with open_door() as door:
            counting = Counting(door.address)
            proxy = await asyncio.start_server(counting.connected, "127.0.0.1", 0)
            port = proxy.sockets[0].getsockname()[1]
            data = echo(b"\0" * 1_000_000).SerializeToString()
            asking = (("gateway-compression", how),)
            async with client_of(f"127.0.0.1:{port}") as client:
                assert len(await client.method("ModelInfer")(data, metadata=asking)) > 1_000_000
                stream = client.stream(metadata=asking)
                await stream.write(data)
                assert len(await stream.read()) > 1_000_000
                stream.cancel()
                assert counting.bytes < 20_000
                assert len(await client.method("ModelInfer")(data)) > 1_000_000
                assert counting.bytes > 1_000_000
                wrong = client.method("ModelInfer")(data, metadata=(("gateway-compression", "zip"),))
                assert (await status_of(wrong))[0] == "INVALID_ARGUMENT"
            proxy.close()

    asyncio.run(run())


def test_an_answer_may_be_larger_than_a_request() -> None:
    async def run() -> None:
        async with open_door(max_message_bytes=20_000_000) as door, client_of(door.address) as client:
            answer = await client.call("ModelInfer", echo(b"\7" * 10_000_000))
            assert answer.raw_output_contents[0] == b"\7" * 10_000_000

    asyncio.run(run())


def test_connections_are_limited() -> None:
    async def run() -> None:
        settings = dataclasses.replace(ServingSettings(), access=AccessSettings(connections=8))
        async with open_door(settings) as door, contextlib.AsyncExitStack() as stack:
            for _ in range(8):
                client = await stack.enter_async_context(client_of(door.address, use_local_subchannel_pool=1))
                assert (await client.made("ServerLive")).live
            ninth = await stack.enter_async_context(client_of(door.address, use_local_subchannel_pool=1))
            assert (await status_of(ninth.made("ServerLive")))[0] == "UNAVAILABLE"

    asyncio.run(run())


def test_a_flood_of_pings_ends_the_connection() -> None:
    ping = b"\0\0\x08\x06\0\0\0\0\0" + b"p" * 8

    async def run() -> None:
        async with open_door() as door:
            host, port = door.address.split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0")
            writer.write(20 * ping)
            got = b""
            with contextlib.suppress(ConnectionError):
                while part := await reader.read(1000):
                    got += part
            assert b"too_many_pings" in got
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    asyncio.run(run())


def test_dead_connections_and_second_servers_are_thought_of() -> None:
    options = dict(server_options(ServingSettings()))
    assert options["grpc.so_reuseport"] == 0
    assert options["grpc.keepalive_time_ms"] > options["grpc.keepalive_timeout_ms"] > 0


def test_who_may_do_what_is_the_gates_business() -> None:
    async def run() -> None:
        access = AccessSettings(
            tokens=(
                TokenSettings("app", Secret("a" * 16)),
                TokenSettings("ops", Secret("o" * 16), ("admin",)),
            )
        )
        settings = dataclasses.replace(ServingSettings(), access=access)
        async with open_door(settings) as door, client_of(door.address) as client:
            load = client.method("RepositoryModelLoad")
            data = b"\x12\x03add"
            assert (await status_of(load(data)))[::2] == ("PERMISSION_DENIED", "access.forbidden")
            wrong = (("authorization", "Bearer wrong-wrong-wrong"),)
            assert (await status_of(load(data, metadata=wrong)))[::2] == (
                "UNAUTHENTICATED",
                "access.unauthenticated",
            )
            app = (("authorization", f"Bearer {'a' * 16}"),)
            assert (await status_of(load(data, metadata=app)))[0] == "PERMISSION_DENIED"
            assert door.models.loads == []
            await load(data, metadata=(("authorization", f"Bearer {'o' * 16}"),))
            assert door.models.loads == [("add", {})]
            await client.method("ModelInfer")(echo().SerializeToString(), metadata=app)
            assert door.models.calls[0].caller == "token:app"
            # Who may not ask is told so, and not how to ask better.
            assert (await status_of(load(b"\xff", metadata=wrong)))[0] == "UNAUTHENTICATED"

    asyncio.run(run())


def test_a_program_behind_a_proxy_shares_no_memory() -> None:
    async def run() -> None:
        access = AccessSettings(tokens=(TokenSettings("app", Secret("a" * 16)),))
        settings = dataclasses.replace(ServingSettings(), access=access)
        async with open_door(settings) as door, client_of(door.address) as client:
            register = client.method("SystemSharedMemoryRegister")
            far = (("authorization", f"Bearer {'a' * 16}"), ("x-forwarded-for", "192.0.2.7"))
            assert (await status_of(register(b"\x0a\x01r", metadata=far)))[::2] == (
                "UNIMPLEMENTED",
                "refused.not_supported",
            )
            await client.method("SystemSharedMemoryUnregister")(b"", metadata=far)

    asyncio.run(run())


def test_tls_serves_those_who_trust_it_and_a_renewed_certificate_without_a_restart(
    certificates: Certificates, tmp_path: Path
) -> None:
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(certificates.broker.read_bytes())
    key.write_bytes(certificates.broker_key.read_bytes())
    tls = TlsSettings(str(chain), str(key))

    async def run() -> None:
        async with open_door(dataclasses.replace(ServingSettings(), tls=tls)) as door:
            trusting = grpc.ssl_channel_credentials(certificates.authority.read_bytes())
            async with client_of(door.address, trusting) as client:
                await client.call("ModelInfer", add([1, 2, 3, 4], [1, 1, 1, 1]))
            async with client_of(door.address) as plain:
                assert (await status_of(plain.made("ServerLive")))[0] == "UNAVAILABLE"
            other = make_certificates(tmp_path)
            chain.write_bytes(other.broker.read_bytes())
            key.write_bytes(other.broker_key.read_bytes())
            renewed = grpc.ssl_channel_credentials(other.authority.read_bytes())
            async with client_of(door.address, renewed) as client:
                assert (await client.made("ServerLive")).live
            chain.write_text("nonsense")
            async with client_of(door.address, renewed, use_local_subchannel_pool=1) as client:
                assert (await client.made("ServerLive")).live

    asyncio.run(run())


def test_a_client_certificate_says_who_asks_and_who_has_none_is_not_served(
    certificates: Certificates,
) -> None:
    tls = TlsSettings(str(certificates.broker), str(certificates.broker_key), str(certificates.authority))

    async def run() -> None:
        async with open_door(dataclasses.replace(ServingSettings(), tls=tls)) as door:
            roots = certificates.authority.read_bytes()
            key, chain = certificates.client_key.read_bytes(), certificates.client.read_bytes()
            async with client_of(door.address, grpc.ssl_channel_credentials(roots, key, chain)) as client:
                await client.call("ModelInfer", echo())
                assert door.models.calls[0].caller == "certificate:client"
                assert (await status_of(client.made("RepositoryModelLoad", model_name="add")))[
                    0
                ] == "PERMISSION_DENIED"
            async with client_of(door.address, grpc.ssl_channel_credentials(roots)) as stranger:
                assert (await status_of(stranger.made("ServerLive")))[0] == "UNAVAILABLE"

    asyncio.run(run())


def test_certificates_that_cannot_be_used_are_said_before_anything_listens(
    certificates: Certificates, tmp_path: Path
) -> None:
    async def run() -> None:
        for tls in (
            TlsSettings(str(tmp_path / "none.pem"), str(certificates.broker_key)),
            TlsSettings(str(certificates.broker), str(certificates.client_key)),
        ):
            with pytest.raises(ValueError, match=r"serving\.tls"):
                async with open_door(dataclasses.replace(ServingSettings(), tls=tls)):
                    pass

    asyncio.run(run())


def test_calls_are_counted_by_method_and_outcome() -> None:
    async def run() -> None:
        async with open_door() as door, client_of(door.address) as client:
            await client.call("ModelInfer", echo())
            await status_of(client.call("ModelInfer", b"\xff"))
            await status_of(client.made("ModelMetadata", name="nope"))
            counts = dict(door.metrics.door_requests.values())
            assert counts == {
                ("grpc", "ModelInfer", "done"): 1,
                ("grpc", "ModelInfer", "refused.malformed"): 1,
                ("grpc", "ModelMetadata", "refused.unknown_model"): 1,
            }

    asyncio.run(run())


def test_a_repository_has_no_name_and_its_index_may_be_of_those_that_serve() -> None:
    async def run() -> None:
        async with open_door() as door, client_of(door.address) as client:
            ready = await client.made("RepositoryIndex", ready=True)
            assert [each.name for each in ready.models] == ["add", "echo", "slow"]
            for name in ("RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload"):
                assert (await status_of(client.made(name, repository_name="x")))[0] == "UNIMPLEMENTED"
            metadata = await client.made("ModelMetadata", name="add")
            assert dict(metadata.properties) == {"digest": "sha256:00"}

    asyncio.run(run())


def test_importing_the_door_brings_no_grpc_along() -> None:
    lines = (
        "import sys, gateway.serving.rpc.server; assert not {'grpc', 'google.protobuf'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", lines], check=True, cwd=ROOT)


def test_a_client_of_one_call_at_a_time_is_let_go() -> None:
    async def run() -> None:
        settings = dataclasses.replace(ServingSettings(), access=AccessSettings(concurrent=1))
        async with open_door(settings) as door, client_of(door.address) as client:
            for n in range(20):
                answer = await client.call("ModelInfer", echo(b"x", str(n)))
                assert answer.id == str(n)
            waiting = client.method("ModelInfer")(echo(b"x", "w", "slow").SerializeToString())
            await door.models.until_changed()
            assert (await status_of(client.call("ModelInfer", echo())))[::2] == (
                "RESOURCE_EXHAUSTED",
                "unavailable.rate_limited",
            )
            waiting.cancel()
            await door.models.until_changed()
            await client.call("ModelInfer", echo())

    asyncio.run(run())
