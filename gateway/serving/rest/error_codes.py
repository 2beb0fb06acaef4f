"""The one table from errors to HTTP statuses, and the headers that go with them. Pure.

An error that is not listed has the status of its nearest listed ancestor; a test
holds the table against every leaf.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from gateway import errors

STATUSES: Final[Mapping[type[errors.GatewayError], int]] = {
    # The request: change it.
    errors.RequestRefused: 400,
    errors.Malformed: 400,
    errors.UnknownMedia: 415,
    errors.UnknownModel: 404,
    errors.WrongShape: 400,
    errors.WrongDtype: 400,
    errors.NotFinite: 400,
    errors.TooLarge: 413,
    errors.Quarantined: 422,
    # No 501: what is not done here is the request's to change, and 5xx would raise alarms.
    errors.NotSupported: 400,
    errors.AlreadyThere: 409,
    errors.UnknownRegion: 404,
    # The moment: come again.
    errors.Unavailable: 503,
    errors.Overloaded: 503,
    errors.NotReady: 503,
    errors.WorkerCrashed: 503,
    errors.Paused: 503,
    errors.Draining: 503,
    errors.RateLimited: 429,
    # The time.
    errors.DeadlineExceeded: 504,
    errors.DeadlineQueued: 504,
    errors.DeadlineRunning: 504,
    # The model.
    errors.EngineFailed: 500,
    errors.LoadFailed: 500,
    errors.CardMismatch: 500,
    errors.WarmupFailed: 500,
    errors.RunFailed: 500,
    errors.OutOfMemory: 500,
    # The caller.
    errors.AccessRefused: 403,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    # A sensor that a call leads to.
    errors.SensorRefused: 400,
    errors.MalformedAnnouncement: 400,
    errors.ForbiddenTopic: 400,
    errors.OversizeAnnouncement: 413,
    errors.TooManySensors: 503,
    errors.SensorDenied: 403,
    errors.SensorCollision: 409,
    # A release that a model should be loaded from.
    errors.UpdateRefused: 409,
    errors.TrustFailed: 409,
    errors.TrustStale: 503,
    errors.ManifestRefused: 409,
    errors.DowngradeRefused: 409,
    errors.ReleaseIncompatible: 409,
    errors.ReleaseQuarantined: 409,
    errors.FetchFailed: 503,
    errors.FetchRefused: 409,
    errors.DiskFull: 507,
    errors.StoreFailed: 500,
    errors.StoreBusy: 503,
    errors.LostRace: 409,
    errors.ValidationFailed: 409,
    errors.ShadowFailed: 409,
    errors.BakeFailed: 409,
    errors.SamplesBlind: 409,
    errors.PublishRefused: 409,
    # A configuration that a load brings along.
    errors.ConfigError: 400,
    errors.PipelineMisfit: 409,
    # Ourselves.
    errors.GatewayBug: 500,
    errors.IllegalTransition: 500,
}

_RETRY_S: Final = 1


def status_of(error: errors.GatewayError) -> int:
    """Return the status of an error."""
    return next((STATUSES[cls] for cls in type(error).__mro__ if cls in STATUSES), 500)


def error_headers(error: errors.GatewayError) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers that belong to an error: when to come again, or how to say who one is."""
    if isinstance(error, errors.Unauthenticated):
        return ((b"www-authenticate", b'Bearer realm="gateway"'),)
    if status_of(error) not in {429, 503}:
        return ()
    wait_s = error.attributes.get("retry_after_s")
    retry_s = _RETRY_S
    if isinstance(wait_s, int | float) and math.isfinite(wait_s):
        retry_s = max(retry_s, math.ceil(wait_s))
    return ((b"retry-after", str(retry_s).encode()),)
