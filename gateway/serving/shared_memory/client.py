"""A client of the memory door for programs in Python: NumPy arrays in and out, none of them through a socket.

Not for several threads at once; each takes a client of its own.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gateway.error_words import from_wire
from gateway.errors import Malformed
from gateway.inference.texts import join_bytes, split_bytes
from gateway.serving.shared_memory.door_words import ALIGN, MAX_PACKET_BYTES, encoded, read_packet
from gateway.tensor import dtype_named, protocol_name

Array = NDArray[Any]
_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_INPUTS, _OUTPUTS = "@inputs", "@outputs"
_SMALLEST_BYTES: Final = 65_536


class Region:
    """Memory that this program and the gateway share.

    Attributes:
        name: What it is called.
        byte_size: How long it is.
        view: All of it.
    """

    def __init__(self, name: str, byte_size: int) -> None:
        """Make memory that can neither shrink nor grow; ``fd`` is open until ``close_fd``.

        Raises:
            OSError: The system has no memory left.
        """
        self.name = name
        self.byte_size = byte_size
        self.fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.posix_fallocate(self.fd, 0, byte_size)
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, _SEALS)
            self.view = memoryview(mmap.mmap(self.fd, byte_size))
        except BaseException:
            self.close_fd()
            raise

    def close_fd(self) -> None:
        """Close the descriptor, which is not needed once it was handed over. Idempotent."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def tensor(self, shape: Sequence[int], dtype: DTypeLike, offset: int = 0) -> Placed:
        """Return a part as an array: what is written to it is there for the gateway, and the other way round.

        Raises:
            ValueError: The array does not lie in the region.
        """
        kind = np.dtype(dtype)
        array = np.ndarray(tuple(shape), kind, self.view, offset)
        return Placed(self, offset, array.nbytes, array)

    def part(self, offset: int = 0, byte_size: int | None = None) -> Placed:
        """Return a part as bytes, for outputs of any kind; to the region's end unless told."""
        size = self.byte_size - offset if byte_size is None else byte_size
        return self.tensor((size,), np.uint8, offset)


