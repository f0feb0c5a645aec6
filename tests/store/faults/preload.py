"""The library that makes calls fail, and its control: one shared page."""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SOURCE = Path(__file__).with_name("faults.c")
CALLS = {"open": 1, "write": 2, "fsync": 4, "rename": 8, "unlink": 16, "read": 32, "close": 64, "short": 128}
FAULTS: Sequence[tuple[str, int]] = (
    *((call, errno.EIO) for call in ("open", "write", "fsync", "rename", "unlink", "read", "close")),
    *((call, error) for call in ("open", "write", "fsync") for error in (errno.ENOSPC, errno.EDQUOT)),
    *((call, errno.EROFS) for call in ("open", "rename", "unlink")),
    ("open", errno.EMFILE),
    ("open", errno.EINTR),
    ("write", errno.EINTR),
    ("read", errno.EINTR),
    ("short", 0),
)


def environment(folder: Path, root: Path) -> dict[str, str]:
    """What a process must be started with so that calls below `root` can be made to fail; `folder` is for the library."""
    compiler = shutil.which("cc")
    assert compiler is not None, "faults need a C compiler: apt-get install gcc"
    library, control = folder / "faults.so", folder / "control"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
    control.write_bytes(bytes(16))
    return {"LD_PRELOAD": str(library), "FAULTS_CONTROL": str(control), "FAULTS_ROOT": str(root.resolve())}


class Control:
    """Turns faults on and off in the processes that were started with one `environment`."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), 16)

    @classmethod
    def here(cls) -> Control:
        """In a process that was started so."""
        return cls(Path(os.environ["FAULTS_CONTROL"]))

    def set(self, call: str, error: int, share: float) -> None:
        self._page[:12] = struct.pack("III", int(share * 1e6), error, CALLS[call])

    def off(self) -> None:
        self._page[:4] = bytes(4)

    @contextmanager
    def failing(self, call: str, error: int, share: float) -> Iterator[None]:
        self.set(call, error, share)
        try:
            yield
        finally:
            self.off()

    @property
    def done(self) -> int:
        """How many calls were made to fail until now."""
        return int(struct.unpack("I", self._page[12:16])[0])
