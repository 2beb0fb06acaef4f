"""The tree of typed errors: what went wrong, where, and whose move it is.

The first split says what the caller should do; every leaf has a stable ``label`` for metrics and logs.
No error here knows a wire protocol: each front end keeps one table from class to its codes.
"""

from __future__ import annotations

from typing import ClassVar

from gateway.config_issue import ConfigIssue


class GatewayError(Exception):
    """Root of everything the gateway raises on purpose.

    Attributes:
        message: One sentence: what is wrong, where, and what to do.
        attributes: Facts about this case (``step``, ``model``, ``topic`` ...).
    """

    label: ClassVar[str] = "error"

    def __init__(self, message: str, **attributes: str | float | None) -> None:
        super().__init__(message)
        self.message = message
        self.attributes = {key: value for key, value in attributes.items() if value is not None}


class RequestRefused(GatewayError):
    """The request is wrong: change it before sending it again."""

    label = "refused"


class Malformed(RequestRefused):
    """The bytes are not what they claim to be."""

    label = "refused.malformed"


class UnknownMedia(RequestRefused):
    """The payload's kind is not declared, not detectable, or not supported here."""

    label = "refused.media"


class UnknownModel(RequestRefused):
    """No model, version or pipeline has this name."""

    label = "refused.unknown_model"


class WrongShape(RequestRefused):
    """The shape does not fit the declaration or the model."""

    label = "refused.shape"


class WrongDtype(RequestRefused):
    """The element type does not fit the declaration or the model."""

    label = "refused.dtype"


class NotFinite(RequestRefused):
    """The numbers hold NaN or infinity where only finite ones are allowed."""

    label = "refused.not_finite"


class TooLarge(RequestRefused):
    """More bytes, pixels, elements or nesting than the limit allows."""

    label = "refused.too_large"


class Quarantined(RequestRefused):
    """This very payload has crashed a worker before and is not run again."""

    label = "refused.quarantined"


class NotSupported(RequestRefused):
    """What is asked for is known, but not done here."""

    label = "refused.not_supported"


class AlreadyThere(RequestRefused):
    """Something else has this name; remove it first."""

    label = "refused.exists"


class UnknownRegion(RequestRefused):
    """No shared memory region has this name, or the call reaches out of it."""

    label = "refused.unknown_region"


class Unavailable(GatewayError):
    """Nothing is wrong with the request: try again later."""

    label = "unavailable"


class Overloaded(Unavailable):
    """A bounded queue is full."""

    label = "unavailable.overloaded"


class NotReady(Unavailable):
    """The model is not serving yet, or not any more."""

    label = "unavailable.not_ready"


class WorkerCrashed(Unavailable):
    """The worker that ran this request died or was ended for hanging."""

    label = "unavailable.worker_crashed"


class Paused(Unavailable):
    """Memory is short: frames of the lowest priority wait."""

    label = "unavailable.paused"


class Draining(Unavailable):
    """The gateway is stopping."""

    label = "unavailable.draining"


class RateLimited(Unavailable):
    """This client asks more often, or more at a time, than it may (``retry_after_s``)."""

    label = "unavailable.rate_limited"


class DeadlineExceeded(GatewayError):
    """The answer would come too late to be worth anything."""

    label = "deadline"


class DeadlineQueued(DeadlineExceeded):
    """The deadline passed while the request waited."""

    label = "deadline.queued"


class DeadlineRunning(DeadlineExceeded):
    """The deadline passed while the request ran."""

    label = "deadline.running"


class EngineFailed(GatewayError):
    """The model or its runtime is at fault."""

    label = "engine"


class LoadFailed(EngineFailed):
    """The runtime cannot load the model file."""

    label = "engine.load"


class CardMismatch(EngineFailed):
    """The model file is not what its card says."""

    label = "engine.card"


class WarmupFailed(EngineFailed):
    """The model loaded, but its first runs failed or gave wrong answers."""

    label = "engine.warmup"


class RunFailed(EngineFailed):
    """An inference raised, or gave what cannot be post-processed."""

    label = "engine.run"


class OutOfMemory(EngineFailed):
    """The worker could not allocate."""

    label = "engine.out_of_memory"


class AccessRefused(GatewayError):
    """Whoever asks may not do this: come with other credentials, or by another door."""

    label = "access"


class Unauthenticated(AccessRefused):
    """No credentials, or none that are known here."""

    label = "access.unauthenticated"


class Forbidden(AccessRefused):
    """The credentials are known and do not allow this."""

    label = "access.forbidden"


