"""A Trainer in a guarded cell, killed at a step and resumed in another process, ends as if nothing had happened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.training.harness import Bench

VIT = """
model = vit()
kept = Counting()
trainer = Trainer(model=model, args=arguments(gradient_accumulation_steps=2, eval_strategy="steps", eval_steps=2),
                  train_dataset=Digits(0, 36, True), eval_dataset=Digits(100, 120, True), callbacks=[kept])
done = trainer.train()
kept = [kept.calls, kept.sums, done.training_loss, done.global_step]
"""
LORA = """
config = peft.LoraConfig(r=2, target_modules=["query", "value"], modules_to_save=["classifier"], lora_dropout=0.1)
model = peft.get_peft_model(bert(), config)
trainer = Trainer(model=model, args=arguments(num_train_epochs=1), train_dataset=Words())
kept = trainer.train().training_loss
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tmp_path_factory.mktemp("trainer"))
    yield bench
    bench.close()


def same(told: dict[str, Any], plain: dict[str, Any]) -> None:
    for what, value in plain["results"].items():
        assert told["results"][what] == value, what


@pytest.fixture(scope="module")
def vit(bench: Bench) -> dict[str, Any]:
    return bench.run(VIT, plain=True)


def test_two_plain_runs_agree(bench: Bench, vit: dict[str, Any]) -> None:
    same(bench.run(VIT, plain=True, on=1), vit)


def test_the_guard_changes_nothing(bench: Bench, vit: dict[str, Any]) -> None:
    told = bench.run(VIT, on=1)
    same(told, vit)
    assert told["polls"] == 6


@pytest.mark.parametrize("step", range(6))
def test_killed_at_any_step_it_ends_the_same(bench: Bench, vit: dict[str, Any], step: int) -> None:
    told = bench.killed(VIT, step)
    same(told, vit)
    assert told["polls"] == 6 - step, "only the steps that were left are done"


def test_killed_three_times_it_ends_the_same(bench: Bench, vit: dict[str, Any]) -> None:
    same(bench.killed(VIT, 1, 0, 2), vit)


def test_lora_adapters_end_the_same(bench: Bench) -> None:
    same(bench.killed(LORA, 2), bench.run(LORA, plain=True))


HAZARDS = {
    "model_init": """
kept = Counting()
trainer = Trainer(model_init=vit, args=arguments(num_train_epochs=1), train_dataset=Digits(0, 32, True), callbacks=[kept])
trainer.train()
kept = kept.calls
model = trainer.model
""",
    "eval_on_start": """
kept = Counting()
trainer = Trainer(model=vit(), args=arguments(num_train_epochs=1, eval_on_start=True), train_dataset=Digits(0, 32, True),
                  eval_dataset=Digits(100, 120, True), callbacks=[kept])
trainer.train()
kept = kept.calls
""",
    "ignore_data_skip": """
trainer = Trainer(model=vit(), args=arguments(ignore_data_skip=True), train_dataset=Digits(0, 32, True))
trainer.train()
kept = trainer.args.ignore_data_skip
""",
    "neftune": """
model = bert()
trainer = Trainer(model=model, args=arguments(neftune_noise_alpha=5.0, num_train_epochs=1), train_dataset=Words())
trainer.train()
""",
    "gradient_checkpointing": """
model = bert()
trainer = Trainer(model=model, args=arguments(gradient_checkpointing=True, num_train_epochs=1), train_dataset=Words())
trainer.train()
""",
    "the best model at the end": """
trainer = Trainer(model=vit(), args=arguments(save_strategy="steps", save_steps=2, eval_strategy="steps", eval_steps=2,
                  load_best_model_at_end=True), train_dataset=Digits(0, 32, True), eval_dataset=Digits(100, 120, False),
                  callbacks=[transformers.EarlyStoppingCallback(5)])
trainer.train()
""",
    "own optimizer and scheduler": """
model = vit()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
trainer = Trainer(model=model, args=arguments(), train_dataset=Digits(0, 32, True), optimizers=(optimizer, scheduler))
trainer.train()
kept = [scheduler.last_epoch, trainer.lr_scheduler is scheduler, trainer.optimizer.optimizer is optimizer]
""",
    "progress bars": """
trainer = Trainer(model=vit(), args=arguments(disable_tqdm=False), train_dataset=Digits(0, 32, True))
trainer.train()
""",
    "a notebook's table": """
from transformers.utils.notebook import NotebookProgressCallback
trainer = Trainer(model=vit(), args=arguments(eval_strategy="epoch"), train_dataset=Digits(0, 32, True),
                  eval_dataset=Digits(100, 120, True))
trainer.remove_callback(transformers.PrinterCallback)
trainer.add_callback(NotebookProgressCallback)
trainer.train()
kept = [c.training_tracker for c in trainer.callback_handler.callbacks if type(c) is NotebookProgressCallback]
""",
    "a worker": """
trainer = Trainer(model=vit(), args=arguments(dataloader_num_workers=1), train_dataset=Digits(0, 32, True))
trainer.train()
""",
    "mixed precision": """
trainer = Trainer(model=vit(), args=arguments(bf16=True, num_train_epochs=1), train_dataset=Digits(0, 32, True))
trainer.train()
""",
    "a gradient scaler": """
class Scaled(Trainer):
    def create_accelerator_and_postprocess(self):
        super().create_accelerator_and_postprocess()
        self.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)
trainer = Scaled(model=vit(), args=arguments(), train_dataset=Digits(0, 32, True))
trainer.train()
kept = trainer.accelerator.scaler.state_dict()
""",
    "a subclass with a loss of its own": """
class Weighted(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, **more):
        self.seen = getattr(self, "seen", 0) + len(inputs["labels"])
        out = model(**inputs)
        return (out.loss * 0.5, out) if return_outputs else out.loss * 0.5
trainer = Weighted(model=vit(), args=arguments(gradient_accumulation_steps=3), train_dataset=Digits(0, 52, True))
trainer.train()
kept = trainer.seen
""",
    "sweep": """
kept = []
for width in (4, 8, 16):
    model = vit()
    trainer = Trainer(model=model, args=arguments(num_train_epochs=1), train_dataset=Digits(0, 8 + width, True))
    kept.append(trainer.train().training_loss)
""",
    "a second call": """
model = vit()
trainer = Trainer(model=model, args=arguments(num_train_epochs=1), train_dataset=Digits(0, 16, True))
kept = [trainer.train().training_loss]
kept.append(trainer.train().training_loss)
""",
}


