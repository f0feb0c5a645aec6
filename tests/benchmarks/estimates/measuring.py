"""What training really took: on a CPU every allocation and release of torch's allocator, on a GPU the peak that it reserved."""

from __future__ import annotations

from collections.abc import Callable


def on_cpu(work: Callable[[], None]) -> int:
    """Peak bytes that lived at once in torch's CPU allocator: its own reports to the profiler, added up in order of time."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        work()
    reports = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    live = peak = 0
    for event in sorted(reports, key=lambda event: event.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak


def on_gpu(work: Callable[[], None]) -> int:
    """Peak bytes that the caching allocator reserved, of a process that did nothing else before."""
    import torch

    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    work()
    return int(torch.cuda.max_memory_reserved())
