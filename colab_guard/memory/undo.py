"""What one forward and backward pass changes, and putting it back: gradients, running averages, random state.

Parameters are not among it: they change in the optimizer's step, which only a snapshot undoes.

1. Gradients that were there before are held aside while the part runs, and its own are added to them afterwards, as
   autograd itself would have added them. That costs their size once more; past `ASIDE_BYTES` they stay in place, and
   an error counts as undone only where none of them was written to.
2. Running averages of normalisation layers are copied (their kernels tell no version); so are buffers that were seen
   to change. Others that change in a part that fails cannot be put back.
3. Parameters that do something of their own when their gradient is there (an optimizer in the backward pass) cannot be
   put back either.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Literal

from colab_guard import state
from colab_guard.errors import BadOption

Undone = Literal["all", "but gradients", "not"]
"""How far a part could be undone: wholly; but for gradients, which are not to be used then; or not at all."""
ASIDE_BYTES = 256 * 2**20


class Passes:
    """Knows `models` between parts: their parameters, and the buffers that a forward pass changes."""

    def __init__(self, models: Sequence[Any]) -> None:
        self._models = [weakref.ref(model) for model in models]
        self.steps_inside = False
        """Whether a part has changed parameters itself: then its gradients stay in place."""
        self.parameters = self.trainable()
        self.buffers: list[Any] = []
        self.others: list[Any] = []
        averages = {id(tensor) for tensor in self._averages()}
        for tensor in itertools.chain.from_iterable(model.buffers() for model in models):
            (self.buffers if id(tensor) in averages else self.others).append(tensor)
        self.copies: list[Any] = []

    def trainable(self) -> list[Any]:
        """The parameters that get gradients, as they are now."""
        found = {id(p): p for model in self._alive() for p in model.parameters() if p.requires_grad}
        return list(found.values())

    @property
    def alive(self) -> bool:
        return len(self._alive()) == len(self._models)

    def is_of(self, models: Sequence[Any]) -> bool:
        return [id(model) for model in self._alive()] == [id(model) for model in models]

    def began(self) -> Before:
        """A part begins."""
        return Before(self)

    def copy_buffers(self) -> None:
        import torch

        if len(self.copies) != len(self.buffers):
            self.copies = [tensor.detach().clone() for tensor in self.buffers]
        elif self.buffers:
            torch._foreach_copy_(self.copies, [tensor.detach() for tensor in self.buffers])

    def learn(self, versions: Sequence[int]) -> None:
        """A part is done: buffers that it changed are copied from now on."""
        changed = [t for t, version in zip(self.others, versions, strict=True) if t._version != version]
        if changed:
            self.buffers += changed
            ids = {id(tensor) for tensor in changed}
            self.others = [tensor for tensor in self.others if id(tensor) not in ids]

    def _alive(self) -> list[Any]:
        return [model for model in (reference() for reference in self._models) if model is not None]

    def _averages(self) -> list[Any]:
        from torch.nn.modules.batchnorm import _NormBase

        layers = [module for model in self._alive() for module in model.modules() if isinstance(module, _NormBase)]
        return [tensor for layer in layers for tensor in layer.buffers(recurse=False)]


class Before:
    """The state before a part: `keep` when it is done, `back` when it failed."""

    def __init__(self, passes: Passes) -> None:
        self._passes = passes
        self._random = state.random_state()
        passes.copy_buffers()
        self._versions = [tensor._version for tensor in passes.others]
        self._parameters = passes.parameters
        self._gradients = [p.grad for p in self._parameters]
        there = [gradient for gradient in self._gradients if gradient is not None]
        self._hooked = any(p._post_accumulate_grad_hooks for p in self._parameters)
        self._values = [p._version for p in self._parameters]
        self._aside = bool(there) and not self._hooked and not passes.steps_inside and sum(g.nbytes for g in there) <= ASIDE_BYTES
        self._written = [None if g is None else g._version for g in self._gradients]
        if self._aside:
            for parameter in self._parameters:
                parameter.grad = None

    def keep(self) -> None:
        """What the part did counts, also where it was left by an error of the user's."""
        self._passes.learn(self._versions)
        stepped = self._stepped()
        self._passes.steps_inside = self._passes.steps_inside or (stepped and not self._hooked)
        if not self._aside:
            return
        if stepped:
            raise BadOption(
                "parameters were changed in a part of a batch, without the gradients that had been there before it; "
                "put optimizer.step() and what belongs to it below the loop over microbatches"
            )
        import torch

        pairs = [(p, old, p.grad) for p, old in zip(self._parameters, self._gradients, strict=True) if old is not None]
        both = [(old, new) for _, old, new in pairs if new is not None]
        if any(new.is_sparse for _, new in both):
            for old, new in both:
                old.add_(new)
        elif both:
            torch._foreach_add_([old for old, _ in both], [new for _, new in both])
        for parameter, old, _ in pairs:
            parameter.grad = old

    def back(self) -> Undone:
        """Put back what was before, as far as that is possible."""
        known = {id(p) for p in self._parameters}
        whole = not any(p.grad is not None for p in self._passes.trainable() if id(p) not in known)
        for parameter, old, version in zip(self._parameters, self._gradients, self._written, strict=True):
            if old is not None and not self._aside:
                whole = whole and parameter.grad is old and old._version == version
            else:
                parameter.grad = old
        for tensor, copy in zip(self._passes.buffers, self._passes.copies, strict=False):
            tensor.detach().copy_(copy)
        state.set_random_state(self._random)
        if self._hooked or self._stepped() or any(t._version != v for t, v in zip(self._passes.others, self._versions, strict=True)):
            return "not"
        return "all" if whole else "but gradients"

    def _stepped(self) -> bool:
        """Whether parameters have changed, as in an optimizer's step, which only a snapshot undoes."""
        return any(p._version != version for p, version in zip(self._parameters, self._values, strict=True))

    def start(self) -> Callable[[], bool]:
        """What puts running averages and random state back to here, also after parts that are done."""
        buffers, copies = list(self._passes.buffers), [copy.clone() for copy in self._passes.copies]

        def back() -> bool:
            for tensor, copy in zip(buffers, copies, strict=True):
                tensor.detach().copy_(copy)
            state.set_random_state(self._random)
            return len(self._passes.buffers) == len(buffers)  # others were seen to change since

        return back

    def drop_gradients(self) -> None:
        """Take away the gradients, where there were none before the batch."""
        for parameter in self._passes.trainable():
            parameter.grad = None
