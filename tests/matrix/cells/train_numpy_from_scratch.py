"""Linear regression and a multi-layer perceptron from scratch in numpy: layers as classes, momentum, a manual mini-batch loop."""
# needs: numpy
# depth: 2
# %% setup
import numpy as np

np.random.seed(23)
X = np.random.randn(100, 4)
w_true = np.array([[1.0], [-1.0], [2.0], [0.5]])
t = X @ w_true + 0.3 + 0.05 * np.random.randn(100, 1)
labels = (t > 0).astype(float)
# %% cell
w, b = np.zeros((4, 1)), 0.0
cost_history = []
for iteration in range(40):
    y_hat = X @ w + b
    error = y_hat - t
    w -= 0.1 * (X.T @ error) / len(X)
    b -= 0.1 * error.mean()
    cost_history.append(float((error**2).mean()))
    tick()


class Layer:
    def __init__(self, n_in, n_out, activation="relu"):
        self.W = np.random.randn(n_in, n_out) * np.sqrt(2 / n_in)
        self.b = np.zeros((1, n_out))
        self.vW, self.vb = np.zeros_like(self.W), np.zeros_like(self.b)
        self.activation = activation

    def forward(self, x):
        self.x = x
        self.z = x @ self.W + self.b
        self.a = np.maximum(0, self.z) if self.activation == "relu" else 1 / (1 + np.exp(-self.z))
        return self.a

    def backward(self, grad):
        dz = grad * (self.z > 0) if self.activation == "relu" else grad
        self.dW, self.db = self.x.T @ dz / len(dz), dz.mean(0, keepdims=True)
        return dz @ self.W.T

    def update(self, lr):
        self.vW = 0.9 * self.vW - lr * self.dW
        self.vb = 0.9 * self.vb - lr * self.db
        self.W += self.vW
        self.b += self.vb


class MLP:
    def __init__(self, *sizes):
        pairs = list(zip(sizes[:-1], sizes[1:]))
        self.layers = [Layer(i, o, "relu" if n < len(pairs) - 1 else "sigmoid") for n, (i, o) in enumerate(pairs)]

    def fit(self, X, y, epochs, batch):
        losses = []
        for epoch in range(epochs):
            order = np.random.permutation(len(X))
            for start in range(0, len(X), batch):
                part = order[start : start + batch]
                out = X[part]
                for layer in self.layers:
                    out = layer.forward(out)
                grad = out - y[part]
                for layer in reversed(self.layers):
                    grad = layer.backward(grad)
                for layer in self.layers:
                    layer.update(0.05)
                tick()
            losses.append(float(np.abs(out - y[part]).mean()))
        return losses


mlp = MLP(4, 8, 6, 1)
losses = mlp.fit(X, labels, 10, 10)
round(cost_history[-1], 8), round(losses[-1], 8)
