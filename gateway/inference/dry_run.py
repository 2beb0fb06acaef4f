"""Passing a made-up payload through a compiled pipeline and the real model, before any real one comes.

Compiling proves that specs fit each other, and the steps' own dry run that each
works; this proves that what the model really gives can be read.
"""

from __future__ import annotations

from gateway.errors import GatewayError, PipelineMisfit
from gateway.frames.dry_run import dry_run as run_steps
from gateway.frames.prepared import StreamState
from gateway.inference.loaded import LoadedModel


def dry_run(model: LoadedModel, name: str) -> int:
    """Run a made-up payload through the pipeline called ``name``; return the model runs it made.

    Raises:
        PipelineMisfit: The steps or the model could not take it, or its outputs could not be read.
        GatewayError: The model itself failed.
    """
    pipeline = model.pipeline(name)
    try:
        prepared = run_steps(pipeline)
    except PipelineMisfit as error:
        raise error.within(f"pipelines.{name}") from error
    outputs = model.run_rows(prepared.rows)
    try:
        pipeline.finish(prepared, outputs, StreamState())
    except GatewayError as error:
        path = f"pipelines.{name}.{pipeline.answer_path}"
        raise PipelineMisfit(path, f"dry run: {error.message}") from error
    return len(outputs)
