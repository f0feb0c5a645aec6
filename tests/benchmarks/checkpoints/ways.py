"""Ways to save a case. `save` returns when training may go on; what it gives ends what still goes on behind."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import torch.distributed
import torch.distributed.checkpoint as dcp
import transformers

from tests.benchmarks.checkpoints.cases import Case

Finish = Callable[[], Any]


class Way:
    """One way to save `case` into `folder`."""

    name = ""

    def __init__(self, case: Case, folder: Path) -> None:
        self.case = case
        self.folder = folder
        folder.mkdir(parents=True)

    def save(self) -> Finish:
        raise NotImplementedError

    def bytes(self) -> int:
        """What the save wrote; it is removed."""
        size = sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        return size


class Floor(Way):
    """No checkpoint: one copy of all tensors into memory that is there already."""

    name = "copy into a reused buffer"

    def __init__(self, case: Case, folder: Path) -> None:
        super().__init__(case, folder)
        self._buffers = [torch.empty_like(tensor) for tensor in case.tensors().values()]
        self.save()  # the memory is touched

    def save(self) -> Finish:
        for buffer, tensor in zip(self._buffers, self.case.tensors().values(), strict=True):
            buffer.copy_(tensor)
        return _nothing


class TorchSave(Way):
    name = "torch.save + fsync"

    def save(self) -> Finish:
        with (self.folder / "state.pt").open("wb") as file:
            torch.save(self.case.state(), file)
            file.flush()
            os.fsync(file.fileno())
        return _nothing


class Safetensors(Way):
    name = "safetensors + fsync"

    def save(self) -> Finish:
        path = self.folder / "state.safetensors"
        safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in self.case.tensors().items()}, path)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        return _nothing


class TrainerSave(Way):
    name = "transformers.Trainer save"

    def __init__(self, case: Case, folder: Path) -> None:
        super().__init__(case, folder)
        schedule = torch.optim.lr_scheduler.LambdaLR(case.optimizer, lambda step: 1.0)
        arguments = transformers.TrainingArguments(output_dir=str(folder), use_cpu=True, report_to=[], disable_tqdm=True)
        self._trainer = transformers.Trainer(model=case.model, args=arguments, optimizers=(case.optimizer, schedule))

    def save(self) -> Finish:
        self._trainer._save_checkpoint(self.case.model, None)
        return _nothing


class DcpSave(Way):
    name = "torch DCP save"

    def save(self) -> Finish:
        dcp.save(self.case.state(), checkpoint_id=str(self.folder / "dcp"), no_dist=True)
        return _nothing


class DcpAsync(Way):
    name = "torch DCP async_save"

    def __init__(self, case: Case, folder: Path) -> None:
        super().__init__(case, folder)
        if not torch.distributed.is_initialized():
            torch.distributed.init_process_group("gloo", init_method=f"file://{folder}-group", rank=0, world_size=1)

    def save(self) -> Finish:
        done = dcp.async_save(self.case.state(), checkpoint_id=str(self.folder / "dcp"))
        return done.result  # type: ignore[union-attr]


def _nothing() -> None:
    return None


WAYS: tuple[type[Way], ...] = (Floor, TorchSave, Safetensors, TrainerSave, DcpSave, DcpAsync)
