"""The pages of the server as a whole: what it is, whether it lives, and its repository of models."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.configuration.serving_settings import ServingSettings
from gateway.operations.build import VERSION
from gateway.serving.load_config import changed_parameters
from gateway.serving.model_view import Health, Models, Repository
from gateway.serving.rest.exchange import JSON, Ask, Reply, json_reply
from gateway.serving.rest.json_fields import member_flag, member_object
from gateway.serving.rest.json_reading import read_object
from gateway.serving.rest.openapi import document


class ServerPages:
    """Handles what names no model but in the repository."""

    def __init__(
        self,
        settings: ServingSettings,
        extensions: Sequence[str],
        models: Models,
        repository: Repository,
        health: Health,
    ) -> None:
        """Prepare.

        Args:
            settings: What the server calls itself, and its limits.
            extensions: What it does beyond the protocol's core.
            models: What there is.
            repository: Loads and unloads.
            health: Whether the gateway answers.
        """
        name = settings.name
        self._metadata = {"name": name, "version": VERSION, "extensions": list(extensions)}
        self._models = models
        self._repository = repository
        self._health = health
        self._max_depth = settings.max_json_depth
        self._document = json_reply(document(name, VERSION, settings.shared_memory.max_region_bytes))

    async def metadata(self, _ask: Ask) -> Reply:
        """Say what this is."""
        return json_reply(self._metadata)

    async def openapi(self, _ask: Ask) -> Reply:
        """Give the description of this door that programs read."""
        return self._document

    async def live(self, _ask: Ask) -> Reply:
        """Say whether the process works. Some clients look at the status alone, some at the body alone."""
        is_live = self._health.is_live()
        return json_reply({"live": is_live}, 200 if is_live else 503)

    async def ready(self, _ask: Ask) -> Reply:
        """Say whether every model that should serve does."""
        is_ready = self._health.is_ready()
        return json_reply({"ready": is_ready}, 200 if is_ready else 503)

    async def models(self, _ask: Ask) -> Reply:
        """List the names that can be asked for."""
        return json_reply({"models": list(dict.fromkeys(entry.name for entry in self._models.index()))})

    async def index(self, ask: Ask) -> Reply:
        """List every model that is known, or those that are ready.

        Raises:
            Malformed: The body is not as it should be.
        """
        only_ready = member_flag(read_object(ask.body, self._max_depth), "ready", "") or False
        entries = [
            {"name": entry.name, "version": entry.version, "state": entry.state, "reason": entry.reason}
            for entry in self._models.index()
            if entry.state == "READY" or not only_ready
        ]
        return json_reply(entries)

    async def load(self, ask: Ask) -> Reply:
        """Load a model.

        Raises:
            GatewayError: As ``Repository.load``.
        """
        parameters = member_object(read_object(ask.body, self._max_depth), "parameters", "")
        await self._repository.load(ask.model, changed_parameters(parameters, ask.model, self._models))
        return Reply(200, b"{}", JSON)

    async def unload(self, ask: Ask) -> Reply:
        """Unload a model; no model here depends on another.

        Raises:
            GatewayError: As ``Repository.unload``.
        """
        parameters = member_object(read_object(ask.body, self._max_depth), "parameters", "")
        member_flag(parameters, "unload_dependents", "parameters")
        await self._repository.unload(ask.model)
        return Reply(200, b"{}", JSON)
