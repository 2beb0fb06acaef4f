"""Checks a whole store, with its lock or without, and mends what can be mended here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace

from gateway.errors import GatewayError, StoreFailed
from gateway.updates.store.ballast import Ballast
from gateway.updates.store.check_books import Books
from gateway.updates.store.check_bytes import Bytes
from gateway.updates.store.finding import Finding, Problem
from gateway.updates.store.layout import Layout
from gateway.updates.store.records import Records
from gateway.updates.store.trouble import told


def check(layout: Layout, *, mend: bool, settled: bool, tell: Callable[..., object]) -> list[Finding]:
    """Read everything in a store and return what is not as it should be.

    Args:
        layout: Where.
        mend: Whether to do what each finding's remedy says. Only for who holds the lock, while no child
            that was given it is at work.
        settled: Whether nobody else writes meanwhile. If somebody may, what is half made is passed over,
            and a finding may be gone when one looks again.
        tell: Called as ``Store.audit`` is, for everything that was mended.

    Raises:
        StoreFailed: A folder cannot be read, or there is none, or it is another user's and shall be mended.
    """
    require_store(layout, mend=mend)
    with told(f"model store {layout.root}"):
        findings = [_mended(problem) if mend else problem.finding for problem in _problems(layout, settled)]
    for each in findings:
        if each.mended:
            tell("mended", path=each.path, problem=each.problem, remedy=each.remedy)
    return findings


def require_store(layout: Layout, *, mend: bool) -> None:
    """Refuse a folder that is no store of ours, before anything is made in it.

    Raises:
        StoreFailed: There are no folders of a store, or they are another user's and shall be mended.
    """
    with told(f"model store {layout.root}"):
        missing = [folder for folder in layout.folders() if folder.is_symlink() or not folder.is_dir()]
        if missing:
            raise StoreFailed(f"model store {layout.root}: {missing[0].name} is no folder of a model store")
        owner = layout.root.stat().st_uid
        if mend and owner != os.geteuid():
            raise StoreFailed(f"model store {layout.root}: it belongs to user {owner}; mend it as that user")


def _problems(layout: Layout, settled: bool) -> Iterator[Problem]:
    records = Records(layout, Ballast(layout.ballast), mends=False, tell=lambda *_: None)
    yield from Books(layout, records, settled).problems()
    yield from Bytes(layout, {model: records.read(model) for model in records.models()}).problems()


def _mended(problem: Problem) -> Finding:
    """Do what the remedy says and return the finding with what came of it."""
    if problem.mend is None:
        return problem.finding
    try:
        problem.mend()
    except (OSError, GatewayError) as error:
        return replace(problem.finding, remedy=f"{problem.finding.remedy} (tried: {error})")
    return replace(problem.finding, mended=True)
