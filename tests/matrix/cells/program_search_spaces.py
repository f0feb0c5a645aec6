"""An optuna-like search: a Study with a Trial protocol, pruning by exception, closures as objectives, sampler objects, a leaderboard kept by bisect."""
# depth: 2
# %% setup
import bisect, json, math, operator, random
from contextlib import contextmanager, ExitStack, suppress
from functools import partial, reduce, total_ordering
from enum import Enum, auto
class TrialState(Enum):
    RUNNING = auto()
    COMPLETE = auto()
    PRUNED = auto()
    FAIL = auto()
    def __str__(self): return self.name.lower()
class TrialPruned(Exception):
    def __init__(self, step, *a):
        super().__init__(f"pruned at {step}", *a); self.step = step
@total_ordering
class Trial:
    def __init__(self, number, study):
        self.number, self.study, self.params, self.state, self.value, self.inter = number, study, {}, TrialState.RUNNING, None, {}
    def suggest_float(self, name, lo, hi, *, log=False):
        r = self.study.rng
        v = math.exp(r.uniform(math.log(lo), math.log(hi))) if log else r.uniform(lo, hi)
        return self.params.setdefault(name, v)
    def suggest_categorical(self, name, choices): return self.params.setdefault(name, self.study.rng.choice(choices))
    def report(self, value, step): self.inter[step] = value
    def should_prune(self):
        step = max(self.inter)
        others = sorted(t.inter[step] for t in self.study.trials if t is not self and step in t.inter)
        return len(others) > 4 and self.inter[step] > others[len(others) // 2]
    def __lt__(self, o): return (self.value, self.number) < (o.value, o.number)
    def __eq__(self, o): return self is o
    __hash__ = object.__hash__
class Study:
    def __init__(self, seed):
        self.rng, self.trials, self.board, self.callbacks = random.Random(seed), [], [], []
    def optimize(self, objective, n_trials, catch=()):
        for _ in range(n_trials):
            trial = Trial(len(self.trials), self); self.trials.append(trial)
            try:
                trial.value = objective(trial)
            except TrialPruned as e:
                trial.state = TrialState.PRUNED; trial.error = e
            except catch as e:
                trial.state = TrialState.FAIL; trial.error = e
            else:
                trial.state = TrialState.COMPLETE
                bisect.insort(self.board, trial)
            finally:
                for cb in self.callbacks: cb(self, trial)
    @property
    def best_trial(self): return self.board[0]
# %% cell
log = []
def make_objective(f, steps):
    calls = 0
    def objective(trial):
        nonlocal calls
        lr = trial.suggest_float("lr", 1e-3, 0.9, log=True)
        mom = trial.suggest_categorical("mom", [0.0, 0.5, 0.9])
        x, v = 5.0, 0.0
        for step in range(steps):
            calls += 1
            g = f(x)
            v = mom * v - lr * g
            x += v
            if abs(x) > 1e6: raise OverflowError(f"diverged at {step}")
            trial.report(x * x, step)
            tick()
            if trial.should_prune():
                raise TrialPruned(step)
        return x * x
    objective.calls = lambda: calls
    return objective
study = Study(10)
study.callbacks += [lambda s, t: log.append((t.number, str(t.state), t.params["mom"])), partial(print, "done", sep=" : ", end="\n")] [:1]
obj = make_objective(lambda x: 2 * x + math.sin(5 * x), 12)
study.optimize(obj, 25, catch=(OverflowError, ZeroDivisionError))
states = {s: sum(1 for t in study.trials if t.state is s) for s in TrialState}
print(json.dumps({k.name: v for k, v in states.items()}, indent=1))
study.best_trial.number, study.best_trial.params, obj.calls(), type(study.trials[-1]).__name__
