"""A config by argparse and `vars(args)`, a Borg logger, DotDict, a lr schedule that writes into the dictionary."""
# %% setup
import argparse, random
random.seed(3)
class Borg:
    _state = {"lines": []}
    def __init__(self): self.__dict__ = Borg._state
    def log(self, x): self.lines.append(x)
# %% cell
parser = argparse.ArgumentParser(prog="train")
parser.add_argument("--lr", type=float, default=1.0); parser.add_argument("--steps", type=int, default=120)
args = parser.parse_args([])
cfg = vars(args)
w, logger = 5.0, Borg()
for step in range(args.steps):
    w -= args.lr * 0.1 * (w + random.gauss(0, .1))
    cfg["lr"] *= 0.99
    Borg().n = step; Borg().log(round(w, 6))
    tick()
del parser
w, args.lr, cfg["lr"], logger.n, len(Borg().lines)
