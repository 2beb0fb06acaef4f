"""The records of all models on disk: read with care, and changed only by whoever has seen the last change."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable
from pathlib import Path

from gateway.errors import GatewayBug, LostRace, StoreFailed
from gateway.updates.state import DURABLE, ModelRecord
from gateway.updates.store.ballast import Ballast
from gateway.updates.store.durable import aside, replace
from gateway.updates.store.layout import Layout, model_of
from gateway.updates.store.reading import read_small
from gateway.updates.store.states import (
    MOST_STATE_BYTES,
    decode,
    decode_floor,
    encode,
    encode_floor,
)
from gateway.updates.store.trouble import told


class Records:
    """The folder ``state/``: one file a model, and beside it a second copy of its floor.

    A record that cannot be read is set aside, never lost and never believed; the
    model begins anew, but not below its floor.
    """

    def __init__(
        self, layout: Layout, ballast: Ballast, *, mends: bool, tell: Callable[[str, str, str], None]
    ) -> None:
        """Take charge.

        Args:
            layout: Where.
            ballast: Given up when a record does not fit.
            mends: Whether a damaged file may be moved aside; only the process with the lock may.
            tell: Called with model, name of the file set aside, and reason.
        """
        self._layout = layout
        self._ballast = ballast
        self._mends = mends
        self._tell = tell

    def models(self) -> list[str]:
        """Return the models of which anything is known, sorted.

        Raises:
            StoreFailed: The folder cannot be read.
        """
        with told("records"):
            names = [entry.name for entry in self._layout.state.iterdir()]
        return sorted({model for name in names if (model := model_of(name)) is not None})

    def read(self, model: str) -> ModelRecord:
        """Return a model's record; a new one, not below its floor, if none can be read.

        Raises:
            ManifestRefused: ``model`` is no name.
            StoreFailed: The disk cannot be read.
        """
        path = self._layout.record(model)
        with told(f"state of {model}"):
            try:
                return decode(self._bytes(path), model)
            except FileNotFoundError:
                return ModelRecord(model, floor=self._second_floor(model))
            except StoreFailed as error:
                fault = error.message
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                fault = str(error)
        rebuilt = ModelRecord(model, floor=self._second_floor(model))
        if self._mends:
            with contextlib.suppress(OSError):  # a disk that only reads still serves
                self._tell(model, aside(path).name, fault)
        return rebuilt

    def _bytes(self, path: Path) -> bytes:
        """Read a record's file; a disk that stumbles once is asked again, for a good record must not go."""
        try:
            return read_small(self._layout.root, path, MOST_STATE_BYTES)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return read_small(self._layout.root, path, MOST_STATE_BYTES)

    def commit(self, record: ModelRecord) -> None:
        """Make a record the one that counts, durably.

        The very record that is there already is written once more: so may be asked who does not know
        whether the last try arrived.

        Raises:
            LostRace: ``record.seq`` does not follow the one on disk (``seq``).
            DiskFull: No room, not even the ballast's.
            StoreFailed: The disk did not take it; what is there is the old record or this one.
            GatewayBug: The floor would fall, or the phase or size is none that can be kept.
            ManifestRefused: The model's name is none.
        """
        held = self.read(record.model)
        self._check(record, held)
        data = encode(record)
        if len(data) > MOST_STATE_BYTES:
            raise GatewayBug(f"state of {record.model}: {len(data)} bytes are too many", model=record.model)
        with told(f"state of {record.model}"):
            # The floor first: a state file that is lost later must not take it along.
            if record.floor > self._second_floor(record.model):
                floor = encode_floor(record.floor)
                self._ballast.spend_on(lambda: replace(self._layout.floor(record.model), floor, "floor"))
            self._ballast.spend_on(lambda: replace(self._layout.record(record.model), data, "state"))

    @staticmethod
    def _check(record: ModelRecord, held: ModelRecord) -> None:
        if record.phase not in DURABLE:
            raise GatewayBug(f"state of {record.model}: phase {record.phase.value} is never written")
        # Without a record only the floor is known, and may have risen in a try that seemed to fail.
        unseen = held.seq == 0 and record.floor < held.floor
        if record != held and (record.seq != held.seq + 1 or unseen):
            raise LostRace(
                f"state of {record.model}: somebody wrote number {held.seq} meanwhile: decide anew",
                model=record.model,
                seq=held.seq,
            )
        if record.floor < held.floor:
            raise GatewayBug(
                f"state of {record.model}: the floor would fall from {held.floor} to {record.floor}",
                model=record.model,
            )

    def _second_floor(self, model: str) -> int:
        """Return the floor's second copy; 0 if there is none or it is damaged."""
        with contextlib.suppress(OSError, StoreFailed):
            return decode_floor(read_small(self._layout.root, self._layout.floor(model), 4096), model)
        return 0
