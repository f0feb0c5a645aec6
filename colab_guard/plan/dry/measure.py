"""One training step run without data: from a model and a `Step` to the `Trace` of its memory.

Two optimizer steps are run: the first makes the optimizer's state, the second has it beside the activations. Where gradients are
summed up, the second has two micro-batches, so that activations also meet gradients.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from colab_guard.plan.dry import twins
from colab_guard.plan.dry.kernels import AsOn, Kind, temporaries
from colab_guard.plan.dry.optimizers import optimizer, state_bytes
from colab_guard.plan.dry.trace import Ledger, Trace
from colab_guard.plan.step import Step


class Measured:
    """A model's twin, kept for several batches; `weights` and `gradients` in bytes. Raises Unknown where it cannot be made."""

    def __init__(self, model: Any, step: Step, kind: Kind) -> None:
        self._step = step
        self._kind = kind
        self._config = twins.as_config(model)
        self._kernels = AsOn(kind, twins.DTYPES[step.autocast] if step.autocast else None)
        self._model = twins.twin(model, step, self._kernels)
        self._out: Any = None
        tensors = [*self._model.parameters(), *self._model.buffers()]
        self._trained = [p for p in self._model.parameters() if p.requires_grad]
        self.parameters = sum(p.numel() for p in self._model.parameters())
        self.trained = sum(p.numel() for p in self._trained)
        self.weights = sum({t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in tensors}.values())
        self.gradients = sum(p.numel() * p.element_size() for p in self._trained)
        self.optimizer = 0
        """Bytes of the optimizer's state; known with the first trace."""

    def trace(self, batch: int) -> Trace:
        """The trace of training with micro-batches of `batch`. Raises Unknown where the model cannot be fed."""
        step = self._step
        inputs = twins.batch_for(self._model, self._config, step, batch)
        ledger = Ledger(temporaries(self._kind), self._kind.workspace, answer=0 if step.padded else 1)
        for tensor in [*self._model.parameters(), *self._model.buffers()]:
            ledger.add(tensor)
        stepper = optimizer(step.optimizer, self._trained, self._kind.device)
        with _uncollected(), ledger:
            # accelerate has the next batch at hand, on the CPU
            ahead = _empty(inputs) if step.loop == "trainer" and self._kind.device == "cpu" else None
            for micro_batches in (1, 2 if step.accumulation else 1):
                ledger.step()
                for _ in range(micro_batches):
                    fed = {name: torch.empty_like(value) for name, value in inputs.items()}
                    self._pass(fed, ledger)
                with torch.no_grad():
                    stepper.step()
                for parameter in self._trained:
                    parameter.grad = None
        self.optimizer = state_bytes(stepper)
        trace = ledger.close()
        del ahead
        self._out = None
        return trace

    def _pass(self, inputs: dict[str, Any], ledger: Ledger) -> None:
        """Forward and backward."""
        ledger.phase = "forward"
        with self._kernels, torch.autocast("cpu", dtype=torch.bfloat16) if self._step.autocast else nullcontext():
            out = self._model(**inputs)
        self._kernels.forget_casts()
        if out.loss is None:
            raise twins.Unknown(f"{type(self._model).__name__} computes no loss of its own")
        loss = out.loss
        # a plain loop keeps what the model gave till the next forward pass is over
        self._out = out
        if self._step.loop == "trainer":
            if self._step.autocast:
                # accelerate's `convert_outputs_to_fp32`
                raised = [value.float() for value in out.values() if isinstance(value, torch.Tensor)]
                del raised
            self._out = None
        del out
        ledger.phase = "backward"
        loss.backward()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Cycles die when Python likes: without its collector two traces of one step are the same."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _empty(inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: torch.empty_like(value) for name, value in inputs.items()}
