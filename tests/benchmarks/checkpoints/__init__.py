"""Checkpoints side by side: what training waits for, and what a commit costs, of colab_guard and of what people use.

    python -m tests.benchmarks.bench_checkpoints [full] [lora] [store]

Two pieces of training (`cases`): a full fine-tune of 60 M parameters with AdamW (726 MB of state), and LoRA r=4 (4 MB in
about 256 tensors). Ways to save them (`ways`) take turns within one process, each in its own folder on the same disk; after each save three
training steps are timed, so that what goes on behind them is seen. colab_guard works as users use it: a `%%checkpointed`
cell (`guarded`), by default and with `--overlap full`; its stall is the whole safe point, and the join before the next
step. `figures` has what the store itself is to keep to: bytes per commit, opening, restoring.
"""
