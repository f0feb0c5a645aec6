"""Sequences that do not fit at any rung above are cut, where the user allows it, and nowhere else."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from transformers import BatchEncoding, GPT2Config, GPT2LMHeadModel

from colab_guard.memory import undo
from colab_guard.memory.batches import counted_by
from colab_guard.memory.microbatches import microbatches
from colab_guard.memory.recovery import Recovery
from colab_guard.memory.shorten import SHORTEST, cut_to, halved, obstacle
from tests.memory.full import out_of_memory

ALLOWED = frozenset({"shorter"})
LONG = 160


def recovery(told: list[Any] | None = None, allowed: frozenset[str] | None = ALLOWED, changed: list[str] | None = None) -> Recovery:
    hear = [] if told is None else told
    noted = [] if changed is None else changed
    return Recovery(hear.append, lambda: None, noted.append, allowed=lambda: allowed)


class Bounded(GPT2LMHeadModel):
    """Memory is full for sequences of more than `most` tokens, whatever else is tried."""

    most = LONG
    seen: list[tuple[int, ...]]

    def forward(self, input_ids: Any = None, **more: Any) -> Any:
        self.seen.append(tuple(input_ids.shape))
        if self.training and input_ids.shape[1] > self.most:
            raise out_of_memory()
        return super().forward(input_ids=input_ids, **more)


def bounded(most: int) -> Bounded:
    torch.manual_seed(1)
    sizes: dict[str, Any] = {"vocab_size": 30, "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": LONG, "bos_token_id": 0, "eos_token_id": 0}
    model = Bounded(GPT2Config(**sizes, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, use_cache=False))
    model.most, model.seen = most, []
    return model.train()


def batches(count: int = 4, rows: int = 4, length: int = LONG, skipped: int = 3) -> list[dict[str, torch.Tensor]]:
    """Texts whose first labels count for nothing: of the k-th row, `skipped` × k."""
    torch.manual_seed(2)
    found = []
    for _ in range(count):
        words = torch.randint(1, 30, (rows, length))
        labels = words.clone()
        for row in range(rows):
            labels[row, : skipped * row] = -100
        found.append({"input_ids": words, "attention_mask": torch.ones_like(words), "labels": labels})
    return found


def train(guard: Recovery, model: Any, data: list[Any]) -> list[float]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    losses = []
    for batch in data:
        total = 0.0
        for micro in microbatches(guard, batch, model):
            with micro as part:
                loss = model(**part).loss * micro.weight
                loss.backward()
                total += loss.item()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(total)
    return losses


def plain(model: Any, data: list[Any]) -> list[float]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    losses = []
    for batch in data:
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def test_a_loop_trains_as_if_its_texts_had_been_cut_by_the_tokenizer() -> None:
    told: list[Any] = []
    changed: list[str] = []
    model, data = bounded(most=90), batches()
    losses = train(recovery(told, changed=changed), model, data)

    wanted = bounded(most=LONG)
    short = [{name: tensor[:, :80] for name, tensor in batch.items()} for batch in data]
    assert losses == pytest.approx(plain(wanted, short), abs=1e-5)
    for name, tensor in wanted.state_dict().items():
        assert torch.allclose(model.state_dict()[name], tensor, atol=1e-5), name

    assert [event.did for event in told] == [
        "the same again",
        "4 rows in one pass → 2 rows in each of 2",
        "2 rows in each of 2 → 1 rows in each of 4",
        "gradient checkpointing switched on",
        "4 rows in one pass → 2 rows in each of 2",
        "2 rows in each of 2 → 1 rows in each of 4",
        "sequences of 160 tokens → 80",
    ]
    assert changed[-1] == "memory: at most 1 rows in one pass, gradient checkpointing and sequences of at most 80 tokens"
    assert {shape for shape in model.seen if shape[1] <= 90} == {(1, 80)}


@pytest.mark.parametrize("allowed", [None, frozenset()])
def test_without_permission_no_sequence_is_ever_cut_and_the_error_says_what_would_permit_it(allowed: frozenset[str] | None) -> None:
    model = bounded(most=90)
    with pytest.raises(torch.OutOfMemoryError) as raised:
        train(recovery(allowed=allowed), model, batches(1))
    assert {shape[1] for shape in model.seen} == {LONG}
    assert raised.value.__notes__[-1].endswith(
        "nothing is left to try but shorter sequences, which %memguard --allow shorter permits."
    )


def test_sequences_are_never_cut_below_the_shortest() -> None:
    model = bounded(most=SHORTEST - 1)
    with pytest.raises(torch.OutOfMemoryError) as raised:
        train(recovery(), model, batches(1))
    assert sorted({shape[1] for shape in model.seen}) == [SHORTEST, 80, LONG]
    assert "64 tokens are short already" in raised.value.__notes__[-1]


def test_what_is_short_stays_as_it_is_and_as_whole() -> None:
    model = bounded(most=90)
    told: list[Any] = []
    guard = recovery(told)
    train(guard, model, [*batches(1), *batches(1, length=70, skipped=0)])
    assert model.seen[-1] == (4, 70)


def test_what_worked_is_known_to_the_next_model_and_to_another_kernel_with_the_permission() -> None:
    first = recovery()
    train(first, bounded(most=90), batches(1))
    told: list[Any] = []
    again = bounded(most=90)
    train(first, again, batches(1))
    assert set(again.seen) == {(1, 80)}

    for allowed, lengths in ((None, {80}), (ALLOWED, {80}), (frozenset(), {LONG})):
        other = recovery(told, allowed=allowed)
        other.adopt(first.to_json())
        model = bounded(most=LONG)  # it would fit
        train(other, model, batches(1))
        assert {shape[1] for shape in model.seen} == lengths, allowed
        assert not told


def test_the_permission_that_a_commit_tells_goes_as_far_as_it_went_there() -> None:
    first = recovery()
    train(first, bounded(most=90), batches(1))
    other = recovery(allowed=None)
    other.adopt(first.to_json())
    model = bounded(most=70)
    train(other, model, batches(1))
    assert model.seen[-1] == (1, 64)


def test_what_was_committed_before_there_was_this_rung_is_still_read() -> None:
    guard = recovery(allowed=None)
    guard.adopt({"x on cpu": {"sizes": {"160": 2}, "checkpointing": False, "whole": False}})
    assert guard.to_json() == {"x on cpu": {"sizes": {"160": 2}, "checkpointing": False, "whole": False, "longest": None}}


def test_a_batch_that_would_lose_all_its_labels_is_not_cut() -> None:
    model, data = bounded(most=90), batches(1)
    data[0]["labels"][:, :100] = -100
    with pytest.raises(torch.OutOfMemoryError) as raised:
        train(recovery(), model, data)
    assert {shape[1] for shape in model.seen} == {LONG}
    assert "no label that counts would be left of them in 80 tokens" in raised.value.__notes__[-1]


def test_rows_that_lose_all_their_labels_make_no_loss_that_is_not_a_number() -> None:
    model, data = bounded(most=90), batches(2)
    for batch in data:
        batch["labels"][1, :100] = -100
    losses = train(recovery(), model, data)
    short = [{name: tensor[:, :80] for name, tensor in batch.items()} for batch in data]
    assert losses == pytest.approx(plain(bounded(most=LONG), short), abs=1e-5)
    assert all(math.isfinite(float(tensor.sum())) for tensor in model.state_dict().values())


def test_memory_that_is_short_in_the_middle_of_a_batch_cuts_the_rows_that_are_left_at_their_weight() -> None:
    model, data = bounded(most=LONG), batches(1, skipped=0)
    guard = recovery()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    parts = microbatches(guard, data[0], model, size=1)
    done = []
    for micro in parts:
        if len(done) == 2:
            model.most = 90
        with micro as part:
            (model(**part).loss * micro.weight).backward()
            done.append((tuple(part["input_ids"].shape), micro.weight))
    optimizer.zero_grad()
    assert [shape for shape, _ in done] == [(1, LONG)] * 2 + [(1, 80)] * 2
    assert [weight for _, weight in done] == pytest.approx([0.25] * 4)


def words(rows: int = 4, length: int = 128, labels: slice | None = None) -> dict[str, torch.Tensor]:
    """Texts of which the first half is to be learnt, or else those `labels` of each row."""
    found = torch.full((rows, length), -100)
    found[:, : length // 2 if labels is None else 0] = 1
    if labels is not None:
        found[:, labels] = 1
    return {"input_ids": torch.ones(rows, length, dtype=torch.long), "labels": found}


Part = tuple[int, float, float]


def run_rows(guard: Recovery, net: Any, batch: dict[str, torch.Tensor], ended: Any, full: Any) -> list[Part]:
    """Length, weight and kept labels of each row that was done. Two never fit; of one, `full` tells before its backward
    pass, and `ended` after it."""
    done: list[Part] = []

    def part(rows: dict[str, torch.Tensor], weight: float, kept: float) -> None:
        count, length = rows["input_ids"].shape
        if count > 1 or full(length, done):
            raise out_of_memory()
        (net(torch.ones(1, 1)).mean() * weight).backward()
        if ended(length, done):
            raise out_of_memory()
        done.append((length, weight, kept))

    guard.run(batch, net, lambda whole: counted_by(net, whole), part, lambda: None)
    return done


def never(length: int, done: list[Part]) -> bool:
    return False


def test_a_batch_that_begins_anew_as_it_is_cut_weighs_as_one_that_was_cut_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undo, "ASIDE_BYTES", 0)  # as with gradients that are too large to hold aside
    told: list[Any] = []
    net, batch = torch.nn.Linear(1, 1, bias=False), words()
    batch["labels"][0] = 1

    def second_row(length: int, done: list[Part]) -> bool:
        return length > 64 and net.weight.grad.item() > 0.5

    done = run_rows(recovery(told), net, batch, second_row, never)
    assert told[-1].did == "sequences of 128 tokens → 64, from the batch's first row on"
    assert done[-4:] == [(64, 0.25, 256 / 320)] * 4
    assert net.weight.grad is not None and net.weight.grad.item() == pytest.approx(1.0)


def test_a_batch_that_was_cut_in_its_middle_weighs_as_one_cut_from_the_start_once_it_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undo, "ASIDE_BYTES", 0)
    told: list[Any] = []
    net, batch = torch.nn.Linear(1, 1, bias=False), words()
    batch["labels"][:2] = 1
    failures = iter([True])

    def last_row(length: int, done: list[Part]) -> bool:
        return len(done) == 3 and next(failures, False)

    done = run_rows(recovery(told), net, batch, last_row, lambda length, done: length > 64 and len(done) > 1)
    assert [event.did for event in told[-2:]] == ["sequences of 128 tokens → 64", "the same again, from the batch's first row on"]
    assert done == [(128, 1 / 3, 1.0)] * 2 + [(64, 1 / 6, 1.0)] + [(64, 0.25, 256 / 384)] * 4
    assert net.weight.grad is not None and net.weight.grad.item() == pytest.approx(1.0)


def test_a_batch_that_cannot_be_cut_as_far_as_others_does_not_lengthen_those() -> None:
    guard, net = recovery(), torch.nn.Linear(1, 1, bias=False)
    assert run_rows(guard, net, words(length=160), never, lambda length, done: length > 90)[-1][0] == 80
    late = words(length=300, labels=slice(100, 140))  # nothing is to be learnt of its first 80 tokens
    assert run_rows(guard, net, late, never, lambda length, done: length > 150)[-1][0] == 150
    assert run_rows(guard, net, words(length=160), never, never) == [(80, 0.25, 1.0)] * 4


# shapes


def entry(batch: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**batch, **more}


WORDS = torch.arange(3 * 100).reshape(3, 100)
MASK = torch.ones(3, 100, dtype=torch.long)


def test_what_has_a_value_for_each_token_is_cut_by_its_shape() -> None:
    batch = {
        "input_ids": WORDS,
        "attention_mask": torch.ones(3, 1, 100, 100),
        "position_ids": torch.arange(100)[None],
        "offset_mapping": torch.zeros(3, 100, 2),
        "labels": torch.zeros(3, 5),
        "texts": ["a", "b", "c"],
        "scale": 2.0,
    }
    assert obstacle(batch, []) is None
    short = cut_to(batch, 64)
    assert {name: tuple(value.shape) for name, value in short.items() if hasattr(value, "shape")} == {
        "input_ids": (3, 64),
        "attention_mask": (3, 1, 64, 64),
        "position_ids": (1, 64),
        "offset_mapping": (3, 64, 2),
        "labels": (3, 5),
    }
    assert torch.equal(short["input_ids"], WORDS[:, :64])
    assert short["texts"] == ["a", "b", "c"]


def test_choices_of_several_texts_a_row_are_cut_in_their_last_dimension() -> None:
    batch = {"input_ids": torch.zeros(2, 4, 100, dtype=torch.long), "attention_mask": torch.ones(2, 4, 100), "labels": torch.tensor([1, 3])}
    assert obstacle(batch, []) is None
    assert cut_to(batch, 64)["attention_mask"].shape == (2, 4, 64)


def test_a_batch_of_a_tokenizer_comes_back_as_one() -> None:
    short = cut_to(BatchEncoding({"input_ids": WORDS, "attention_mask": MASK}), 64)
    assert isinstance(short, BatchEncoding) and short["attention_mask"].shape == (3, 64)
    assert short.input_ids.shape == (3, 64)


def test_rows_that_are_padded_at_their_beginning_keep_their_end() -> None:
    mask = MASK.clone()
    mask[1, :40] = 0
    assert torch.equal(cut_to({"input_ids": WORDS, "attention_mask": mask}, 64)["input_ids"], WORDS[:, 36:])
    mask = MASK.clone()
    mask[1, 60:] = 0
    assert torch.equal(cut_to({"input_ids": WORDS, "attention_mask": mask}, 64)["input_ids"], WORDS[:, :64])


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("start_positions", torch.tensor([1, 90, 3]), "start_positions tells places"),
        ("length", torch.tensor([1, 90, 3]), "length tells places"),
        ("cu_seq_lens_q", torch.tensor([0, 300], dtype=torch.int32), "cu_seq_lens_q tells places"),
        ("pixel_values", torch.zeros(3, 3, 8, 8), "pixel_values may belong to certain tokens"),
        ("pixel_values", torch.zeros(12, 32), "pixel_values may belong to certain tokens"),
        ("features", torch.zeros(3, 8, 100), "features has a dimension as long as the sequence (100)"),
        ("inputs_embeds", torch.zeros(3, 100, 100), "inputs_embeds has a dimension as long"),
        ("position_ids", torch.zeros(3, 3, 100), "position_ids has a dimension as long"),
        ("position_ids", torch.arange(50).repeat(3, 2), "position_ids begin anew within a row"),
        ("labels", torch.zeros(3, 99, dtype=torch.long), "labels has a dimension of 99, which may be the sequence's"),
        ("spans", [[1, 2], [3, 4], [5, 6]], "spans is a list"),
        ("input_ids", WORDS[:, :60], "60 tokens are short already"),
        ("input_ids", WORDS.flatten(), "no mapping with input_ids of rows and tokens"),
    ],
)
def test_what_would_be_a_guess_is_refused_by_name(name: str, value: Any, why: str) -> None:
    told = obstacle(entry({"input_ids": WORDS, "attention_mask": MASK} if name != "input_ids" else {}, **{name: value}), [])
    assert told is not None and why in told


def test_tuples_tensors_and_models_with_outputs_of_their_own_length_are_refused() -> None:
    from transformers import T5Config

    class Model:
        config = T5Config()

    assert "no mapping with input_ids" in str(obstacle((WORDS, MASK), []))
    assert "no mapping with input_ids" in str(obstacle(WORDS, []))
    assert "a length of its own" in str(obstacle({"input_ids": WORDS}, [Model()]))


def test_lengths_are_halved_down_to_the_shortest() -> None:
    lengths = [1000]
    while (shorter := halved(lengths[-1])) is not None:
        lengths.append(shorter)
    assert lengths == [1000, 500, 250, 125, 64]
