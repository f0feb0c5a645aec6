"""Memory is full in a Trainer and in plain loops of guarded cells: steps, data and weights end as if it had not been."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch.optim.optimizer import register_optimizer_step_pre_hook

from colab_guard.errors import NeedsNewKernel
from colab_guard.events import NotBitExact, OutOfMemoryRecovered, SnapshotNotTaken
from colab_guard.sweep.registry import LIVE
from tests.memory.full import Full, out_of_memory
from tests.session.notebook import Kernel
from tests.training.harness import SETUP as LIBRARIES

Make = Callable[..., Kernel]

SETUP = (
    LIBRARIES
    + """
transformers.logging.set_verbosity_error()
order = []

class Sentences(torch.utils.data.Dataset):
    def __init__(self, count):
        self.count = count
    def __len__(self):
        return self.count
    def __getitem__(self, index):
        order.append(index)
        words = torch.randint(5, 40, (6,), generator=torch.Generator().manual_seed(index))
        return {"input_ids": words, "attention_mask": torch.ones(6, dtype=torch.long), "labels": index % 3}

def quiet_bert(**more):
    torch.manual_seed(1)
    return BertForSequenceClassification(BertConfig(
        vocab_size=40, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, num_labels=3,
        max_position_embeddings=8, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, **more))
"""
)
TRAINER = """
kept = Counting()
model = quiet_bert()
trainer = Trainer(model=model, args=arguments(gradient_accumulation_steps=2), train_dataset=Sentences(92), callbacks=[kept])
done = trainer.train()
(done.global_step, done.training_loss, order, kept.calls)
"""
LOOP = """
losses = []
model = quiet_bert()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
for step, batch in enumerate(torch.utils.data.DataLoader(Sentences(96), batch_size=8, shuffle=True)):
    total = 0.0
    for micro in colab_guard.microbatches(batch, model):
        with micro as part:
            loss = model(**part).loss * micro.weight
            loss.backward()
            total += loss.item()
    optimizer.step()
    optimizer.zero_grad()
    losses.append(total)
(step + 1, sum(losses), order, len(losses))
"""


@pytest.fixture(scope="module", autouse=True)
def models() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def new_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    made: list[Kernel] = []

    def make(*sources: str) -> Kernel:
        LIVE.clear()
        kernel = Kernel()
        kernel.session.reclaim = lambda: None  # type: ignore[method-assign]  # a collection takes as long as twenty steps
        monkeypatch.setattr("colab_guard.session.plainwork.current", lambda: kernel.session)
        made.append(kernel)
        return kernel.run("import colab_guard", SETUP, *sources)

    yield make
    for kernel in made:
        kernel.session.close()


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Full:
    """Full memory in the forward pass of a model of whatever kernel; no snapshot knows of it."""
    found = Full(lambda call, rows: False)
    own = transformers.BertForSequenceClassification.forward

    @functools.wraps(own)  # a Trainer looks at its parameters
    def forward(self: Any, input_ids: Any = None, **more: Any) -> Any:
        if self.training:  # not where losses are only measured
            found(len(input_ids))
        return own(self, input_ids, **more)

    monkeypatch.setattr(transformers.BertForSequenceClassification, "forward", forward)
    return found


class InStep:
    """Memory is full inside the optimizer's steps of these numbers; a parameter was written to by then."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers
        self.calls = 0
        self._hook = register_optimizer_step_pre_hook(self._step)

    def _step(self, optimizer: Any, *unused: Any) -> None:
        self.calls += 1
        if self.calls in self.numbers:
            optimizer.param_groups[0]["params"][0].data.add_(1.0)
            raise out_of_memory()

    def remove(self) -> None:
        self._hook.remove()


def ended(kernel: Kernel, value: Any) -> dict[str, Any]:
    weights = {name: tensor.clone() for name, tensor in kernel.names["model"].state_dict().items()}
    return {"steps": value[0], "loss": value[1], "order": list(value[2]), "calls": value[3], "weights": weights}


def same(told: dict[str, Any], wanted: dict[str, Any]) -> None:
    for what in ("steps", "order", "calls"):
        assert told[what] == wanted[what], what
    assert told["loss"] == pytest.approx(wanted["loss"], abs=1e-5)
    for name, tensor in wanted["weights"].items():
        assert torch.allclose(told["weights"][name], tensor, atol=1e-5), name


def did(kernel: Kernel) -> list[str]:
    return [event.did for event in kernel.events if isinstance(event, OutOfMemoryRecovered)]


