"""transformers' Trainer with metrics, a callback of the notebook's, evaluation in each epoch and the best model at the end."""
# needs: torch, transformers, accelerate
# inside: between
# %% setup
import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

torch.manual_seed(3)
rows = [{"input_ids": torch.randint(5, 40, (10,)), "labels": k % 3} for k in range(96)]
# %% setup
import numpy
import random

random.seed(0)
numpy.random.seed(0)
# %% cell
class Meter(TrainerCallback):
    def __init__(self):
        self.losses, self.evaluated = [], []

    def on_step_end(self, args, state, control, **kwargs):
        tick()

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs:
            self.losses.append(logs["loss"])

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        self.evaluated.append(metrics["eval_accuracy"])


def compute_metrics(pred):
    return {"accuracy": float((np.argmax(pred.predictions, axis=-1) == pred.label_ids).mean())}


meter = Meter()
config = BertConfig(vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, num_labels=3)
model = BertForSequenceClassification(config)
args = TrainingArguments(
    output_dir="results", num_train_epochs=4, per_device_train_batch_size=4, per_device_eval_batch_size=8, eval_strategy="epoch",
    save_strategy="no", logging_steps=3, learning_rate=5e-4, warmup_steps=4, weight_decay=0.01, report_to="none", use_cpu=True,
    disable_tqdm=True,
)
trainer = Trainer(
    model=model, args=args, train_dataset=rows[:64], eval_dataset=rows[64:], compute_metrics=compute_metrics, callbacks=[meter]
)
result = trainer.train()
final = trainer.evaluate()["eval_loss"]
steps, weight = result.global_step, model.classifier.weight.detach().clone()
losses, evaluated = list(meter.losses), list(meter.evaluated)
del trainer, args, result, meter
steps, losses[-1], evaluated, final
