"""``gateway check``: everything that can be wrong with a configuration, before anything depends on it.

The file is read, then the broker's certificates, then each model is proven in a
process of its own, as the gateway itself does at its start. One run finds all.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gateway.cli.exit_codes import ExitCode
from gateway.config_issue import ConfigIssue
from gateway.configuration.load import LoadedSettings, inspect
from gateway.configuration.reader import in_order
from gateway.configuration.settings import Settings
from gateway.errors import ConfigError, GatewayError, PipelineMisfit

if TYPE_CHECKING:
    from gateway.inference.proven import Proof  # runtimes' rooms: not for --no-models


@dataclass(slots=True)
class Report:
    """What was found. Mutable.

    Attributes:
        file: Path of the file, as given.
        issues: What is wrong.
        warnings: What is unwise.
        proofs: What was seen of each model that loaded and ran.
    """

    file: str
    issues: list[ConfigIssue] = field(default_factory=list)
    warnings: list[ConfigIssue] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", metavar="FILE", help="configuration file")
    parser.add_argument(
        "--no-models", action="store_true", help="do not load the models: faster, but no pipeline is tried"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Check the file and tell everything that was found."""
    report = Report(options.file)
    try:
        loaded = inspect(options.file)
    except ConfigError as error:
        report.issues.extend(error.issues)
    else:
        report.warnings.extend(loaded.warnings)
        report.issues.extend(loaded.issues)
        report.issues.extend(_certificates(loaded))
        if options.no_models:
            report.issues.extend(_steps(loaded))
        else:
            asyncio.run(_prove_models(loaded, report))
    report.issues[:] = in_order(report.issues)
    if options.json:
        print(json.dumps(_document(report)))
    else:
        _print(report)
    return ExitCode.CONFIG if report.issues else ExitCode.OK


def _certificates(loaded: LoadedSettings) -> Iterator[ConfigIssue]:
    """Yield what is wrong with the files that TLS needs; what is known already is not looked at again."""
    from gateway.mqtt.dial import read_target

    if _touched("mqtt", loaded.issues):
        return
    try:
        read_target(loaded.settings.mqtt)
    except ConfigError as error:
        for issue in error.issues:
            yield loaded.positions.issue(issue.path, issue.what)


def _steps(loaded: LoadedSettings) -> Iterator[ConfigIssue]:
    """Yield what can be said of steps without their model: names and options."""
    from gateway.frames.step_options import read_options
    from gateway.frames.steps import step_class, step_path

    for name, pipeline in loaded.settings.pipelines.items():
        for role, steps in (("pre", pipeline.preprocess), ("post", pipeline.postprocess)):
            for index, step in enumerate(steps or ()):
                path = f"pipelines.{name}.{step_path(role, index, step)}"
                try:
                    read_options(step_class(role, step.name, path), step.options, path)
                except PipelineMisfit as misfit:
                    yield _misfit_issue(loaded, misfit)


async def _prove_models(loaded: LoadedSettings, report: Report) -> None:
    """Prove every model that has no issue yet, one after the other: the board may be at work."""
    settings = loaded.settings
    for name in settings.models:
        if _touched(f"models.{name}", loaded.issues) or _touched("inference", loaded.issues):
            continue
        pipelines = {p for p in settings.pipelines if not _touched(f"pipelines.{p}", loaded.issues)}
        await _prove(name, loaded, pipelines, report)


async def _prove(name: str, loaded: LoadedSettings, pipelines: set[str], report: Report) -> None:
    """Prove one model, again without a pipeline that does not fit, until nothing new is found."""
    from gateway.daemon.model_plan import load_spec
    from gateway.inference.choosing import Chooser, Unheard

    chooser = Chooser(None, None, Unheard())
    model = loaded.settings.models[name]
    while True:
        spec = load_spec(name, _only(loaded.settings, pipelines))
        try:
            report.proofs.append((await chooser.choose(spec, timeout_s=model.load_timeout_s)).proof)
        except PipelineMisfit as misfit:
            issue = _misfit_issue(loaded, misfit)
            report.issues.append(issue)
            at_fault = {
                each.name for each in spec.pipelines if _is_below(issue.path, f"pipelines.{each.name}")
            }
            pipelines = pipelines - at_fault
            if at_fault:
                continue
        except ConfigError as error:  # the card's own issues, in the card's own file
            report.issues.extend(error.issues)
        except GatewayError as error:
            report.issues.append(loaded.positions.issue(f"models.{name}.path", error.message))
        return


def _misfit_issue(loaded: LoadedSettings, misfit: PipelineMisfit) -> ConfigIssue:
    what = misfit.message.removeprefix(f"{misfit.step}: ")
    return loaded.positions.issue(misfit.step, what)


def _only(settings: Settings, pipelines: set[str]) -> Settings:
    return replace(settings, pipelines={n: p for n, p in settings.pipelines.items() if n in pipelines})


def _touched(path: str, issues: Iterable[ConfigIssue]) -> bool:
    """Return whether a section has an issue, so that what is found in it would merely follow."""
    return any(_is_below(issue.path, path) for issue in issues)


def _is_below(path: str, section: str) -> bool:
    return path == section or path.startswith((f"{section}.", f"{section}["))


def _document(report: Report) -> dict[str, Any]:
    return {
        "file": report.file,
        "ok": not report.issues,
        "issues": [asdict(issue) for issue in report.issues],
        "warnings": [asdict(warning) for warning in report.warnings],
        "models": [
            asdict(proof.version) | {"latency_ms": proof.latency_ms, "memory_bytes": proof.memory_bytes}
            for proof in report.proofs
        ],
    }


def _print(report: Report) -> None:
    for warning in report.warnings:
        print(
            f"{warning.file}:{warning.line}:{warning.column}: warning: {warning.path}: {warning.what}",
            file=sys.stderr,
        )
    for issue in report.issues:
        print(issue, file=sys.stderr)
    for proof in report.proofs:
        version = proof.version
        cost = f"{proof.latency_ms:.1f} ms, {proof.memory_bytes / 1e6:.0f} MB"
        print(f"model {version.name}: {version.version}, {version.engine}: loads and runs ({cost})")
    count = len(report.issues)
    print(f"{report.file}: " + ("ok" if not count else f"{count} issue{'s' if count > 1 else ''}"))