@pytest.mark.parametrize("cell", [TRAINER, LOOP], ids=["trainer", "loop"])
def test_full_at_steps_1_and_9_and_inside_the_optimizers(new_kernel: Make, full: Full, cell: str) -> None:
    kernel = new_kernel()
    wanted = ended(kernel, kernel.guarded(cell))
    calls = len(full.seen)
    assert wanted["steps"] == 12 and calls in (12, 24)

    for step in (1, 9):
        kernel = new_kernel()
        full.seen.clear()
        first = 1 + (step - 1) * calls // 12
        full.when = lambda call, rows: call >= first and rows > 4
        told = ended(kernel, kernel.guarded(cell, name=f"step{step}"))
        same(told, wanted)
        assert did(kernel) == ["the same again", "8 rows in one pass → 4 rows in each of 2"]
        assert [e for e in kernel.events if isinstance(e, NotBitExact)]
        assert max(full.seen[first + 1 :]) == 4

    full.when = lambda call, rows: False
    for steps in ((1,), (9,)):
        kernel = new_kernel()
        full_step = InStep(*steps)
        told = ended(kernel, kernel.guarded(cell, name=f"inside{steps[0]}", every_s=0.3))
        full_step.remove()
        same(told, wanted)
        assert did(kernel) and set(did(kernel)) == {"the same again"}
        assert not [e for e in kernel.events if isinstance(e, SnapshotNotTaken) and e.failed]


SWEEP = """
for run in sweep:
    model = quiet_bert()
    args = arguments(num_train_epochs=1, per_device_train_batch_size=run.params["batch"])
    trainer = Trainer(model=model, args=args, train_dataset=Sentences(32))
    trainer.train()
    run.log(loss=float(trainer.state.log_history[-1]["train_loss"]))
[record.get("not bit-exact", "") for record in sweep.records()], [run.status for run in sweep.runs]
"""
MANY = "from colab_guard import Sweep, grid\nsweep = Sweep('full', grid(batch=[2, 8, 4, 16]))"


def test_a_sweep_goes_on_with_what_worked_and_says_which_runs_were_changed(new_kernel: Make, full: Full) -> None:
    full.when = lambda call, rows: rows > 4
    kernel = new_kernel(MANY)
    changed, statuses = kernel.guarded(SWEEP)
    assert statuses == ["done"] * 4
    assert changed == ["", "memory: at most 4 rows in one pass", "", "memory: at most 4 rows in one pass"]
    # 16 steps of 2; 8 rows twice, then halves; 8 steps of 4; what worked is known for the last
    assert full.seen == [2] * 16 + [8, 8] + [4] * 8 + [4] * 8 + [4] * 8
    assert list(kernel.names["sweep"].results["not bit-exact"]) == changed


def test_a_run_whose_optimizer_fails_goes_back_to_the_end_of_the_run_before(new_kernel: Make) -> None:
    kernel = new_kernel("from colab_guard import Sweep, grid\nsweep = Sweep('back', grid(batch=[8, 4, 16]))")
    full_step = InStep(4 + 3)
    _, statuses = kernel.guarded(SWEEP)
    full_step.remove()
    assert statuses == ["done"] * 3
    # 4 steps of the first run; 3 of the second; its 8 again; 2 of the third
    assert full_step.calls == 4 + 3 + 8 + 2
    assert did(kernel) == ["the same again"]


