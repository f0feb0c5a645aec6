"""What a capture costs: `python -m tests.benchmarks.bench_state`. Times as ratios to a plain copy or a plain pickle.

`stall` is the whole of `capture`: training stands still for it. The floor is one copy of the same bytes into fresh memory.
"""

from __future__ import annotations

import cProfile
import pickle
import pstats
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from colab_guard import state
from colab_guard.state import Live

LIVE = Live({}, {})


def median_ms(work: Callable[[], Any], times: int = 9) -> float:
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append((time.perf_counter() - start) * 1e3)
    return statistics.median(found)


def capture(**names: Any) -> state.Captured:
    return state.capture({"names": names}, {"names": {}}, LIVE)


def containers() -> None:
    value = [{"n": i, "text": str(i), "pair": (i, i + 0.5)} for i in range(60_000)]
    plain = median_ms(lambda: pickle.dumps(value, 5), 5)
    ours = median_ms(lambda: capture(value=value), 5)
    size = len(capture(value=value).parts["graph"]) / 1e6
    print(f"built-in containers: {size:.1f} MB, {size / ours * 1e3:.0f} MB/s, {ours / plain:.2f} x pickle.dumps")


def lora() -> Any:
    import peft
    import torch
    import transformers

    torch.set_num_threads(1)
    config = transformers.BertConfig(
        vocab_size=2000, hidden_size=128, num_hidden_layers=12, num_attention_heads=4, intermediate_size=256
    )
    base = transformers.BertForSequenceClassification(config)
    model = peft.get_peft_model(base, peft.LoraConfig(r=4, target_modules=["query", "value"]))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
    ids = torch.randint(0, 2000, (2, 16))
    model(input_ids=ids).logits.sum().backward()
    optimizer.step()
    return {"model": model, "optimizer": optimizer, "scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 5)}


def training() -> None:
    names = lora()
    got = capture(**names)
    blob = [bytes(b.data) for b in got.buffers]
    floor = median_ms(lambda: [bytearray(data) for data in blob])
    ours = median_ms(lambda: capture(**names))
    size, graph = sum(map(len, blob)) / 1e6, len(got.parts["graph"]) / 1e3
    print(
        f"LoRA model, optimizer, scheduler: {size:.1f} MB in {len(blob)} buffers, {graph:.0f} kB of graph: "
        f"stall {ours:.1f} ms = {ours / floor:.1f} x a fresh copy ({floor:.2f} ms)"
    )
    segments(names)
    if "--profile" in sys.argv:
        profile = cProfile.Profile()
        profile.runcall(capture, **names)
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


def segments(names: dict[str, Any]) -> None:
    """The same again where model and optimizer have changed in values only, in turn with a capture of everything."""
    split = state.Split()

    def again() -> state.Captured:
        return state.capture({"names": names}, {"names": {}}, LIVE, split)

    first, second = again().parts, again().parts
    new = sum(len(part) for name, part in second.items() if part != first[name])
    whole, ours = [], []
    for _ in range(25):
        for times, work in ((whole, lambda: capture(**names)), (ours, again)):
            start = time.thread_time()
            work()
            times.append((time.thread_time() - start) * 1e3)
    pickles = sum(len(part) for name, part in second.items() if name.startswith("graph"))
    print(
        f"in segments ({split.reused} used again): {min(ours):.1f} / {statistics.median(ours):.1f} ms (min / median, processor time) "
        f"against {min(whole):.1f} / {statistics.median(whole):.1f} ms whole; new bytes {new:,} of {pickles:,} pickled"
    )


if __name__ == "__main__":
    containers()
    training()
