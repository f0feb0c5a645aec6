"""A numpy network: a class with decorators as classes, __call__ stages, registries by decorator, timing wrappers that count."""
# needs: numpy
# depth: 2
# %% setup
import functools
import numpy as np
from functools import cached_property, singledispatchmethod

ACTIVATIONS = {}


def register(name=None):
    def deco(cls_or_fn):
        ACTIVATIONS[name or cls_or_fn.__name__] = cls_or_fn
        return cls_or_fn
    return deco


class count_calls:
    def __init__(self, fn):
        functools.update_wrapper(self, fn)
        self.fn, self.n = fn, 0

    def __call__(self, *a, **k):
        self.n += 1
        return self.fn(*a, **k)

    def __get__(self, obj, owner=None):
        return self if obj is None else functools.partial(self, obj)


@register()
class relu:
    @staticmethod
    def forward(z): return np.maximum(z, 0)
    @staticmethod
    def backward(z): return (z > 0).astype(z.dtype)


@register("tanh")
class _Tanh:
    @staticmethod
    def forward(z): return np.tanh(z)
    @staticmethod
    def backward(z): return 1 - np.tanh(z) ** 2


rng = np.random.default_rng(0)
X = rng.normal(size=(120, 6)); Y = (X[:, :2].sum(1, keepdims=True) > 0).astype(float)
# %% cell
class NeuralNetwork:
    def __init__(self, sizes, act="relu", lr=0.05):
        self.sizes, self.lr = sizes, lr
        self.act = ACTIVATIONS[act]
        self.W = [rng.normal(0, np.sqrt(2 / m), (m, n)) for m, n in zip(sizes[:-1], sizes[1:])]
        self.b = [np.zeros((1, n)) for n in sizes[1:]]
        self.v = [(np.zeros_like(w), np.zeros_like(b)) for w, b in zip(self.W, self.b)]

    @cached_property
    def n_params(self):
        return sum(w.size for w in self.W) + sum(b.size for b in self.b)

    @count_calls
    def forward(self, x):
        self.zs, self.as_ = [], [x]
        for i, (w, b) in enumerate(zip(self.W, self.b)):
            z = self.as_[-1] @ w + b
            self.zs.append(z)
            self.as_.append(self.act.forward(z) if i < len(self.W) - 1 else 1 / (1 + np.exp(-z)))
        return self.as_[-1]

    def backward(self, y):
        delta = (self.as_[-1] - y) / len(y)
        for i in reversed(range(len(self.W))):
            gw, gb = self.as_[i].T @ delta, delta.sum(0, keepdims=True)
            if i:
                delta = delta @ self.W[i].T * self.act.backward(self.zs[i - 1])
            vw, vb = self.v[i]
            vw *= 0.9; vw -= self.lr * gw
            vb *= 0.9; vb -= self.lr * gb
            self.W[i] += vw; self.b[i] += vb

    def fit(self, X, Y, epochs=10, bs=16, verbose=True):
        hist = []
        for ep in range(1, epochs + 1):
            p = rng.permutation(len(X))
            for s in range(0, len(X), bs):
                idx = p[s:s + bs]
                out = self.forward(X[idx])
                self.backward(Y[idx])
                tick()
            out = self.forward(X)
            loss = -np.mean(Y * np.log(out + 1e-9) + (1 - Y) * np.log(1 - out + 1e-9))
            hist.append(loss)
            if verbose and ep % 2 == 0:
                print(f"Epoch {ep:>3}/{epochs}  loss={loss:.4f}", end="\r" if ep % 4 else "\n")
        return hist

nets = {name: NeuralNetwork([6, 12, 1], act=name) for name in ACTIVATIONS}
histories = {name: net.fit(X, Y, epochs=9) for name, net in nets.items()}
best = min(nets, key=lambda n: histories[n][-1])
print("\nbest:", best, nets[best].n_params, NeuralNetwork.forward.n)
NeuralNetwork.forward.n
