"""Draws the live table as plain lines of text; no terminal is touched here."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.demo.status import SensorStatus, Status, StreamStatus
from gateway.demo.words import in_words, printable


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its title, the least letters it gets, and where its cells stand."""

    title: str
    least: int
    right: bool = False


# The least widths add up to the 80 columns of a plain terminal.
COLUMNS = (
    Column("SENSOR", 8),
    Column("PRESENCE", 8),
    Column("MODEL", 7),
    Column("RATE", 6, right=True),
    Column("RESULT", 12),
    Column("AGE", 6, right=True),
    Column("P50 MS", 6, right=True),
    Column("P99 MS", 6, right=True),
    Column("DROPS", 5),
)
# What may be cut, widest first, when the terminal is narrow.
_SHRINKING = (4, 8, 2, 0, 1)
_GAP = "  "


def table(status: Status, width: int) -> list[str]:
    """Return lines of at most ``width`` letters: a head, and a line for every stream."""
    rows = [
        _row(status, sensor, stream)
        for sensor in sorted(status.sensors.values(), key=lambda sensor: sensor.id)
        for stream in sensor.streams or (StreamStatus(name=""),)
    ]
    widths = [
        max([column.least, len(column.title)] + [len(row[index]) for row in rows])
        for index, column in enumerate(COLUMNS)
    ]
    for index in _SHRINKING:
        excess = sum(widths) + len(_GAP) * (len(widths) - 1) - width
        if excess > 0:
            widths[index] = max(COLUMNS[index].least, widths[index] - excess)
    head = _line([column.title for column in COLUMNS], widths)
    return [line[:width].rstrip() for line in (head, *(_line(row, widths) for row in rows))]


def _row(status: Status, sensor: SensorStatus, stream: StreamStatus) -> list[str]:
    models = dict.fromkeys(status.model_of.get(pipeline, pipeline) for pipeline in sensor.pipelines)
    drops = " ".join(f"{reason}:{count}" for reason, count in sorted(stream.drops.items()) if count)
    cells = [
        sensor.name,
        sensor.presence,
        ", ".join(models) or (sensor.admission or "-"),
        "-" if stream.rate_hz is None else f"{stream.rate_hz:.1f}/s",
        in_words(stream.last_result),
        _age(stream.last_result_age_s),
        _milliseconds(stream.p50_ms),
        _milliseconds(stream.p99_ms),
        drops or "-",
    ]
    return [printable(cell) for cell in cells]


def _line(cells: list[str], widths: list[int]) -> str:
    fitted = (_fitted(cell, size) for cell, size in zip(cells, widths, strict=True))
    placed = (
        cell.rjust(size) if column.right else cell.ljust(size)
        for cell, size, column in zip(fitted, widths, COLUMNS, strict=True)
    )
    return _GAP.join(placed)


def _fitted(cell: str, size: int) -> str:
    return cell if len(cell) <= size else cell[: max(0, size - 1)] + "…"


def _age(age_s: float | None) -> str:
    if age_s is None:
        return "-"
    return f"{age_s:.1f} s" if age_s < 60 else f"{age_s / 60:.0f} min"


def _milliseconds(value_ms: float | None) -> str:
    return "-" if value_ms is None else f"{value_ms:.1f}"
