"""Checks the store's books: records, floors, quarantine, audit log, ballast, folders and links for people."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gateway.errors import StoreFailed
from gateway.updates.state import ModelRecord
from gateway.updates.store import recovery
from gateway.updates.store.audit import AuditLog, breaks
from gateway.updates.store.ballast import Ballast
from gateway.updates.store.durable import aside, discard, replace
from gateway.updates.store.finding import Act, Finding, Problem, Severity
from gateway.updates.store.layout import TEMPORARY, Layout, model_of
from gateway.updates.store.quarantine import MOST_BYTES, decode
from gateway.updates.store.reading import read_small
from gateway.updates.store.records import Records
from gateway.updates.store.states import MOST_STATE_BYTES, decode_floor, encode_floor
from gateway.updates.store.states import decode as decode_record


@dataclass(frozen=True, slots=True)
class Books:
    """One pass over everything but the bytes of releases.

    Attributes:
        layout: Where.
        records: Reads records without mending them.
        settled: True if nobody else writes meanwhile: what is half made then is a leftover.
    """

    layout: Layout
    records: Records
    settled: bool

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong; each is to be mended, if at all, before the next is asked for.

        Raises:
            OSError: A folder cannot be read.
        """
        yield from self._folders()
        if self.settled:
            yield from self._leftovers()
        for model in self.records.models():
            yield from self._record(model)
        yield from self._state_folder()
        yield from self._quarantine()
        yield from self._audit()
        if self.settled and not Ballast(self.layout.ballast).is_whole():
            problem = "the room that is held back for records is not there"
            ballast = Ballast(self.layout.ballast)
            yield self._problem(self.layout.ballast, problem, "take it", ballast.make, Severity.NOTICE)
        yield from self._links()

    def _folders(self) -> Iterator[Problem]:
        for folder, mode in self.layout.folders().items():
            held = stat.S_IMODE(folder.lstat().st_mode)
            if held != mode:
                problem = f"its permissions are {held:04o} instead of {mode:04o}"
                yield self._problem(folder, problem, "set them", partial(folder.chmod, mode))
        known = {path.name for path in self.layout.folders()}
        known |= {self.layout.lock.name, self.layout.quarantine.name, self.layout.audit.name}
        for path in sorted(self.layout.root.iterdir()):
            if path.name not in known and not path.name.startswith(
                (TEMPORARY, f"{self.layout.audit.name}.", f"{self.layout.quarantine.name}.")
            ):
                problem = "it is nothing of the store's making"
                yield self._problem(path, problem, "look at it and remove it", None, Severity.NOTICE)

    def _leftovers(self) -> Iterator[Problem]:
        for path in recovery.leftovers(self.layout):
            problem = "it was being made or removed when the power went"
            yield self._problem(path, problem, "remove it", partial(discard, path), Severity.NOTICE)

    def _record(self, model: str) -> Iterator[Problem]:
        path = self.layout.record(model)
        held = self.records.read(model)
        try:
            decode_record(read_small(self.layout.root, path, MOST_STATE_BYTES), model)
        except FileNotFoundError:
            pass
        except (OSError, StoreFailed) as error:
            remedy = f"set it aside; the model begins anew, not below release {held.floor}"
            yield self._problem(path, _words(error), remedy, lambda: aside(path))
        yield from self._floor(model, held)
        for name, ref in (
            ("active", held.active),
            ("previous", held.previous),
            ("candidate", held.candidate),
        ):
            if ref is not None and not self.layout.release(model, ref.number).is_dir():
                problem = f"its {name} release {ref.number} is not there"
                remedy = "the gateway fetches it again, or goes back to the one before"
                yield self._problem(path, problem, remedy, None)

    def _floor(self, model: str, held: ModelRecord) -> Iterator[Problem]:
        path = self.layout.floor(model)
        problem = ""
        try:
            copy = decode_floor(read_small(self.layout.root, path, 4096), model)
            if copy < held.floor:
                problem = f"the second copy of the floor is {copy} instead of {held.floor}"
        except FileNotFoundError:
            problem = "the second copy of the floor is missing" if held.floor else ""
        except (OSError, StoreFailed) as error:
            problem = _words(error)
        if problem:
            data = encode_floor(held.floor)
            yield self._problem(path, problem, "write it anew", lambda: replace(path, data, "floor"))

    def _state_folder(self) -> Iterator[Problem]:
        known = (self.layout.ballast, self.layout.pause)
        for path in sorted(self.layout.state.iterdir()):
            if path in known or path.name.startswith(TEMPORARY) or model_of(path.name):
                continue
            kept = ".bad-" in path.name
            problem = "a damaged record was set aside" if kept else "it is nothing of the store's making"
            yield self._problem(path, problem, "look at it and remove it", None, Severity.NOTICE)

    def _quarantine(self) -> Iterator[Problem]:
        path = self.layout.quarantine
        try:
            decode(read_small(self.layout.root, path, MOST_BYTES))
        except FileNotFoundError:
            return
        except (OSError, StoreFailed) as error:
            remedy = "set it aside; releases that failed here may be tried once more"
            yield self._problem(path, _words(error), remedy, lambda: aside(path))

    def _audit(self) -> Iterator[Problem]:
        for each in breaks(self.layout):
            if each.torn:
                mend = AuditLog(self.layout).head
                yield self._problem(each.path, each.problem, "cut off what a power cut tore", mend)
            else:
                remedy = "none: lines were changed or are lost; keep the file and find out why"
                yield self._problem(each.path, each.problem, remedy, None)

    def _links(self) -> Iterator[Problem]:
        records = {model: self.records.read(model) for model in self.records.models()}
        for path in recovery.wrong_links(self.layout, records):
            yield self._problem(
                path,
                "the link for people shows another release than the active one",
                "make it anew",
                lambda: recovery.relink(self.layout, records),
                Severity.NOTICE,
            )

    def _problem(
        self, path: Path, problem: str, remedy: str, mend: Act | None, severity: Severity = Severity.DAMAGE
    ) -> Problem:
        where = str(path.relative_to(self.layout.root))
        return Problem(Finding(where, severity, problem, remedy), mend)


def _words(error: OSError | StoreFailed) -> str:
    return error.message if isinstance(error, StoreFailed) else error.strerror or str(error)
