"""Processor time of the memory guard and its sentinel process, as a share of training's; run it, it prints one line.

    python tests/benchmarks/bench_guard.py [SECONDS]

A guarded cell trains a small MLP for SECONDS (60) in a process of its own with `%memguard 0.85` in force. Counted, by the
scheduler's own clock, are the sentinel process and the guard's thread in the kernel, against all of the training process;
what it costs to start the sentinel, once for a kernel, is told apart.
"""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import os, sys, tempfile, threading, time
os.environ["COLAB_GUARD_HOME"] = tempfile.mkdtemp()
import psutil, torch
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("%load_ext colab_guard")
shell.run_cell("%memguard 0.85")
from colab_guard.session import current
guard = current(shell).memory
def spent(*way):  # seconds on a processor, to the nanosecond; psutil's ticks are of 10 ms
    return int(open("/".join(["/proc", *map(str, way), "schedstat"])).read().split()[0]) / 1e9
time.sleep(3)
sentinel = guard._watcher.pid
number = next(t.native_id for t in threading.enumerate() if t.name == "colab_guard-memory")
start = spent(sentinel)
own = psutil.Process()
before, thread_before = sum(own.cpu_times()[:2]), spent("self", "task", number)
began = time.monotonic()
shell.run_cell_magic("checkpointed", "bench --every 10s", '''
import time, torch
model = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 8))
optimizer = torch.optim.AdamW(model.parameters())
until = time.monotonic() + {seconds}
while time.monotonic() < until:
    optimizer.zero_grad()
    model(torch.randn(256, 64)).square().mean().backward()
    optimizer.step()
''')
wall = time.monotonic() - began
training = sum(own.cpu_times()[:2]) - before
rss = psutil.Process(sentinel).memory_info().rss
print(wall, training, spent(sentinel) - start, spent("self", "task", number) - thread_before, start, rss)
"""


def main(seconds: float = 60.0) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT.format(seconds=seconds)], capture_output=True, text=True, check=True)
    wall, training, sentinel, thread, start, rss = map(float, done.stdout.splitlines()[-1].split())
    both = sentinel + thread
    print(
        f"sentinel {sentinel * 1000:.0f} ms + guard {thread * 1000:.0f} ms beside {training:.1f} s of training in {wall:.0f} s: "
        f"{both / training:.2%} of its processor time (target: at most 0.2 %), {both / wall:.2%} of the time; "
        f"the start {start * 1000:.0f} ms, memory {rss / 2**20:.0f} MiB"
    )


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]))