@pytest.mark.parametrize("name", HAZARDS)
def test_what_the_way_back_must_not_do_twice(bench: Bench, name: str) -> None:
    cell = HAZARDS[name]
    same(bench.killed(cell, 3), bench.run(cell, plain=True, on=1))


def test_a_run_from_the_users_own_checkpoint_is_kept_too(bench: Bench) -> None:
    cell = """
args = arguments(save_strategy="steps", save_steps=3, max_steps=3)
Trainer(model=vit(), args=args, train_dataset=Digits(0, 36, True)).train()
model = vit()
trainer = Trainer(model=model, args=arguments(), train_dataset=Digits(0, 36, True))
kept = trainer.train(resume_from_checkpoint="out/checkpoint-3").training_loss
"""
    plain = bench.run(cell, plain=True)
    same(bench.run(cell), plain)
    for kill in (3, 4, 6):
        told = bench.killed(cell, kill)
        same(told, plain)
        assert not told["refused"]


STREAM = """
class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        return (Digits(0, 32, True)[k] for k in range(32))
trainer = Trainer(model=vit(), args=arguments(max_steps=4), train_dataset=Stream())
trainer.train()
"""
BATCHES = """
class Own(Trainer):
    def get_batch_samples(self, batches, count, device):
        return [next(batches) for _ in range(count)], None
trainer = Own(model=vit(), args=arguments(max_steps=4), train_dataset=Digits(0, 32, True))
trainer.train()
"""
PERSISTENT = """
trainer = Trainer(model=vit(), args=arguments(max_steps=4, dataloader_num_workers=1, dataloader_persistent_workers=True),
                  train_dataset=Digits(0, 32, True))
trainer.train()
"""
FIND_BATCH = """
trainer = Trainer(model=vit(), args=arguments(max_steps=4, auto_find_batch_size=True), train_dataset=Digits(0, 32, True))
trainer.train()
"""
OLD = """
trainer = Trainer(model=vit(), args=arguments(max_steps=4), train_dataset=Digits(0, 32, True))
trainer.train()
"""
BARRED = {
    "streamed dataset": (STREAM, ""),
    "a way of its own": (BATCHES, ""),
    "persistent workers": (PERSISTENT, ""),
    "auto_find_batch_size": (FIND_BATCH, ""),
    "transformers": (OLD, "from colab_guard.training import internals; internals.NEEDED_METHODS += ('_of_a_later_version',)\n"),
}


@pytest.mark.parametrize("why", BARRED)
def test_what_cannot_be_resumed_inside_is_refused_by_name(bench: Bench, why: str) -> None:
    cell, setup = BARRED[why]
    told = bench.run(cell, setup=setup, kill_at=0, on=1)
    same(told, bench.run(cell, plain=True))
    assert told["refused"] and all(why in reason for reason in told["refused"]), told["refused"]


def test_steps_are_told_with_the_loss_that_was_logged(bench: Bench) -> None:
    steps = bench.run(LORA)["steps"]
    assert [step for step, _, _ in steps] == [1, 2, 3, 4, 5]
    assert {total for _, total, _ in steps} == {5}
    assert steps[0][2] is None and isinstance(steps[-1][2], float)


def test_snapshots_do_not_grow_with_the_number_of_resumes(bench: Bench) -> None:
    cell = VIT.replace("2),\n", "2, bf16=True),\n", 1)
    assert cell != VIT
    sizes, start = [], None
    for number in range(4):
        told = bench.run(cell, on=number % 2, kill_at=3 if number == 0 else 0, start=start)
        start = told["snapshot"]
        sizes.append(told["size"])
    assert max(sizes) - min(sizes) < 2000, sizes
