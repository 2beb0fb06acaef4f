"""Aliases and versions beside others, as the JSON of /status."""

from __future__ import annotations

from gateway.daemon.alias_table import Alias
from gateway.daemon.beside import Beside, numbers_beside
from gateway.daemon.resolver import Resolver


def alias_words(alias: Alias, resolver: Resolver) -> dict[str, object]:
    """Return an alias: where it leads, where it should, and why one does not answer."""
    return {
        "name": alias.name,
        "state": alias.state.value,
        "reason": alias.reason,
        "targets": [
            {
                "model": each.model,
                "version": each.version,
                "weight": each.weight,
                "reason": resolver.why_not(each),
            }
            for each in alias.active
        ],
        "wish": [
            {"model": each.model, "version": each.version, "weight": each.weight} for each in alias.wish
        ],
    }


def beside_words(model: str, beside: Beside) -> list[dict[str, object]]:
    """Return the releases of a model that serve beside the one that its name leads to, or should."""
    serving = numbers_beside(beside.versions, model)
    found: list[dict[str, object]] = []
    for number in serving:
        version = beside.versions[model, number]
        pool = version.scheduler.pool
        lanes = {"ready": pool.ready, "wanted": pool.wanted, "pids": pool.pids}
        said = {"release": number, "version": version.card_version, "lanes": lanes}
        found.append({**said, "reason": version.watch.lost_because})
    for (name, number), why in sorted(beside.trouble.items()):
        if name == model and number not in serving:
            found.append({"release": number, "version": "", "lanes": None, "reason": why})
    return found
