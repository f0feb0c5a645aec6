"""A decision tree by recursion with slotted nodes, gradient boosting by hand, DBSCAN with a set of seen points, k-means with while True."""
# needs: numpy
# depth: 2
# %% setup
import numpy as np
from typing import Optional
from dataclasses import dataclass
rng = np.random.RandomState(3)
X = rng.rand(60, 3); y = np.sin(6 * X[:, 0]) + X[:, 1] ** 2 + 0.1 * rng.randn(60)
# %% cell
@dataclass(slots=True)
class Node:
    value: float = 0.0
    feature: Optional[int] = None
    thr: float = 0.0
    left: "Node | None" = None
    right: "Node | None" = None
    @property
    def is_leaf(self): return self.left is None

class Tree:
    def __init__(self, max_depth=3, min_leaf=4): self.max_depth, self.min_leaf, self.root = max_depth, min_leaf, None
    def _best(self, X, y):
        best, feat, thr = np.inf, None, None
        for j in rng.permutation(X.shape[1]):
            for t in np.unique(X[:, j])[self.min_leaf:-self.min_leaf:3]:
                m = X[:, j] <= t
                s = y[m].var() * m.sum() + y[~m].var() * (~m).sum()
                if s < best: best, feat, thr = s, j, t
        return feat, thr
    def _build(self, X, y, depth=0):
        node = Node(value=y.mean())
        tick()
        if depth >= self.max_depth or len(y) < 2 * self.min_leaf: return node
        j, t = self._best(X, y)
        if j is None: return node
        m = X[:, j] <= t
        if not m.any() or m.all(): return node
        node.feature, node.thr = j, t
        node.left, node.right = self._build(X[m], y[m], depth + 1), self._build(X[~m], y[~m], depth + 1)
        return node
    def fit(self, X, y): self.root = self._build(X, y); return self
    def predict(self, X):
        def walk(n, x): return n.value if n.is_leaf else walk(n.left if x[n.feature] <= n.thr else n.right, x)
        return np.array([walk(self.root, x) for x in X])

F = np.full(len(y), y.mean()); trees = []; lr = .3
for m in range(12):
    resid = y - F
    sub = rng.choice(len(y), 50, replace=False)
    tree = Tree().fit(X[sub], resid[sub])
    F += lr * tree.predict(X); trees.append(tree)
    print(f"[{m}] rmse {np.sqrt(np.mean((y-F)**2)):.5f}")
def dbscan(X, eps=.18, k=3):
    labels = np.zeros(len(X), int); seen = set(); c = 0
    def region(i): return list(np.flatnonzero(((X - X[i]) ** 2).sum(1) ** .5 < eps))
    for i in range(len(X)):
        tick()
        if i in seen: continue
        seen.add(i)
        q = region(i)
        if len(q) < k: labels[i] = -1; continue
        c += 1; labels[i] = c
        while q:
            j = q.pop()
            if j not in seen:
                seen.add(j)
                if len(nb := region(j)) >= k: q += nb
            if labels[j] < 1: labels[j] = c
    return labels
lab = dbscan(X)
centers = X[rng.choice(len(X), 4, replace=False)]; it = 0
while True:
    d = np.linalg.norm(X[:, None] - centers[None], axis=-1); a = d.argmin(1)
    new = np.stack([X[a == k].mean(0) if np.any(a == k) else X[rng.randint(len(X))] for k in range(4)])
    it += 1; tick()
    if np.allclose(new, centers, atol=0): break
    centers = new
len(trees), lab.max(), it
