"""Full memory at step 1, at step 9 and inside an optimizer's step: what a run costs and how it ends, beside accelerate's finder.

    python -m tests.benchmarks.bench_recovery            the table
    python -m tests.benchmarks.bench_recovery overhead   what a step costs more where nothing is full

The Trainer is transformers' own, over a BERT made from a configuration, without dropout: 96 sentences in batches of 8, 12
steps. Memory is full for more than 4 rows at once from the named step on, or once inside the optimizer's step, after a
parameter was written to. accelerate's `find_executable_batch_size` is what `auto_find_batch_size=True` uses.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
import transformers

from tests.memory.full import Full
from tests.session.notebook import Kernel
from tests.training.test_out_of_memory import SETUP, InStep

CELL = """
model = quiet_bert()
trainer = Trainer(model=model, args=arguments(num_train_epochs=1, auto_find_batch_size=FIND), train_dataset=Sentences(96))
trainer.train()
"""
STEPS = 12


def forward_that_is_full(full: Full) -> Callable[[], None]:
    cls = transformers.BertForSequenceClassification
    own = cls.forward

    def forward(
        self: Any, input_ids: Any = None, attention_mask: Any = None, token_type_ids: Any = None, position_ids: Any = None,
        inputs_embeds: Any = None, labels: Any = None, **more: Any,
    ) -> Any:
        if self.training:
            full(len(input_ids))
        return own(self, input_ids=input_ids, attention_mask=attention_mask, labels=labels, **more)

    cls.forward = forward
    return lambda: setattr(cls, "forward", own)


def run(where: str, how: str) -> dict[str, Any]:
    """One run: `where` memory is full ("", "step 1", "step 9", "optimizer 9"), and `how` it runs."""
    first = int(where.split()[1]) if where.startswith("step") else STEPS * 100
    full = Full(lambda call, rows: call >= first and rows > 4)
    kernel = Kernel()
    kernel.run("import colab_guard", SETUP)
    undo = forward_that_is_full(full)
    in_step = InStep(*([int(where.split()[1])] if where.startswith("optimizer") else []))
    cell = CELL.replace("FIND", str(how == "accelerate"))
    began, error = time.perf_counter(), ""
    try:
        if how == "colab_guard":
            kernel.guarded(cell, name="bench", every_s=0.5)
        else:
            kernel.run(cell)
    except Exception as raised:
        error = type(raised).__name__
    seconds = time.perf_counter() - began
    undo()
    in_step.remove()
    trainer = kernel.names["trainer"]
    found = {
        "error": error,
        "seconds": seconds,
        "steps": trainer.state.global_step,
        "batch": trainer._train_batch_size * trainer.args.gradient_accumulation_steps,
        "order": list(kernel.names["order"]),
        "rows": sum(full.seen),
        "weights": {name: tensor.clone() for name, tensor in kernel.names["model"].state_dict().items()},
    }
    kernel.session.close()
    return found


def table() -> None:
    plain = run("", "plain")
    print(f"{'full at':<13}{'by':<13}{'ends with':<20}{'steps':>5}  {'batch':>5}  {'data order':<11}{'largest difference':>18}  {'rows run':>8}  {'s':>5}")
    for where in ("step 1", "step 9", "optimizer 1", "optimizer 9"):
        for how in ("colab_guard", "accelerate"):
            with tempfile.TemporaryDirectory() as home:
                os.environ["COLAB_GUARD_HOME"] = home
                told = run(where, how)
            order = "identical" if told["order"] == plain["order"] else "another"
            difference = max(float((told["weights"][n] - t).abs().max()) for n, t in plain["weights"].items())
            print(
                f"{where:<13}{how:<13}{told['error'] or 'a trained model':<20}{told['steps']:>5}  {told['batch']:>5}  {order:<11}"
                f"{difference:>18.1e}  {told['rows']:>8}  {told['seconds']:>5.1f}"
            )
    print(f"without: {plain['steps']} steps, batch {plain['batch']}, {plain['rows']} rows, {plain['seconds']:.1f} s")


def overhead() -> None:
    """Processor time per part of what is done around it, over models with few and with many trainable tensors."""
    from colab_guard.memory.microbatches import microbatches
    from colab_guard.memory.recovery import Recovery

    recovery = Recovery()
    for tensors in (4, 100, 400):
        model = torch.nn.Sequential(*[torch.nn.Linear(8, 8) for _ in range(tensors // 2)])
        batch = {"x": torch.ones(8, 8)}
        for gradients in (False, True):
            for parameter in model.parameters():
                parameter.grad = torch.zeros_like(parameter) if gradients else None
            best = float("inf")
            for _ in range(20):
                began = time.process_time()
                for _ in range(20):
                    for micro in microbatches(recovery, batch, model):
                        with micro:
                            _ = micro.weight
                best = min(best, (time.process_time() - began) / 20)
            print(f"{tensors} trainable tensors, gradients {'there' if gradients else 'none'}: {best * 1e6:.0f} µs a batch")


if __name__ == "__main__":
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    with suppress(KeyboardInterrupt), tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        overhead() if sys.argv[1:] == ["overhead"] else table()