class SensorRefused(GatewayError):
    """An announcement or message of a sensor is dropped."""

    label = "sensor"


class MalformedAnnouncement(SensorRefused):
    """The announcement cannot be read."""

    label = "sensor.malformed"


class ForbiddenTopic(SensorRefused):
    """A sensor names a topic that it must not (wildcards, ``$``, our own)."""

    label = "sensor.topic"


class OversizeAnnouncement(SensorRefused):
    """An announcement holds more than the limits allow."""

    label = "sensor.oversize"


class TooManySensors(SensorRefused):
    """The registry, or one sensor's number of streams, is full."""

    label = "sensor.flood"


class SensorDenied(SensorRefused):
    """An admission rule keeps this sensor out."""

    label = "sensor.denied"


class SensorCollision(SensorRefused):
    """Two devices claim one identity; the newer epoch keeps it."""

    label = "sensor.collision"


class UpdateRefused(GatewayError):
    """A model release does not get in: what serves goes on unchanged."""

    label = "update"


class TrustFailed(UpdateRefused):
    """Signatures, versions or hashes of the repository do not hold; nothing of it is believed."""

    label = "update.trust"


class TrustStale(UpdateRefused):
    """The repository's metadata has expired: nothing new is installed until it is signed anew."""

    label = "update.stale"


class ManifestRefused(UpdateRefused):
    """A signed manifest or assignment cannot be read, or says what no board may do."""

    label = "update.manifest"


class DowngradeRefused(UpdateRefused):
    """The release is older than one that was committed here, and no signed decision allows it."""

    label = "update.downgrade"


class ReleaseIncompatible(UpdateRefused):
    """The release is not for this hardware, gateway, or pipelines."""

    label = "update.incompatible"


class ReleaseQuarantined(UpdateRefused):
    """This release has failed here before and is not tried again until an operator clears it."""

    label = "update.quarantined"


class FetchFailed(UpdateRefused):
    """A source did not deliver, or not fast enough; it is tried again later."""

    label = "update.fetch"


class FetchRefused(UpdateRefused):
    """A source delivers what cannot be used, or has not got it: asking again will not help."""

    label = "update.fetch_refused"


class DiskFull(UpdateRefused):
    """The release does not fit the disk or the quota (``needed_bytes``, ``free_bytes``)."""

    label = "update.disk_full"


class StoreFailed(UpdateRefused):
    """The model store could not be read or written; what serves is not touched."""

    label = "update.store"


class StoreBusy(UpdateRefused):
    """Another process holds the model store."""

    label = "update.busy"


class LostRace(UpdateRefused):
    """Somebody else changed the same thing first; look again and decide anew."""

    label = "update.conflict"


class ValidationFailed(UpdateRefused):
    """The release was tried in a throw-away process and failed there (``stage``)."""

    label = "update.validation"


class ShadowFailed(UpdateRefused):
    """On copies of live frames the release disagreed with what serves, or was too slow."""

    label = "update.shadow"


class BakeFailed(UpdateRefused):
    """The release served and was worse than the one before: it was rolled back."""

    label = "update.bake"


class SamplesBlind(UpdateRefused):
    """The golden samples would not notice a damaged or wrong model: add better ones."""

    label = "update.blind_samples"


class PublishRefused(UpdateRefused):
    """The author's repository does not allow this change: a key, a name or a number is wrong."""

    label = "update.publish"


class ConfigError(GatewayError):
    """The configuration is wrong: fix the file. Carries every issue found."""

    label = "config"

    def __init__(self, issues: tuple[ConfigIssue, ...]) -> None:
        super().__init__("\n".join(str(issue) for issue in issues))
        self.issues = issues


class PipelineMisfit(GatewayError):
    """A pipeline cannot work on its model: ``step`` is the path of the step at fault, ``reason`` says why."""

    label = "config.pipeline"

    def __init__(self, step: str, message: str) -> None:
        super().__init__(f"{step}: {message}", step=step)
        self.step = step
        self.reason = message

    def within(self, path: str) -> PipelineMisfit:
        """Return the same error with the step's path under ``path``, such as ``pipelines.door``."""
        return PipelineMisfit(f"{path}.{self.step}", self.reason)


class GatewayBug(GatewayError):
    """Never expected: a broken invariant of the gateway itself."""

    label = "bug"


class IllegalTransition(GatewayBug):
    """A state machine was given an event that its state does not allow."""

    label = "bug.transition"
