"""The gauges of scaling, read from the autoscaler when somebody asks."""

from __future__ import annotations

from gateway.daemon.autoscaler import Autoscaler
from gateway.operations.metrics import Metrics


def connect_scaling_gauges(metrics: Metrics, autoscaler: Autoscaler) -> None:
    """Let the gauges of lanes, their cost and what they wish for be read."""
    metrics.lanes_most.read_from(lambda: [((name,), most) for name, most in autoscaler.max_lanes().items()])
    metrics.lane_cost.read_from(
        lambda: [((name,), count) for name, count in autoscaler.lane_cost_bytes().items()]
    )
    metrics.scale_out_wanted.read_from(lambda: [((), float(autoscaler.scale_out.wanted))])
    metrics.scale_in_possible.read_from(lambda: [((), float(autoscaler.scale_out.spare))])
    metrics.paused_through.read_from(
        lambda: [((device,), priority) for device, priority in autoscaler.paused().items()]
    )
