"""Live plots with clear_output and display handles, style contexts, twin axes, an imshow updated in place, savefig in the loop, subplots_mosaic, a plotting callback class that keeps artists."""
# needs: matplotlib, numpy
# unit: 0.02
# every: 0.3
# %% setup
import numpy as np, matplotlib, matplotlib.pyplot as plt
from IPython.display import clear_output, display, HTML, update_display
%matplotlib inline
rng = np.random.default_rng(2)
plt.rcParams["figure.figsize"] = 3, 2
class PlotLosses:
    def __init__(self, names, every=20): self.logs, self.every, self.colors = {n: [] for n in names}, every, plt.rcParams["axes.prop_cycle"].by_key()["color"]
    def __call__(self, **logs):
        for k, v in logs.items(): self.logs[k].append(v)
        if len(self.logs[k]) % self.every == 0:
            clear_output(wait=True)
            fig, axs = plt.subplots(1, len(self.logs))
            for ax, (n, v), c in zip(axs, self.logs.items(), self.colors): ax.plot(v, color=c, label=n); ax.set_title(n)
            plt.show()
# %% cell
plot = PlotLosses(["loss", "acc"])
fig, axd = plt.subplot_mosaic("AB;AC", layout="constrained")
line, = axd["A"].plot([], [], "r-o", ms=2); im = axd["B"].imshow(np.zeros((8, 8)), vmin=0, vmax=1, cmap="magma"); twin = axd["C"].twinx()
bars = axd["C"].bar(range(3), [0] * 3)
handle = display(HTML("<b>start</b>"), display_id="status")
grid = rng.random((8, 8)); xs, ys = [], []
with plt.style.context("ggplot"):
    for i in range(70):
        grid += .1 * (np.roll(grid, 1, 0) + np.roll(grid, 1, 1) - 2 * grid) + .01 * rng.normal(size=(8, 8))
        im.set_data(grid); xs.append(i); ys.append(grid.var()); line.set_data(xs, ys)
        axd["A"].relim(); axd["A"].autoscale_view()
        for b, h in zip(bars, rng.random(3)): b.set_height(h)
        twin.plot([i], [ys[-1]], "k.")
        plot(loss=ys[-1], acc=float(grid.mean()))
        if i % 10 == 0: handle.update(HTML(f"<b>{i}</b>")); update_display(HTML(f"<i>{i}</i>"), display_id="status")
        tick()
fig.suptitle(f"after {i}"); fig.canvas.draw()
plt.figure(num="hist"); plt.hist(np.ravel(grid), bins=5); plt.savefig("hist.png"); plt.close("hist")
heights = [round(b.get_height(), 6) for b in bars]
same = line in axd["A"].lines and im.axes is axd["B"] and twin.get_figure() is fig
n = len(twin.lines); plt.close("all")
heights, same, n, len(plot.logs["acc"]), plt.get_fignums()
# %% after
del fig, axd, line, im, twin, bars, handle, b
