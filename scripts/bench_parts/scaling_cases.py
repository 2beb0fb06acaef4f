"""The case of scaling: the real policy for half a day on reckoned boards, judged and drawn."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import harness

from gateway.scaling.decisions import Action, Reason
from gateway.scaling.policy import Policy
from gateway.scaling.rules import Rules
from tests.scaling.soak import Report, soak
from tests.scaling.traces import BOARDS, Trace, trace

Figures = dict[str, Any]

PLOTS = harness.ROOT / "var" / "scaling"

_HOURS = 12.0
_MODELS = (1, 2, 4, 8)
_GIB = 1 << 30
_MOST_POINTS = 4000


def scaling(rounds: int, plots: Path = PLOTS) -> Figures:
    """Twelve reckoned hours each of a 4 GB Nano, an 8 GB Orin Nano and a 64 GB AGX; plots are saved."""
    rules = Rules()
    plots.mkdir(parents=True, exist_ok=True)
    seen: Figures = {}
    failed = []
    print(
        f"\n{'trace':36} {'OOM':>3} {'flaps':>5} {'back':>4} {'most':>6} {'mean':>6} "
        f"{'budget':>6} {'served':>6}"
    )
    for board in BOARDS:
        for models in _MODELS:
            for seed in range(max(1, rounds // 3)):
                made = trace(board, models, seed, _HOURS)
                report = soak(made, Policy(rules), rules, seed)
                seen[made.name] = _figures(report)
                if not report.passed:
                    failed.append(made.name)
                _print(report)
                _draw(report, rules, plots / f"{made.name}.png")
    seen["plots"] = str(plots)
    seen["goal"] = (
        "no OOM, nothing done and undone within a cool-down, <= 6 lanes an hour that had to go again"
    )
    seen["failed"] = failed
    return seen


CASES = {"scaling": scaling}


def _figures(report: Report) -> Figures:
    return {
        "oom_kills": len(report.killed),
        "flaps": len(report.flaps),
        "taken_back": report.taken_back,
        "most_used": round(max(report.used), 3),
        "mean_used": round(sum(report.used) / len(report.used), 3),
        "samples_with_a_lasting_wish": report.wished,
        "budget_used": round(report.budget_used, 2) if report.wished else None,
        "not_one_more_fits": round(report.full, 2) if report.wished else None,
        "served": round(report.served, 3),
        "scale_out_wanted_s": report.scale_out_s,
        "paused_s": report.paused_s,
        "decisions": dict(
            Counter(f"{each.action.value} {each.reason.value}" for _, each in report.decisions)
        ),
    }


def _print(report: Report) -> None:
    budget = f"{report.budget_used:6.0%}" if report.wished else f"{'-':>6}"
    print(
        f"{report.trace.name:36} {len(report.killed):3} {len(report.flaps):5} {report.taken_back:4} "
        f"{max(report.used):6.1%} {sum(report.used) / len(report.used):6.1%} {budget} {report.served:6.1%}",
        flush=True,
    )


def _draw(report: Report, rules: Rules, path: Path) -> None:
    """Save memory and lanes over time as a picture."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    made = report.trace
    every = max(1, len(report.used) // _MOST_POINTS)
    hours = [second / 3600 for second in range(0, len(report.used), every)]
    figure, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(12, 7), layout="constrained")
    _draw_memory(above, report, rules, hours, every)
    for name, lanes in report.lanes.items():
        below.step(hours, lanes[::every], where="post", label=name, linewidth=1)
    below.set_ylabel("lanes")
    below.set_xlabel("hours")
    below.legend(loc="upper right", fontsize="x-small", ncols=4)
    verdict = "passed" if report.passed else "FAILED"
    figure.suptitle(
        f"{made.name}: {verdict}; {len(report.killed)} OOM, {len(report.flaps)} flaps, "
        f"{report.served:.1%} of the rows answered in time"
    )
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _draw_memory(axes: Any, report: Report, rules: Rules, hours: list[float], every: int) -> None:
    made: Trace = report.trace
    total = made.total_bytes / _GIB
    others = [made.others_bytes(hour * 3600) / _GIB for hour in hours]
    axes.fill_between(hours, others, color="0.85", label="other programs")
    axes.plot(hours, [share * total for share in report.used[::every]], linewidth=0.8, label="in use")
    axes.axhline(rules.high_mark * total, color="tab:orange", linestyle="--", label="mark")
    axes.axhline(total, color="tab:red", label="all memory")
    for action, reason, colour in (
        (Action.SHRINK, Reason.ABOVE_MARK, "tab:orange"),
        (Action.SHRINK, Reason.EMERGENCY, "tab:red"),
        (Action.PAUSE, Reason.ABOVE_MARK, "tab:purple"),
    ):
        at = [
            at_s / 3600 for at_s, each in report.decisions if each.action is action and each.reason is reason
        ]
        if at:
            axes.plot(
                at, [total * 0.97] * len(at), "v", color=colour, label=f"{action.value}: {reason.value}"
            )
    axes.set_ylabel("GiB")
    axes.legend(loc="lower right", fontsize="x-small", ncols=4)
