"""What recording costs a cell that prints: the same loop in one kernel, heard and not, in turns (CPU time of its thread).

    python tests/benchmarks/bench_output.py [PYTHON]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.kernels.harness import Machine

SETUP = """
import sys, time
from colab_guard.clock import SystemClock
from colab_guard.session.output import CellOutput
shell = get_ipython()
def prints(lines):
    began = time.thread_time()
    for i in range(lines):
        print("step", i, "loss 0.12345")
    return time.thread_time() - began
def bars(redraws):
    began = time.thread_time()
    for i in range(redraws):
        sys.stderr.write(f"\\r{i:5d}/{redraws} [##########          ] it/s")
    return time.thread_time() - began
def heard(work, count):
    output = CellOutput(shell, SystemClock(), print)
    with output.heard():
        took = work(count)
        before = time.thread_time()
        parts = output.parts()
        return took, time.thread_time() - before, sum(map(len, parts.values()))
def compare(work, count, rounds=5):
    plain, other = [], []
    for _ in range(rounds):
        time.sleep(0.5)
        plain.append(work(count))
        time.sleep(0.5)
        other.append(heard(work, count))
    p, (h, stall, size) = min(plain), min(other)
    return f"{work.__name__}: plain {p / count * 1e6:.2f} us, heard {h / count * 1e6:.2f} us each: x {h / p:.2f}; last commit: stall {stall * 1e3:.2f} ms, {size} bytes in all"
"""


def main(python: str) -> None:
    with tempfile.TemporaryDirectory() as folder, Machine(Path(folder), python).kernel() as kernel:
        assert not kernel.run(SETUP).error
        print(kernel.run("import IPython, ipykernel; (sys.version.split()[0], IPython.__version__, ipykernel.__version__)").value)
        for work in ("prints, 100_000", "bars, 100_000"):
            done = kernel.run(f"compare({work})")
            print(done.error or done.value)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else sys.executable)
