"""A Keras-like framework of the user's: Layer with __setattr__ tracking, Sequential.add, compile by strings, History, ModelCheckpoint, LRScheduler by lambda, weak parent references, try/except/finally stop by exception."""
# needs: numpy
# depth: 2
# unit: 0.03
# %% setup
import numpy as np, weakref, sys, io, os, csv, inspect, types
from abc import ABC, abstractmethod
np.random.seed(0)
class StopTraining(Exception): pass
class Param(np.ndarray):
    def __new__(cls, a, name=""):
        o = np.asarray(a, dtype="f8").view(cls); o.name = name; o.grad = np.zeros(o.shape); return o
    def __array_finalize__(self, o):
        if o is None: return
        self.name = getattr(o, "name", ""); self.grad = getattr(o, "grad", None)
class Layer(ABC):
    def __setattr__(self, k, v):
        if isinstance(v, Param): self.__dict__.setdefault("_params", {})[k] = v
        object.__setattr__(self, k, v)
    @property
    def params(self): return self.__dict__.get("_params", {})
    @property
    def parent(self): return self._parent() if getattr(self, "_parent", None) else None
    @abstractmethod
    def __call__(self, x): ...
class Dense(Layer):
    def __init__(self, i, o): self.W = Param(np.random.randn(i, o) * .3, "W"); self.b = Param(np.zeros(o), "b")
    def __call__(self, x): self.x = x; return x @ np.asarray(self.W) + np.asarray(self.b)
    def back(self, g): self.W.grad = self.x.T @ g; self.b.grad = g.sum(0); return g @ np.asarray(self.W).T
class Tanh(Layer):
    def __call__(self, x): self.y = np.tanh(x); return self.y
    def back(self, g): return g * (1 - self.y ** 2)
class Callback:
    model = None
    def set_model(self, m): self.model = m; return self
    def __getattr__(self, n):
        if n.startswith("on_"): return lambda *a, **k: None
        raise AttributeError(n)
class LambdaCallback(Callback):
    def __init__(self, **k): self.__dict__.update(k)
class CSVLogger(Callback):
    def __init__(self, path): self.path = path
    def on_train_begin(self): self.f = open(self.path, "w", newline=""); self.w = csv.writer(self.f)
    def on_epoch_end(self, e, logs): self.w.writerow([e, *(f"{v:.5f}" for v in logs.values())])
    def on_train_end(self): self.f.close(); del self.w
class EarlyStopping(Callback):
    def __init__(self, patience): self.patience, self.wait, self.best = patience, 0, np.inf
    def on_epoch_end(self, e, logs):
        if logs["loss"] < self.best: self.best, self.wait, self.weights = logs["loss"], 0, [np.array(p) for p in self.model.parameters()]
        else:
            self.wait += 1
            if self.wait >= self.patience: raise StopTraining(f"epoch {e}")
# %% cell
class Sequential:
    _opts = {"sgd": lambda lr: (lambda p, s: p.__isub__(lr * p.grad)), "momentum": lambda lr: (lambda p, s: p.__isub__(lr * s.setdefault(id(p), np.zeros_like(p.grad)).__imul__(.9).__iadd__(p.grad)))}
    def __init__(self, layers=()): self.layers = []; [self.add(l) for l in layers]
    def add(self, l): l._parent = weakref.ref(self); self.layers.append(l)
    def parameters(self): return (p for l in self.layers for p in l.params.values())
    def compile(self, optimizer="momentum", lr=.05): self.lr = lr; self.update = self._opts[optimizer](lr); self.slots = {}
    def fit(self, X, y, epochs, bs=10, callbacks=()):
        cbs = [c.set_model(self) for c in callbacks]; hist = types.SimpleNamespace(history={})
        try:
            for c in cbs: c.on_train_begin()
            for e in range(epochs):
                losses = []
                for b in np.array_split(np.random.permutation(len(X)), len(X) // bs):
                    out = X[b]
                    for l in self.layers: out = l(out)
                    g = out - y[b]; losses.append(float((g ** 2).mean())); g = 2 * g / g.size
                    for l in self.layers[::-1]: g = l.back(g)
                    for i, p in enumerate(self.parameters()): self.update(p, self.slots.setdefault(i, {"n": 0})) if False else p.__isub__(self.lr * p.grad)
                    tick()
                logs = {"loss": np.mean(losses), "lr": self.lr}
                for k, v in logs.items(): hist.history.setdefault(k, []).append(v)
                for c in cbs: c.on_epoch_end(e, logs)
        except StopTraining as err:
            print("stopped:", err, file=sys.stderr); hist.stopped = err
        finally:
            for c in cbs: c.on_train_end()
        return hist
X = np.random.rand(60, 4); y = np.sin(X.sum(1, keepdims=True))
model = Sequential([Dense(4, 8), Tanh()]); model.add(Dense(8, 1)); model.compile(lr=.2)
seen = []
es = EarlyStopping(3)
hist = model.fit(X, y, 30, callbacks=[CSVLogger("hist.csv"), LambdaCallback(on_epoch_end=lambda e, logs: seen.append(logs["loss"])), es, LambdaCallback(on_epoch_end=lambda e, l: setattr(model, "lr", model.lr * 1.15))])
model.layers[0].parent is model, len(seen), round(es.best, 9), getattr(hist, "stopped", None), model.layers[0].W.name, es.model is model
