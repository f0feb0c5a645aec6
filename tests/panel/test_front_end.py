"""What the package brings for pages is what js/ builds: seen by hashes, without Node (`npm run check` builds it anew)."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILT = dict(reversed(line.split("  ")) for line in (ROOT / "js/built.sha256").read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("name", BUILT)
def test_a_file_is_as_it_was_when_the_bundles_were_built(name: str) -> None:
    assert sha256((ROOT / name).read_bytes()).hexdigest() == BUILT[name], "run: npm run build --prefix js"


def test_no_file_was_added_or_removed_since() -> None:
    there = {f"{folder}/{path.name}" for folder in ("js/src", "colab_guard/static") for path in (ROOT / folder).iterdir()}
    assert there | {"js/build.js", "js/package-lock.json"} == set(BUILT), "run: npm run build --prefix js"
