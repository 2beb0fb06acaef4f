"""What a board says of its models: written by the daemon, read by whoever follows a rollout. Pure.

A reader forgives keys that it does not know and keys that are missing, so that
boards and laptops of different versions understand each other; it does not forgive
a wrong type. Text from boards is made one printable line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, TypeVar

from gateway.errors import Malformed

SCHEMA: Final = 1
MOST_REPORTED_BYTES: Final = 512 << 10
FACTORY: Final = 0
_MOST_ENTRIES: Final = 1024
_MOST_TEXT: Final = 256
_MOST_DETAIL: Final = 1000
_MOST_NUMBER: Final = 1 << 63

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Active:
    """What serves.

    Attributes:
        release: Release counter; ``FACTORY`` for the folder that the configuration names.
        digest: SHA-256 of the signed manifest; empty for the factory model.
        files_digest: SHA-256 of what the files hash to now, as the board read them.
        since: Unix seconds since when it answers.
        mapped: SHA-256 of the model file that each worker mapped, by process id.
        answering: True if it answered an inference lately.
    """

    release: int = FACTORY
    digest: str = ""
    files_digest: str = ""
    since: int = 0
    mapped: Mapping[str, str] = field(default_factory=dict)
    answering: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is on its way.

    Attributes:
        release: Release counter.
        phase: How far it is, as the board calls it.
        percent: How much of it is here, 0 to 100.
        attempt: Which try this is, from 1.
    """

    release: int
    phase: str = ""
    percent: float = 0.0
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class LastError:
    """The last failure.

    Attributes:
        code: Label of the error, such as ``update.validation``.
        stage: Where it happened; may be empty.
        detail: The same in words.
        release: Which release it befell; 0 if none in particular.
    """

    code: str
    stage: str = ""
    detail: str = ""
    release: int = 0


@dataclass(frozen=True, slots=True)
class ReportedModel:
    """One model of the board.

    Attributes:
        phase: Where its rollout is; ``idle`` when nothing is on its way.
        active: What serves; None if nothing does.
        previous: Release that is kept for going back; None if there is none.
        candidate: What is on its way; None if nothing is.
        floor: Greatest release that was ever committed here.
        last_error: The last failure; None if there was none since the last success.
        quarantined: Releases that failed here and are not tried again.
    """

    phase: str = "idle"
    active: Active | None = None
    previous: int | None = None
    candidate: Candidate | None = None
    floor: int = 0
    last_error: LastError | None = None
    quarantined: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Trust:
    """How far the board follows the repository.

    Attributes:
        versions: Version in force by role.
        clock: ``ok``, or ``untrusted`` when signed metadata proves the clock wrong.
    """

    versions: Mapping[str, int] = field(default_factory=dict)
    clock: str = ""


@dataclass(frozen=True, slots=True)
class Disk:
    """Room for releases.

    Attributes:
        store_bytes: Used by the store.
        quota_bytes: Most that it may use; 0 for no bound.
        free_bytes: Free on the file system.
    """

    store_bytes: int = 0
    quota_bytes: int = 0
    free_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Reported:
    """One retained report.

    Attributes:
        device: Id of the board.
        group: Its group.
        at: Unix seconds of the report, by the board's clock.
        request_id: That of the doorbell which it heard last; empty if none.
        assign_version: Version of the assignment that it follows; 0 if none.
        trust: How far it follows the repository.
        disk: Room for releases.
        models: By name.
    """

    device: str
    group: str = ""
    at: int = 0
    request_id: str = ""
    assign_version: int = 0
    trust: Trust = Trust()
    disk: Disk = Disk()
    models: Mapping[str, ReportedModel] = field(default_factory=dict)


def reported_bytes(reported: Reported) -> bytes:
    """Return the JSON document of a report."""
    document = {"schema": SCHEMA, **asdict(reported)}
    for model in document["models"].values():
        model["previous"] = None if model["previous"] is None else {"release": model["previous"]}
    return json.dumps(document, ensure_ascii=True, separators=(",", ":"), sort_keys=True).encode()


def read_reported(data: bytes) -> Reported:
    """Read a report as a board published it.

    Raises:
        Malformed: It is none; the message names the key.
    """
    if len(data) > MOST_REPORTED_BYTES:
        raise Malformed(f"report: {len(data)} bytes, at most {MOST_REPORTED_BYTES} are read")
    try:
        found = json.loads(data.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"report: not JSON: {str(error)[:120]!a}") from error
    whole = _Keys(found, "report")
    if whole.integer("schema") != SCHEMA:
        raise Malformed(f"report.schema: only {SCHEMA} is known")
    device = whole.text("device")
    if not device:
        raise Malformed("report.device: missing")
    return Reported(
        device=device,
        group=whole.text("group"),
        at=whole.integer("at"),
        request_id=whole.text("request_id"),
        assign_version=whole.integer("assign_version"),
        trust=_trust(_Keys(whole.get("trust", {}), "report.trust")),
        disk=_disk(_Keys(whole.get("disk", {}), "report.disk")),
        models={name: _model(entry) for name, entry in whole.entries("models").items()},
    )