def test_a_gpu_that_fails_every_call_stops_the_sweep_and_says_that_a_new_kernel_is_needed(
    new_kernel: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = new_kernel("from colab_guard import Sweep, grid\nsweep = Sweep('sticky', grid(a=[1, 2]))")
    why = "AcceleratorError: CUDA error: an illegal memory access was encountered"
    monkeypatch.setattr("colab_guard.memory.recovery.unusable_device", lambda: why)
    with pytest.raises(NeedsNewKernel, match="restart the kernel") as raised:
        kernel.guarded("for run in sweep:\n    raise RuntimeError('CUDA error: an illegal memory access was encountered')")
    assert "\n" not in str(raised.value) and why in str(raised.value)
    assert [run.status for run in kernel.names["sweep"].runs] == ["running", "waiting"]


def test_a_run_that_never_fits_is_marked_failed_with_the_reason_and_the_next_begins(new_kernel: Make, full: Full) -> None:
    kernel = new_kernel("from colab_guard import Sweep, grid\nsweep = Sweep('never', grid(batch=[8, 2], model=['a', 'b']))")
    # the device is full for the first two runs, whatever they try
    full.when = lambda call, rows: kernel.names["sweep"].runs[2].status == "waiting"
    _, statuses = kernel.guarded(SWEEP)
    assert statuses == ["failed", "failed", "done", "done"]
    run = kernel.names["sweep"].runs[0]
    assert run.error.startswith("OutOfMemoryError: CUDA out of memory") or "colab_guard: out of GPU memory" in run.error
    assert "gradient checkpointing; nothing is left to try" in run.traceback


def test_with_run_of_a_plain_cell_marks_the_run_and_goes_on(new_kernel: Make) -> None:
    kernel = new_kernel("from colab_guard import Sweep, grid\nsweep = Sweep('plain', grid(a=[1, 2]))")
    kernel.run(
        """
model = torch.nn.Linear(4, 1)
rows = []
for run in sweep:
    with run:
        for micro in colab_guard.microbatches(torch.ones(8, 4), model):
            with micro as part:
                rows.append(len(part))
                if len(part) > (4 if run.params["a"] == 1 else 0):
                    torch.empty(2**48)
                (model(part).mean() * micro.weight).backward()
"""
    )
    assert kernel.names["rows"] == [8, 8, 4, 4, 4, 4, 2, 1]
    sweep = kernel.names["sweep"]
    assert [run.status for run in sweep.runs] == ["done", "failed"]
    assert sweep.runs[0].changes == ["memory: at most 4 rows in one pass"]
    assert [event.did for event in kernel.events if isinstance(event, OutOfMemoryRecovered)]


def test_what_worked_is_committed_and_a_resume_in_another_kernel_goes_on_with_it(new_kernel: Make, full: Full) -> None:
    cell = LOOP.replace("losses.append(total)", "losses.append(total)\n    if step == 5: here()\n    if step == 7: here()")
    wanted = ended(kernel := new_kernel(), kernel.guarded(cell))
    full.when = lambda call, rows: rows > 2
    new_kernel().guarded(cell, lose_at=2, name="lost")
    full.seen.clear()
    second = new_kernel()
    told = ended(second, second.guarded(cell, name="lost"))
    same(told, wanted)
    assert second.depths == [1] and set(full.seen) == {2}
    assert not did(second)
    assert "memory: at most 2 rows in one pass" in second.inexact


def test_what_goes_back_is_let_go_of_before_the_snapshot_is_read(new_kernel: Make) -> None:
    kernel = new_kernel("import gc, weakref\nheavy = torch.ones(1000)\nseen = weakref.WeakSet()\nkeep = {'model': quiet_bert()}")
    cell = """
model = keep["model"]
optimizer = torch.optim.AdamW(model.parameters())
alive.append(weakref.ref(model))
for step in range(4):
    model(torch.ones(2, 4, dtype=torch.long)).logits.sum().backward()
    optimizer.step()
    optimizer.zero_grad()
len(alive), model is keep["model"]
"""
    alive: list[Any] = []
    kernel.names["alive"] = alive
    dead: list[bool] = []

    def clear() -> None:
        import gc

        gc.collect()
        dead.append(alive[0]() is None)

    kernel.session.recovery._clear = clear
    full_step = InStep(3)
    kernel.guarded(cell, skip=("alive",))
    full_step.remove()
    assert dead == [True]


CAUSAL = """
from transformers import GPT2Config, GPT2LMHeadModel
torch.manual_seed(1)
model = GPT2LMHeadModel(GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=2, n_positions=8,
                                   resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0))
"""
PADDED = """
def padded(count):
    found = []
    for k in range(count):
        words = torch.randint(1, 20, (8,), generator=torch.Generator().manual_seed(k))
        labels = words.clone()
        labels[: k % 6] = -100
        found.append({"input_ids": words, "labels": labels})
    return found
"""
OWN_LOSS = """
class Own(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, **more):
        self.seen = getattr(self, "seen", 0) + len(inputs["input_ids"])
        LOSS
        return (loss, out) if return_outputs else loss
"""
LOSSES = {
    "the model's own, by items": "Own = Trainer",
    "a mean over labels": OWN_LOSS.replace("LOSS", "out = model(**inputs); loss = out.loss"),
    "a mean over rows": OWN_LOSS.replace("LOSS", "out = model(input_ids=inputs['input_ids']); loss = out.logits.square().mean()"),
    "a sum": OWN_LOSS.replace("LOSS", "out = model(input_ids=inputs['input_ids']); loss = out.logits.square().sum() / 100"),
    "label smoothing": "Own = Trainer",
}
WHOLE = OWN_LOSS.replace("LOSS", "out = model(input_ids=inputs['input_ids']); x = out.logits.mean(1); loss = (x @ x.T).square().mean()")
OWN_TRAINER = """
args = arguments(num_train_epochs=1, gradient_accumulation_steps=2, label_smoothing_factor=SMOOTH)
trainer = Own(model=model, args=args, train_dataset=padded(40))
trainer.train()
"""


def full_in_forward(monkeypatch: pytest.MonkeyPatch, asked: Callable[[Any, Any], int]) -> Full:
    """Memory that fills in the forward pass of a GPT-2, in training; `asked` tells how much, of the model and its ids."""
    found = Full(lambda call, amount: False)
    own = transformers.GPT2LMHeadModel.forward

    @functools.wraps(own)
    def forward(self: Any, input_ids: Any = None, **more: Any) -> Any:
        if self.training:
            found(asked(self, input_ids))
        return own(self, input_ids, **more)

    monkeypatch.setattr(transformers.GPT2LMHeadModel, "forward", forward)
    return found


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Full:
    """By rows; negative under gradient checkpointing."""
    return full_in_forward(monkeypatch, lambda model, ids: len(ids) if not model.is_gradient_checkpointing else -len(ids))


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_of_parts_add_up_to_the_batchs_whatever_it_is(new_kernel: Make, room: Full, loss: str) -> None:
    cell = CAUSAL + OWN_TRAINER.replace("SMOOTH", "0.1" if loss == "label smoothing" else "0.0")
    weights = []
    for when in (lambda call, rows: False, lambda call, rows: rows > 3):
        room.when = when
        kernel = new_kernel(PADDED + LOSSES[loss])
        kernel.run(CAUSAL)  # transformers looks at the class once
        kernel.guarded(cell, name=f"run{len(weights)}")
        weights.append({n: t.clone() for n, t in kernel.names["model"].state_dict().items()})
        assert getattr(kernel.names["trainer"], "seen", 40) == 40
    assert 3 in room.seen or 2 in room.seen
    for name, tensor in weights[0].items():
        assert torch.allclose(weights[1][name], tensor, atol=1e-5), name


def test_a_loss_over_the_whole_batch_is_not_split_and_gets_gradient_checkpointing(new_kernel: Make, room: Full) -> None:
    cell = CAUSAL + OWN_TRAINER.replace("SMOOTH", "0.0")
    kernel = new_kernel(PADDED + WHOLE)
    kernel.guarded(cell, name="whole")
    wanted = {n: t.clone() for n, t in kernel.names["model"].state_dict().items()}
    room.when = lambda call, rows: rows > 3
    room.seen.clear()
    kernel = new_kernel(PADDED + WHOLE)
    kernel.guarded(cell, name="checkpointed")
    assert room.seen == [8, 8] + [-8] * 5
    assert did(kernel)[-1] == "gradient checkpointing switched on, since the loss over a batch is not the sum of its parts'"
    for name, tensor in kernel.names["model"].state_dict().items():
        assert torch.allclose(wanted[name], tensor, atol=1e-5), name


# shorter sequences

LONG = """
from transformers import GPT2Config, GPT2LMHeadModel

def long(count, longest=160):
    found = []
    for k in range(count):
        words = torch.randint(1, 20, (160,), generator=torch.Generator().manual_seed(k))
        labels = words.clone()
        labels[: k % 6] = -100
        found.append({"input_ids": words[:longest], "attention_mask": torch.ones(longest, dtype=torch.long), "labels": labels[:longest]})
    return found

def gpt2():
    torch.manual_seed(1)
    return GPT2LMHeadModel(GPT2Config(
        vocab_size=20, n_embd=8, n_layer=1, n_head=2, n_positions=160, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        use_cache=False, bos_token_id=0, eos_token_id=0))

def sgd(**more):
    return arguments(num_train_epochs=1, optim="sgd", learning_rate=0.5, lr_scheduler_type="constant", **more)
"""
LONG_TRAINER = """
model = gpt2()
args = sgd(per_device_train_batch_size=4)
trainer = Trainer(model=model, args=args, train_dataset=long(32, LONGEST))
trainer.train()
trainer.state.global_step
"""
LONG_LOOP = """
model = gpt2()
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
for step, batch in enumerate(torch.utils.data.DataLoader(long(24, LONGEST), batch_size=4)):
    for micro in colab_guard.microbatches(batch, model):
        with micro as part:
            (model(**part).loss * micro.weight).backward()
    optimizer.step()
    optimizer.zero_grad()
    if step == 3: here()
    if step == 4: here()
step + 1
"""


@pytest.fixture
def tokens(monkeypatch: pytest.MonkeyPatch) -> Full:
    """By the tokens of a row."""
    return full_in_forward(monkeypatch, lambda model, ids: int(ids.shape[1]))


def weights_of(kernel: Kernel) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in kernel.names["model"].state_dict().items()}


