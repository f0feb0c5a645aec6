"""A sqlite3 log on disk opened per step, a zipfile and gzip appended to in the loop, csv.DictWriter, json lines, pathlib, tempfile, shutil."""
# %% setup
import csv, gzip, json, random, shutil, sqlite3, tempfile, zipfile
from pathlib import Path
random.seed(8)
root = Path("exp"); root.mkdir(exist_ok=True)
# %% cell
db = root / "runs.db"
with sqlite3.connect(db) as con:
    con.execute("create table if not exists m(step integer primary key, loss real)")
con.close()
fh = open(root / "log.csv", "w", newline="")
writer = csv.DictWriter(fh, fieldnames=["step", "loss", "tag"]); writer.writeheader()
jl = open(root / "log.jsonl", "a", buffering=1)
loss = 1.0
for step in range(60):
    loss *= random.uniform(.9, 1.02)
    writer.writerow(dict(step=step, loss=f"{loss:.6f}", tag="best" if loss < .5 else ""))
    print(json.dumps({"step": step, "loss": loss}), file=jl)
    if step % 5 == 0:
        con = sqlite3.connect(db)
        con.execute("insert or replace into m values (?, ?)", (step, loss)); con.commit(); con.close()
        with gzip.open(root / f"w{step % 3}.gz", "wt") as g: g.write(str(loss))
        (root / "ckpt").mkdir(exist_ok=True)
        (root / "ckpt" / f"{step}.txt").write_text(repr(loss))
        for old in sorted((root / "ckpt").glob("*.txt"), key=lambda p: int(p.stem))[:-2]: old.unlink()
    tick()
fh.close(); jl.close()
con = sqlite3.connect(db); rows = con.execute("select count(*), min(loss) from m").fetchone(); con.close()
vals = [gzip.open(p, "rt").read() for p in sorted(root.glob("w*.gz"))]
db.unlink()
for p in root.glob("w*.gz"): p.unlink()
rows, vals, sorted(p.name for p in (root / "ckpt").iterdir())