@dataclass(frozen=True, slots=True)
class Placed:
    """A part of a region.

    Attributes:
        region: Which.
        offset: Where it begins, in bytes.
        byte_size: How long it is.
        array: It, as an array.
    """

    region: Region
    offset: int
    byte_size: int
    array: Array

    def words(self) -> dict[str, Any]:
        """Return how a packet names it."""
        return {"region": self.region.name, "offset": self.offset, "byte_size": self.byte_size}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call that is asked for again and again; only what lies in its regions changes."""

    client: MemoryClient
    tail: bytes

    def submit(self) -> int:
        """Ask for it; as ``MemoryClient.submit``."""
        return self.client.send_call(self.tail)

    def __call__(self) -> dict[str, Array]:
        """Ask for it and wait; as ``MemoryClient.receive``."""
        return self.client.receive(self.submit())


class MemoryClient:
    """A connection to the memory door; a context manager."""

    def __init__(self, path: str, timeout_s: float = 30.0, output_bytes: int = 1 << 20) -> None:
        """Connect.

        Args:
            path: The socket, ``serving.shared_memory.socket``.
            timeout_s: Longest wait for an answer.
            output_bytes: Room for the outputs of ``infer``.

        Raises:
            OSError: Nobody listens there, or it is closed to this user.
        """
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._buffer = bytearray(MAX_PACKET_BYTES)
        self._regions: dict[str, Region] = {}
        self._answers: dict[int, dict[str, Any]] = {}
        self._calls = 0
        self._output_bytes = output_bytes
        try:
            # The kernel's own timeouts: Python's would ask it twice for every packet.
            whole_s, part_s = divmod(timeout_s, 1)
            limit = struct.pack("@ll", int(whole_s), int(part_s * 1e6))
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                self._sock.setsockopt(socket.SOL_SOCKET, option, limit)
            self._sock.connect(path)
            self.hello = self._packet()
        except BaseException:
            self._sock.close()
            raise

    def __enter__(self) -> MemoryClient:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End: calls under way are given up, the gateway lets every region go. Idempotent."""
        self._sock.close()
        self._regions.clear()

    def share(self, name: str, byte_size: int) -> Region:
        """Make a region and hand it over.

        Raises:
            GatewayError: The gateway does not take it.
            OSError: The system has no memory left, or the connection broke.
        """
        region = Region(name, byte_size)
        try:
            call = self._next()
            packet = encoded({"do": "share", "call": call, "region": name})
            socket.send_fds(self._sock, [packet], [region.fd])
            self._answer(call)
        finally:
            region.close_fd()
        self._regions[name] = region
        return region

    def release(self, region: Region) -> None:
        """Take a region back.

        Raises:
            UnknownRegion: The gateway does not have it.
            OSError: The connection broke.
        """
        self._ask({"do": "release", "region": region.name})
        self._regions.pop(region.name, None)

    def describe(self, model: str, version: str = "") -> Mapping[str, Any]:
        """Return what a model takes and gives.

        Raises:
            GatewayError: It is not known, or does not serve.
            OSError: The connection broke.
        """
        return self._ask({"do": "describe", "model": model, "version": version})

    def prepare(
        self,
        model: str,
        inputs: Mapping[str, Placed],
        into: Placed,
        outputs: Sequence[str] = (),
        **words: Any,
    ) -> Prepared:
        """Return a call on what lies in regions: it can be asked for many times, at the least cost.

        Args:
            model: Name of a model or an alias.
            inputs: Where each input lies; not to be changed until the answer is there.
            into: Where the outputs go, one after the other.
            outputs: Which are wanted; all of them unless told.
            words: Further fields of the packet: ``version``, ``id``, ``timeout_us``, ``sequence``, ``trace``.
        """
        placed = [
            {"name": name, "datatype": protocol_name(each.array.dtype.name), "shape": each.array.shape}
            | each.words()
            for name, each in inputs.items()
        ]
        return Prepared(self, call_tail(model, placed, into, outputs, words))

    def submit(
        self,
        model: str,
        inputs: Mapping[str, Placed],
        into: Placed,
        outputs: Sequence[str] = (),
        **words: Any,
    ) -> int:
        """Ask for a call once, as ``prepare`` describes it; return the number by which ``receive`` knows it.

        Raises:
            OSError: The connection broke.
        """
        return self.prepare(model, inputs, into, outputs, **words).submit()

    def receive(self, call: int) -> dict[str, Array]:
        """Return the outputs of a call: views on the region into which they were put.

        Raises:
            GatewayError: What went wrong with the call.
            OSError: The connection broke, or no answer came in time.
        """
        head = self._answer(call)
        if head.get("cancelled"):
            raise Malformed(f"call {call} was cancelled")
        return {each["name"]: self._output(each) for each in head["outputs"]}

    def cancel(self, call: int) -> None:
        """Give a call up; ``receive`` still has to be asked for it.

        Raises:
            OSError: The connection broke.
        """
        self._sock.send(encoded({"do": "cancel", "call": call}))

    def infer(
        self, model: str, inputs: Mapping[str, Array], outputs: Sequence[str] = (), **words: Any
    ) -> dict[str, Array]:
        """Copy arrays into a region, run a model on them, and return copies of its outputs.

        Raises:
            GatewayError: What went wrong.
            OSError: The connection broke, or no answer came in time.
        """
        data = {name: _as_bytes(np.asarray(array)) for name, array in inputs.items()}
        region = self._arena(_INPUTS, sum(len(each) + ALIGN for each in data.values()))
        placed, offset = [], 0
        for name, array in inputs.items():
            size = len(data[name])
            region.view[offset : offset + size] = data[name]
            kind = (
                "BYTES" if np.asarray(array).dtype.hasobject else protocol_name(np.asarray(array).dtype.name)
            )
            where = {"region": region.name, "offset": offset, "byte_size": size}
            placed.append({"name": name, "datatype": kind, "shape": np.shape(array)} | where)
            offset += -(-size // ALIGN) * ALIGN
        into = self._arena(_OUTPUTS, self._output_bytes).part()
        found = self.receive(self.send_call(call_tail(model, placed, into, outputs, words)))
        return {name: array.copy() for name, array in found.items()}

    def send_call(self, tail: bytes) -> int:
        """Ask for an inference by what follows the number of the call in its packet; return that number.

        Raises:
            OSError: The connection broke.
        """
        call = self._next()
        self._sock.send(b'{"do":"infer","call":%d,%b' % (call, tail))
        return call

    def _arena(self, name: str, byte_size: int) -> Region:
        region = self._regions.get(name)
        if region is not None and region.byte_size >= byte_size:
            return region
        if region is not None:
            self.release(region)
        return self.share(name, max(_SMALLEST_BYTES, 1 << (byte_size - 1).bit_length()))

    def _output(self, said: Mapping[str, Any]) -> Array:
        view = self._regions[said["region"]].view[said["offset"] : said["offset"] + said["byte_size"]]
        if said["datatype"] != "BYTES":
            return np.frombuffer(view, dtype_named(said["datatype"])).reshape(said["shape"])
        found = np.empty(len(list(split_bytes(view, said["name"]))), np.object_)
        found[:] = [bytes(each) for each in split_bytes(view, said["name"])]
        return found.reshape(said["shape"])

    def _ask(self, head: Mapping[str, Any]) -> dict[str, Any]:
        call = self._next()
        self._sock.send(encoded({**head, "call": call}))
        return self._answer(call)

    def _next(self) -> int:
        self._calls += 1
        return self._calls

    def _answer(self, call: int) -> dict[str, Any]:
        while call not in self._answers:
            head = self._packet()
            self._answers[head["call"]] = head
        head = self._answers.pop(call)
        if "error" in head:
            raise from_wire(head["error"]["label"], head["error"]["message"])
        return head

    def _packet(self) -> dict[str, Any]:
        try:
            size = self._sock.recv_into(self._buffer)
        except BlockingIOError:
            raise TimeoutError("the gateway did not answer in time") from None
        if size == 0:
            raise ConnectionResetError("the gateway closed the connection")
        head = dict(read_packet(memoryview(self._buffer)[:size]))
        if "error" in head and "call" not in head:
            raise from_wire(head["error"]["label"], head["error"]["message"])
        return head


def call_tail(
    model: str,
    placed: Sequence[Mapping[str, Any]],
    into: Placed,
    outputs: Sequence[str],
    words: Mapping[str, Any],
) -> bytes:
    """Return what follows the number of a call in its packet."""
    head = {"model": model, "inputs": placed, "into": into.words(), **words}
    if outputs:
        head["outputs"] = [{"name": name} for name in outputs]
    return encoded(head)[1:]


def _as_bytes(array: Array) -> bytes | memoryview:
    if array.dtype.hasobject:
        return join_bytes(
            each.encode() if isinstance(each, str) else bytes(each) for each in array.ravel().tolist()
        )
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
