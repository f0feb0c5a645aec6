"""Nested progress bars, one with `set_postfix`, one updated by hand."""
# needs: tqdm
# depth: 2
# %% setup
import io
import random

from tqdm import tqdm, trange

random.seed(371)
screen = io.StringIO()
# %% cell
losses = []
for epoch in tqdm(range(5), desc="epochs", file=screen):
    inner = trange(20, leave=False, file=screen)
    for step in inner:
        losses.append(random.random() / (epoch + 1))
        inner.set_postfix(loss=losses[-1])
        tick()
bar = tqdm(total=60, file=screen)
done = 0
while done < 60:
    bar.update(2)
    done += 2
    tick()
bar.close()
screen.seek(0)
screen.truncate()
(len(losses), bar.n, inner.n)