class _Keys:
    """Lenient access to one JSON object: missing keys have defaults, wrong types are refused."""

    def __init__(self, found: object, path: str) -> None:
        if not isinstance(found, dict):
            raise Malformed(f"{path}: needs an object")
        self._found: dict[str, Any] = found
        self.path = path

    def get(self, key: str, default: object) -> object:
        return self._found.get(key, default)

    def text(self, key: str, most: int = _MOST_TEXT) -> str:
        found = self._found.get(key, "")
        if not isinstance(found, str):
            raise Malformed(f"{self.path}.{key}: needs text")
        return _line(found, most)

    def integer(self, key: str) -> int:
        return _integer(self._found.get(key, 0), f"{self.path}.{key}")

    def number(self, key: str) -> float:
        found = self._found.get(key, 0.0)
        if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found < _MOST_NUMBER:
            raise Malformed(f"{self.path}.{key}: needs a number of 0 or more")
        return float(found)

    def flag(self, key: str) -> bool:
        found = self._found.get(key, False)
        if not isinstance(found, bool):
            raise Malformed(f"{self.path}.{key}: needs true or false")
        return found

    def some(self, key: str, read: Callable[[_Keys], _Value]) -> _Value | None:
        """Return what an object under ``key`` is read to; None for null or absence."""
        found = self._found.get(key)
        return None if found is None else read(_Keys(found, f"{self.path}.{key}"))

    def entries(self, key: str) -> dict[str, _Keys]:
        """Return the objects of an object by their names."""
        return {name: _Keys(entry, f"{self.path}.{key}.{name}") for name, entry in self.mapping(key).items()}

    def mapping(self, key: str) -> dict[str, object]:
        found = self._found.get(key, {})
        if not isinstance(found, dict) or len(found) > _MOST_ENTRIES:
            raise Malformed(f"{self.path}.{key}: needs an object of at most {_MOST_ENTRIES} keys")
        return {_line(name, _MOST_TEXT): entry for name, entry in found.items()}

    def listed(self, key: str) -> list[object]:
        found = self._found.get(key, [])
        if not isinstance(found, list) or len(found) > _MOST_ENTRIES:
            raise Malformed(f"{self.path}.{key}: needs a list of at most {_MOST_ENTRIES}")
        return found


def _trust(keys: _Keys) -> Trust:
    versions = {
        role: _integer(version, f"{keys.path}.versions.{role}")
        for role, version in keys.mapping("versions").items()
    }
    return Trust(versions, keys.text("clock"))


def _disk(keys: _Keys) -> Disk:
    return Disk(keys.integer("store_bytes"), keys.integer("quota_bytes"), keys.integer("free_bytes"))


def _model(keys: _Keys) -> ReportedModel:
    return ReportedModel(
        phase=keys.text("phase") or "idle",
        active=keys.some("active", _active),
        previous=keys.some("previous", lambda previous: previous.integer("release")),
        candidate=keys.some("candidate", _candidate),
        floor=keys.integer("floor"),
        last_error=keys.some("last_error", _last_error),
        quarantined=tuple(
            _integer(release, f"{keys.path}.quarantined") for release in keys.listed("quarantined")
        ),
    )


def _active(keys: _Keys) -> Active:
    mapped = keys.mapping("mapped")
    if not all(isinstance(digest, str) for digest in mapped.values()):
        raise Malformed(f"{keys.path}.mapped: needs digests by process")
    return Active(
        release=keys.integer("release"),
        digest=keys.text("digest"),
        files_digest=keys.text("files_digest"),
        since=keys.integer("since"),
        mapped={pid: _line(str(digest), _MOST_TEXT) for pid, digest in mapped.items()},
        answering=keys.flag("answering"),
    )


def _candidate(keys: _Keys) -> Candidate:
    return Candidate(
        keys.integer("release"), keys.text("phase"), keys.number("percent"), keys.integer("attempt")
    )


def _last_error(keys: _Keys) -> LastError:
    return LastError(
        keys.text("code"), keys.text("stage"), keys.text("detail", _MOST_DETAIL), keys.integer("release")
    )


def _integer(found: object, path: str) -> int:
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < _MOST_NUMBER:
        raise Malformed(f"{path[:_MOST_TEXT]}: needs a whole number of 0 or more")
    return found


def _line(text: str, most: int) -> str:
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text[:most]


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no JSON number")