def agree(told: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    for name, tensor in wanted.items():
        assert torch.allclose(told[name], tensor, atol=1e-5), name


@pytest.mark.parametrize("cell", [LONG_TRAINER, LONG_LOOP], ids=["trainer", "loop"])
def test_where_it_is_allowed_a_guarded_cell_trains_as_if_its_texts_had_been_tokenized_shorter(
    new_kernel: Make, tokens: Full, cell: str
) -> None:
    kernel = new_kernel(LONG)
    steps = kernel.guarded(cell.replace("LONGEST", "80"), name="short")
    wanted = weights_of(kernel)

    tokens.when = lambda call, tokens: tokens > 90
    kernel = new_kernel(LONG)
    kernel.session.allowed = frozenset({"shorter"})
    assert kernel.guarded(cell.replace("LONGEST", "160"), name="long") == steps
    agree(weights_of(kernel), wanted)
    assert did(kernel)[-1] == "sequences of 160 tokens → 80"
    assert any("sequences of at most 80 tokens" in reason for reason in kernel.inexact)


@pytest.mark.parametrize("cell", [LONG_TRAINER, LONG_LOOP], ids=["trainer", "loop"])
def test_where_it_is_not_allowed_a_guarded_cell_never_cuts_a_text(new_kernel: Make, tokens: Full, cell: str) -> None:
    tokens.when = lambda call, tokens: tokens > 90
    kernel = new_kernel(LONG)
    with pytest.raises(torch.OutOfMemoryError) as raised:
        kernel.guarded(cell.replace("LONGEST", "160"), name="long")
    assert set(tokens.seen) == {160}
    assert any("%memguard --allow shorter permits" in note for note in raised.value.__notes__)


def test_a_sweep_marks_the_runs_whose_texts_were_cut_and_knows_it_for_the_next(new_kernel: Make, tokens: Full) -> None:
    tokens.when = lambda call, tokens: tokens > 90
    kernel = new_kernel(LONG, "from colab_guard import Sweep, grid\nsweep = Sweep('long', grid(longest=[80, 160, 150]))")
    kernel.session.allowed = frozenset({"shorter"})
    kernel.guarded(
        """
for run in sweep:
    model = gpt2()
    args = sgd(per_device_train_batch_size=4)
    Trainer(model=model, args=args, train_dataset=long(8, run.params["longest"])).train()
""",
        name="long",
    )
    changes = [record.get("not bit-exact", "") for record in kernel.names["sweep"].records()]
    assert changes[0] == "" and all("sequences of at most 80 tokens" in change for change in changes[1:])
    first = tokens.seen.index(160)
    assert tokens.seen[:first] == [80, 80]
    assert tokens.seen[-8:] == [80] * 8 and 150 not in tokens.seen


@pytest.mark.parametrize("said", [None, frozenset({"shorter"})])
def test_a_resume_in_another_kernel_goes_on_with_texts_of_that_length(
    new_kernel: Make, tokens: Full, said: frozenset[str] | None
) -> None:
    cell = LONG_LOOP.replace("LONGEST", "160")
    tokens.when = lambda call, tokens: tokens > 90
    first = new_kernel(LONG)
    first.session.allowed = frozenset({"shorter"})
    first.guarded(cell, name="long")
    wanted = weights_of(first)

    first = new_kernel(LONG)
    first.session.allowed = frozenset({"shorter"})
    first.guarded(cell, lose_at=2, name="lost")
    tokens.seen.clear()
    second = new_kernel(LONG)
    second.session.allowed = said
    second.guarded(cell, name="lost")
    assert second.depths == [1] and set(tokens.seen) == {80} and not did(second)
    agree(weights_of(second), wanted)


def test_a_resume_where_the_permission_was_taken_back_cuts_nothing(new_kernel: Make, tokens: Full) -> None:
    cell = LONG_LOOP.replace("LONGEST", "160")
    tokens.when = lambda call, tokens: tokens > 90
    first = new_kernel(LONG)
    first.session.allowed = frozenset({"shorter"})
    first.guarded(cell, lose_at=2, name="lost")
    tokens.seen.clear()
    tokens.when = lambda call, tokens: False
    second = new_kernel(LONG)
    second.session.allowed = frozenset()
    second.guarded(cell, name="lost")
    assert set(tokens.seen) == {160}


UNREADABLE = """
model = quiet_bert()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(6):
    model(torch.ones(2, 4, dtype=torch.long)).logits.sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    if step == 2: here()
    if step == 4: damage()
"""


def test_a_model_is_not_let_go_of_where_no_snapshot_can_be_read(new_kernel: Make, tmp_path: Path) -> None:
    def damage() -> None:
        packs = list((tmp_path / "home" / "damaged" / "packs").glob("*.pack"))
        assert packs
        for pack in packs:
            pack.chmod(0o600)
            pack.write_bytes(b"\0" * pack.stat().st_size)

    kernel = new_kernel()
    kernel.names["damage"] = damage
    full_step = InStep(6)
    with pytest.raises(torch.OutOfMemoryError) as raised:
        kernel.guarded(UNREADABLE, name="damaged", skip=("damage",))
    full_step.remove()
    assert "no snapshot that the cell could go back to can be read" in raised.value.__notes__[-1]
    assert all(torch.isfinite(tensor).all() for tensor in kernel.names["model"].state_dict().values())
    assert len(kernel.names["optimizer"].param_groups[0]["params"]) == len(list(kernel.names["model"].parameters()))


def test_an_older_snapshot_that_can_be_read_is_gone_back_to(new_kernel: Make, tmp_path: Path) -> None:
    cell = UNREADABLE.replace("if step == 4: damage()", "if step == 3: here()\n    if step == 4: damage()")

    def damage() -> None:
        commits = sorted((tmp_path / "home" / "newest" / "commits").glob("*.json"))
        assert len(commits) > 1
        commits[-1].chmod(0o600)
        commits[-1].write_bytes(b"{")

    kernel = new_kernel()
    kernel.names["damage"] = damage
    full_step = InStep(6)
    kernel.guarded(cell, name="newest", skip=("damage",))
    full_step.remove()
    assert did(kernel) == ["the same again"] and full_step.calls > 7


@pytest.mark.parametrize("loss", ["the model's own, by items", "a mean over labels"])
def test_rows_of_which_no_label_counts_make_no_part_that_is_not_a_number(new_kernel: Make, room: Full, loss: str) -> None:
    cell = CAUSAL + OWN_TRAINER.replace("SMOOTH", "0.0").replace("padded(40)", "some_without(40)").replace("arguments(", "arguments(optim='sgd', ")
    some = "\ndef some_without(count):\n    found = padded(count)\n    for k in range(0, count, 3):\n        found[k]['labels'][:] = -100\n    return found\n"
    weights = []
    for when in (lambda call, rows: False, lambda call, rows: abs(rows) > 1):
        room.when = when
        kernel = new_kernel(PADDED + some + LOSSES[loss])
        kernel.run(CAUSAL)
        kernel.guarded(cell, name=f"run{len(weights)}")
        weights.append(weights_of(kernel))
    assert room.seen[-1] == 1, "no checkpointing was needed"
    agree(weights[1], weights[0])


FEW = """
def few(count):
    # the order of the data is that of their numbers: labels count in the first batch, in one row of the third, and nowhere else
    found = padded(count)
    for k in range(8, count):
        if k != 19:
            found[k]["labels"][:] = -100
    return found

class Ordered(Own):
    def _get_train_sampler(self, *unused):
        return torch.utils.data.SequentialSampler(self.train_dataset)
"""


@pytest.mark.parametrize("loss", ["the model's own, by items", "a mean over labels"])
def test_a_batch_whose_loss_says_nothing_is_split_as_the_one_before_it(new_kernel: Make, room: Full, loss: str) -> None:
    cell = CAUSAL + OWN_TRAINER.replace("SMOOTH", "0.0").replace("padded(40)", "few(24)").replace("Own(", "Ordered(")
    cell = cell.replace("gradient_accumulation_steps=2", "optim='sgd', max_grad_norm=0.0")
    room.when = lambda call, rows: abs(rows) > 3
    kernel = new_kernel(PADDED + LOSSES[loss] + FEW)
    kernel.run(CAUSAL)
    kernel.guarded(cell, name="few")
    assert kernel.names["trainer"].state.global_step == 3
    assert did(kernel)[0] == "the same again" and not any("checkpointing" in one for one in did(kernel))
