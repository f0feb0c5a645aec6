"""Features written to a memory map, json checkpoints read back in the loop, a set of strings of what is done."""
# needs: numpy
# %% setup
import json
import os
from pathlib import Path

import numpy as np

rng = np.random.default_rng(30)
out = Path("run")
# %% cell
out.mkdir(exist_ok=True)
features = np.memmap(out / "features.dat", dtype="float32", mode="w+", shape=(60, 5))
state_path = out / "state.json"
done, totals = set(), {}
for i in range(60):
    key = f"doc{i % 20}"
    features[i] = rng.normal(size=5)
    features[0] += features[i] * 0.01
    done.add(key)
    totals[key] = totals.get(key, 0.0) + float(features[i].sum())
    if i % 6 == 0:
        state = json.loads(state_path.read_text()) if state_path.exists() else {"saves": 0}
        state["saves"] += 1
        state["done"] = sorted(done)
        temporary = state_path.with_suffix(".tmp")
        temporary.write_text(json.dumps(state))
        os.replace(temporary, state_path)
    with open(out / "log.txt", "a") as log:
        log.write(f"{i} {key} {totals[key]:.6f}\n")
    tick()
features.flush()
mean = float(features.mean())
lines = (out / "log.txt").read_text().count("\n")
del features
state["saves"], lines, round(mean, 7)
