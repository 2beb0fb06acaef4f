"""Running the prepared rows of a batch: stacked where that is allowed, alone where it is needed.

Rules:
1. Rows of all members are stacked when the model takes any number of rows, keeps
   them apart and carries no state; at most ``ROW_CAP`` rows a run.
2. Otherwise each row runs alone, in order; recurrent tensors pass from a row to
   the next and stay in the stream's state.
3. A stacked run that raises is repeated for each of its members alone, once, so
   that only the member at fault fails.
4. A member whose deadline passes before one of its rows does not run further.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gateway.errors import DeadlineRunning, EngineFailed, GatewayError, RunFailed
from gateway.frames.prepared import Prepared, StreamState
from gateway.inference.engines.engine import BatchAxis, Engine
from gateway.inference.row_trial import rows_stay_apart
from gateway.model import ModelCard
from gateway.tensor import Array, TensorSpec, array_type, zeros

# The arena keeps what the largest run needed, and cost per row hardly falls beyond eight.
ROW_CAP = 32

_STATE_PREFIX = "model."

Clock = Callable[[], float]


@dataclass(slots=True, eq=False)
class Job:
    """One member on its way through the engine. Mutable.

    Attributes:
        prepared: Its rows; see ``Prepared``.
        state: What its stream carries.
        deadline_s: Absolute monotonic seconds.
        outputs: One mapping a row that ran, leading axis 1; views on the batch's outputs.
        error: Why it failed.
        infer_s: Seconds of the engine runs that it took part in.
    """

    prepared: Prepared
    state: StreamState
    deadline_s: float
    outputs: list[Mapping[str, Array]] = field(default_factory=list)
    error: GatewayError | None = None
    infer_s: float = 0.0


class RowRunner:
    """Feeds one engine. Not thread-safe: a lane owns it.

    Attributes:
        stacks: Whether rows of several requests run at once; where the file does not tell whether axis 0 is
            one of rows, not before ``settle``.
    """

    def __init__(self, engine: Engine, card: ModelCard) -> None:
        self._engine = engine
        specs = {spec.name: spec for spec in engine.inputs}
        shapes = {tensor.name: tensor.shape for tensor in card.inputs}
        self._shapes = {name: _sizes(spec, shapes.get(name, ())) for name, spec in specs.items()}
        self._constants = {
            name: np.full(self._shapes[name], value, specs[name].dtype)
            for name, value in card.constants.items()
        }
        self._carried = [(state.input, state.output, _STATE_PREFIX + state.input) for state in card.state]
        self._dtypes = {name: array_type(spec.dtype) for name, spec in specs.items()}
        # A constant of any rank may have rows or not; nothing here can tell, so it is not stacked.
        may_stack = not self._carried and not self._constants
        self.stacks = may_stack and engine.batch_axis is BatchAxis.ROWS
        self._is_open = may_stack and engine.batch_axis is BatchAxis.OPEN

    def settle(self, *, is_quick: bool) -> None:
        """Find out whether axis 0 is one of rows, if nothing says so: once, and only of what runs quickly."""
        if self._is_open and is_quick:
            self.stacks = rows_stay_apart(self._engine.run, self._shapes, self._dtypes)
        self._is_open = False

    def zeros(self) -> dict[str, Array]:
        """Return one row of zeros for every input that a payload feeds."""
        fed = {name for name, _, _ in self._carried} | set(self._constants)
        return {
            name: zeros(shape, self._dtypes[name]) for name, shape in self._shapes.items() if name not in fed
        }

    def run(self, jobs: Sequence[Job], now: Clock) -> None:
        """Run every job's rows; outputs, errors and times are left in the jobs."""
        if not self.stacks:
            for job in jobs:
                self._run_in_order(job, now)
            return
        suspects: list[Job] = []
        for chunk in _chunks(jobs):
            if not self._run_stacked(chunk, now):
                suspects += [job for job, _ in chunk if job.error is None]
        for job in dict.fromkeys(suspects):
            self._run_alone(job, now)

    def _run_stacked(self, chunk: Sequence[tuple[Job, dict[str, Array]]], now: Clock) -> bool:
        """Run rows of several jobs at once; return False if they have to run alone."""
        started_s = now()
        first_job, first_row = chunk[0]
        count = len(chunk)
        try:
            if count == 1:
                first_job.outputs.append(self._engine.run(first_row))
                first_job.infer_s += now() - started_s
                return True
            stacked = {name: np.concatenate([row[name] for _, row in chunk]) for name in first_row}
            outputs = self._engine.run(stacked)
            if any(array.shape[:1] != (count,) for array in outputs.values()):
                raise RunFailed(f"the model gave {_shapes(outputs)} for {count} rows")
        except (EngineFailed, ValueError, KeyError) as error:
            return self._blame(chunk, error)
        took_s = now() - started_s
        for index, (job, _) in enumerate(chunk):
            job.outputs.append({name: array[index : index + 1] for name, array in outputs.items()})
        for job in {id(job): job for job, _ in chunk}.values():
            job.infer_s += took_s
        return True

    def _blame(self, chunk: Sequence[tuple[Job, dict[str, Array]]], error: Exception) -> bool:
        """Fail the only member of a run at once; return False if there are several."""
        jobs = {id(job): job for job, _ in chunk}
        if len(jobs) > 1:
            return False
        for job in jobs.values():
            job.error = error if isinstance(error, GatewayError) else RunFailed(f"rows do not fit: {error}")
        return True

    def _run_alone(self, job: Job, now: Clock) -> None:
        job.outputs.clear()
        for chunk in _chunks([job]):
            if job.error is None:
                self._run_stacked(chunk, now)

    def _run_in_order(self, job: Job, now: Clock) -> None:
        arrays = job.state.arrays
        started_s = now()
        try:
            for row in job.prepared.rows:
                if now() >= job.deadline_s:
                    raise DeadlineRunning(f"{len(job.outputs)} of {len(job.prepared.rows)} rows had run")
                outputs = self._engine.run(
                    self._complete(row, arrays) if self._carried or self._constants else row
                )
                for _, output, key in self._carried:
                    arrays[key] = outputs[output]
                job.outputs.append(outputs)
        except GatewayError as error:
            job.error = error
        job.infer_s = now() - started_s

    def _complete(self, row: Mapping[str, Array], arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Return the row with constants and recurrent tensors."""
        whole = {**self._constants, **row}
        for name, _, key in self._carried:
            if name in row:  # whoever brings a state wants no other
                continue
            held = arrays.get(key)
            fits = held is not None and held.shape == self._shapes[name] and held.dtype == self._dtypes[name]
            whole[name] = (
                held if held is not None and fits else np.zeros(self._shapes[name], self._dtypes[name])
            )
        return whole


def _chunks(jobs: Sequence[Job]) -> list[list[tuple[Job, dict[str, Array]]]]:
    """Return rows that can be stacked, in order: of one form, and not too many."""
    chunks: list[list[tuple[Job, dict[str, Array]]]] = []
    last: list[tuple[str, tuple[int, ...]]] = []
    for job in jobs:
        for row in job.prepared.rows:
            form = [(name, array.shape[1:]) for name, array in row.items()]
            if not chunks or form != last or len(chunks[-1]) == ROW_CAP:
                chunks.append([])
            chunks[-1].append((job, row))
            last = form
    return chunks


def _sizes(spec: TensorSpec, stated: tuple[int, ...]) -> tuple[int, ...]:
    """Return the sizes of one row: the file's where fixed, else the card's, else 1."""
    card = stated if len(stated) == len(spec.shape) else (-1,) * len(spec.shape)
    return tuple(
        size if size is not None else max(said, 1) for size, said in zip(spec.shape, card, strict=True)
    )


def _shapes(outputs: Mapping[str, Array]) -> str:
    return ", ".join(f"{name} {array.shape}" for name, array in outputs.items())
