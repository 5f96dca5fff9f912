"""Where a step's time goes, by torch.profiler."""

from __future__ import annotations

from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from p2pbench.bench.workloads import build_ours
from p2pbench.config.schema import RunConfig

N_STEPS = 5


def profile_step(config: RunConfig) -> list[dict[str, Any]]:
    """The operations of our step, the slowest first, as they run one after another: five steps after three others.

    Returns:
        For each: ``operation``, its own ``milliseconds`` per step (on the GPU's clock where there is one), ``share`` of
        all, and ``calls`` per step.
    """
    step, _ = build_ours(config)
    for _ in range(3):
        step()
    on_cuda = torch.cuda.is_initialized()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])]
    with profile(activities=activities) as recorded:
        for _ in range(N_STEPS):
            step()
        if on_cuda:
            torch.cuda.synchronize()
    spent = [
        (event.key, event.self_device_time_total if on_cuda else event.self_cpu_time_total, event.count)
        for event in recorded.key_averages()
    ]
    total = sum(microseconds for _, microseconds, _ in spent)
    return [
        {
            "operation": name,
            "milliseconds": microseconds / 1000 / N_STEPS,
            "share": microseconds / total,
            "calls": count / N_STEPS,
        }
        for name, microseconds, count in sorted(spent, key=lambda found: -found[1])
        if microseconds > 0
    ]
