"""What can go wrong, and whose mistake it is.

    GuardError
    ├── UserMistake              the caller can mend it: one line says what, why, and what to type next
    │   ├── BadOption            a word, number or combination that means nothing (also a ValueError)
    │   ├── BadCell              the cell cannot be parsed, or is empty
    │   ├── StoreInUse           another living process writes this store
    │   ├── StoreTooNew          the store was written by a newer colab_guard
    │   ├── ForeignStore         the NAME belongs to another notebook, or the folder is no store
    │   ├── MirrorUnusable       the place named by --to cannot be written
    │   ├── NeedsDecision        what is here is not what was committed: --resume or --fresh decides
    │   │   ├── CellChanged      the cell is not the one that was committed
    │   │   ├── InputChanged     a value that the cell reads is not the committed one
    │   │   ├── FunctionChanged  a function that was running at the commit is not the same here, or not here
    │   │   ├── DeviceMissing    the commit holds tensors of a device that is not here
    │   │   ├── PythonChanged    the commit holds code that this version of Python cannot run
    │   │   ├── SecretMissing    the commit refers to a secret that is not here, or is another one here
    │   │   └── StateNotRegistered  the commit holds registered state, and nothing is registered under its name here
    │   └── MissingExtra         a library of an extra is not installed (also an ImportError)
    ├── CannotResume             the commit is whole, but this machine or these versions cannot take it up
    ├── NeedsNewKernel           the GPU fails every call of this process; only a new kernel can use it again
    ├── StoreDamaged             bytes on disk are not the bytes that were committed
    ├── SnapshotRefused          state is not whole here; caught by `snapshots`, counted and shown, never raised to the user
    └── HostMemoryPressure       host memory is nearly gone (also a MemoryError)
"""

from __future__ import annotations


class GuardError(Exception):
    """Base of every error that colab_guard raises on purpose."""


class UserMistake(GuardError):
    """Something that the user typed or did; its text is one line, shown without a traceback."""


class BadOption(UserMistake, ValueError):
    """An option, argument or combination that means nothing."""


class BadCell(UserMistake):
    """The cell under `%%checkpointed` cannot be parsed, or there is nothing in it."""


class StoreInUse(UserMistake):
    """Another living process holds the store's lease."""


class StoreTooNew(UserMistake):
    """The store's FORMAT names a version that this colab_guard does not know."""


class ForeignStore(UserMistake):
    """The store belongs to another notebook, or the folder holds something else."""


class MirrorUnusable(UserMistake):
    """The place named by `--to` does not exist and cannot be made, or cannot be written."""


class NeedsDecision(UserMistake):
    """What is here differs from what was committed; a person says what is meant. Nothing was run or restored."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class CellChanged(NeedsDecision):
    """The cell's code differs from the code that was committed under this name."""


class InputChanged(NeedsDecision):
    """A value that the cell reads differs from the value that was committed."""


class FunctionChanged(NeedsDecision):
    """A function that was running (or a generator that was waiting) at the commit is not the same here, or not here."""


class DeviceMissing(NeedsDecision):
    """The commit holds tensors of a device that this machine does not have."""


class PythonChanged(NeedsDecision):
    """The commit holds functions as instructions of another version of Python."""


class SecretMissing(NeedsDecision):
    """The commit refers to a secret (no commit holds one) that is not here, or has another value here."""


class StateNotRegistered(NeedsDecision):
    """The commit holds state of `register_state`, and nothing is registered here that could take it."""


class MissingExtra(UserMistake, ImportError):
    """A library is needed that the installed extras do not bring."""


class CannotResume(GuardError):
    """The commit is whole, but it cannot be taken up here; the text names the reason."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class NeedsNewKernel(GuardError):
    """An error inside the GPU stays with this process: every later call fails with it."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class StoreDamaged(GuardError):
    """Bytes on disk fail their checksum, or a file that a commit needs is missing."""


class StoreFull(GuardError, OSError):
    """The local disk is full, also after older state was let go; the commit before is intact."""


class SnapshotRefused(GuardError):
    """State is not whole at this safe point; the text names what stands in the way."""


class HostMemoryPressure(GuardError, MemoryError):
    """Host memory is nearly exhausted; raised only inside guarded work."""
