"""What `import colab_guard` and `%load_ext colab_guard` cost over plain IPython; run it, it prints one line each.

    python tests/benchmarks/bench_load.py

Each figure is the median of ROUNDS fresh interpreters; IPython is imported, and its shell made, before the clock starts.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

ROUNDS = 7
SCRIPT = """
import time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("pass")
began = time.perf_counter()
{code}
print((time.perf_counter() - began) * 1000)
"""
CASES = {
    "import colab_guard": "import colab_guard",
    "%load_ext colab_guard": "shell.run_cell('%load_ext colab_guard')",
}


def milliseconds(code: str) -> float:
    """The median time of `code` in a fresh interpreter."""
    command = [sys.executable, "-c", SCRIPT.format(code=code)]
    times = []
    for _ in range(ROUNDS):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        times.append(float(done.stdout.splitlines()[-1]))
    return statistics.median(times)


if __name__ == "__main__":
    for case, code in CASES.items():
        print(f"{case}: {milliseconds(code):.1f} ms over plain IPython (target: under 150 ms)")
