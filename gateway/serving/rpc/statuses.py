"""The one table from the gateway's errors to gRPC's status codes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway import errors
from gateway.errors import GatewayError

# The answer's head is limited at clients, and the words stand there.
_LONGEST_WORDS: Final = 1500

# Families first: a leaf that is not named goes as the nearest family above it.
STATUSES: Final[Mapping[type[GatewayError], str]] = {
    errors.GatewayError: "INTERNAL",
    errors.RequestRefused: "INVALID_ARGUMENT",
    errors.Malformed: "INVALID_ARGUMENT",
    errors.UnknownMedia: "INVALID_ARGUMENT",
    errors.UnknownModel: "NOT_FOUND",
    errors.WrongShape: "INVALID_ARGUMENT",
    errors.WrongDtype: "INVALID_ARGUMENT",
    errors.NotFinite: "INVALID_ARGUMENT",
    errors.TooLarge: "INVALID_ARGUMENT",
    errors.Quarantined: "FAILED_PRECONDITION",
    errors.NotSupported: "UNIMPLEMENTED",
    errors.AlreadyThere: "ALREADY_EXISTS",
    errors.UnknownRegion: "NOT_FOUND",
    errors.Unavailable: "UNAVAILABLE",
    errors.Overloaded: "UNAVAILABLE",
    errors.NotReady: "UNAVAILABLE",
    errors.WorkerCrashed: "UNAVAILABLE",
    errors.Paused: "UNAVAILABLE",
    errors.Draining: "UNAVAILABLE",
    errors.RateLimited: "RESOURCE_EXHAUSTED",
    errors.DeadlineExceeded: "DEADLINE_EXCEEDED",
    errors.DeadlineQueued: "DEADLINE_EXCEEDED",
    errors.DeadlineRunning: "DEADLINE_EXCEEDED",
    errors.EngineFailed: "INTERNAL",
    # Nothing of a model that does not load stays in memory: a mesh may put it elsewhere at once.
    errors.LoadFailed: "FAILED_PRECONDITION",
    errors.CardMismatch: "FAILED_PRECONDITION",
    errors.WarmupFailed: "FAILED_PRECONDITION",
    errors.RunFailed: "INTERNAL",
    errors.OutOfMemory: "RESOURCE_EXHAUSTED",
    errors.AccessRefused: "PERMISSION_DENIED",
    errors.Unauthenticated: "UNAUTHENTICATED",
    errors.Forbidden: "PERMISSION_DENIED",
    errors.SensorRefused: "INVALID_ARGUMENT",
    errors.MalformedAnnouncement: "INVALID_ARGUMENT",
    errors.ForbiddenTopic: "INVALID_ARGUMENT",
    errors.OversizeAnnouncement: "INVALID_ARGUMENT",
    errors.TooManySensors: "RESOURCE_EXHAUSTED",
    errors.SensorDenied: "PERMISSION_DENIED",
    errors.SensorCollision: "ALREADY_EXISTS",
    errors.UpdateRefused: "FAILED_PRECONDITION",
    errors.TrustFailed: "FAILED_PRECONDITION",
    errors.TrustStale: "FAILED_PRECONDITION",
    errors.ManifestRefused: "FAILED_PRECONDITION",
    errors.DowngradeRefused: "FAILED_PRECONDITION",
    errors.ReleaseIncompatible: "FAILED_PRECONDITION",
    errors.ReleaseQuarantined: "FAILED_PRECONDITION",
    errors.FetchFailed: "UNAVAILABLE",
    errors.FetchRefused: "FAILED_PRECONDITION",
    errors.DiskFull: "RESOURCE_EXHAUSTED",
    errors.StoreFailed: "INTERNAL",
    errors.StoreBusy: "UNAVAILABLE",
    errors.LostRace: "ABORTED",
    errors.ValidationFailed: "FAILED_PRECONDITION",
    errors.ShadowFailed: "FAILED_PRECONDITION",
    errors.BakeFailed: "FAILED_PRECONDITION",
    errors.SamplesBlind: "FAILED_PRECONDITION",
    errors.PublishRefused: "FAILED_PRECONDITION",
    errors.ConfigError: "FAILED_PRECONDITION",
    errors.PipelineMisfit: "FAILED_PRECONDITION",
    errors.GatewayBug: "INTERNAL",
    errors.IllegalTransition: "INTERNAL",
}


def status_of(error: GatewayError) -> str:
    """Return the name of the status code of an error."""
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


def words_of(error: GatewayError) -> str:
    """Return what a client reads: the label and the message, shortened to what fits the answer's head."""
    words = f"{error.label}: {error.message}"
    if len(words) > _LONGEST_WORDS:
        words = f"{words[:_LONGEST_WORDS]}..."
    return words.encode("utf-8", "replace").decode()
