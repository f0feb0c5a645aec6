"""Predicted against measured peaks of memory: `python -m tests.benchmarks.bench_estimate`; about ten minutes on 2 cores.

On the CPU: 13 small models trained for real, every allocation counted by torch's own allocator (`estimates.measuring`). On a
GPU, where there is one: reserved peaks, each in a process of its own. And what an estimate of 7B parameters takes. Names after
the command choose cases; `--no-7b` leaves the last part out.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

from colab_guard import hosts
from colab_guard.plan import estimate
from tests.benchmarks.estimates import measuring
from tests.benchmarks.estimates.cases import ON_CPU, ON_GPU, Case, llama

MIB = 1 << 20
CPU = hosts.Device("cpu", "CPU", 1 << 40, 1 << 40)
T4 = hosts.Device("cuda", "Tesla T4", 15 << 30, 14 << 30, (7, 5))
SEVEN_BILLION = {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32}


def predicted(case: Case, device: hosts.Device) -> int:
    return estimate(case.config(), device, **case.step.to_dict()).reserved


def measured_on_cpu(case: Case) -> int:
    from tests.benchmarks.estimates import training

    return measuring.on_cpu(lambda: training.train(case, "cpu"))


def measured_on_gpu(case: Case) -> int:
    """In a child: nothing was allocated before, and nothing stays."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_estimate", "--one", str(ON_GPU.index(case))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(json.loads(done.stdout.splitlines()[-1]))


def one(index: int) -> None:
    from tests.benchmarks.estimates import training

    print(json.dumps(measuring.on_gpu(lambda: training.train(ON_GPU[index], "cuda"))))


def compare(cases: list[Case], device: hosts.Device, chosen: list[str]) -> list[float]:
    """One row a case: predicted and measured MiB, the error in percent. The errors, without their signs."""
    errors = []
    print(f"{'case':46} {'predicted':>9} {'measured':>9} {'error':>7} {'took':>6}")
    for case in cases:
        if chosen and not any(word in case.name for word in chosen):
            continue
        start = time.process_time()
        told = predicted(case, device)
        took = time.process_time() - start
        real = measured_on_cpu(case) if device is CPU else measured_on_gpu(case)
        error = 100 * (told / real - 1)
        errors.append(abs(error))
        print(f"{case.name:46} {told / MIB:7.1f} M {real / MIB:7.1f} M {error:+6.2f}% {took:5.1f}s", flush=True)
    if errors:
        print(f"median {statistics.median(errors):.2f} %, worst {max(errors):.2f} %, of {len(errors)}\n")
    return errors


def seven_billion() -> None:
    """CPU time (what 2 cores need at most) and wall time, the libraries imported before."""
    config = llama(**SEVEN_BILLION, num_key_value_heads=32, vocab_size=32000)
    half = {"weights": "fp16", "autocast": "fp16"}
    for words in (half, {**half, "checkpointing": True}, {**half, "four_bit": True, "checkpointing": True}, {"method": "full", "weights": "fp32"}):
        cpu, wall = time.process_time(), time.perf_counter()
        found = estimate(config, T4, **words)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        told = ", ".join(f"{name}={value}" for name, value in words.items())
        print(f"7B on a T4, {told}: {found.total / 2**30:.1f} GiB; {cpu:.1f} s of CPU, {wall:.1f} s passed", flush=True)


def main() -> None:
    import os
    import tempfile

    words = sys.argv[1:]
    if words[:1] == ["--one"]:
        one(int(words[1]))
        return
    os.environ["COLAB_GUARD_HOME"] = tempfile.mkdtemp()  # nothing that was estimated before counts
    import torch

    chosen = [word for word in words if not word.startswith("--")]
    print("CPU: bytes that live at once")
    compare(ON_CPU, CPU, chosen)
    if torch.cuda.is_available():
        device = hosts.devices()[0]
        print(f"{device.name}: bytes reserved")
        compare([case for case in ON_GPU if device.bf16 or "bf16" not in case.name], device, chosen)
    else:
        print("no GPU is here: reserved peaks are not compared\n")
    if "--no-7b" not in words:
        seven_billion()


if __name__ == "__main__":
    main()
