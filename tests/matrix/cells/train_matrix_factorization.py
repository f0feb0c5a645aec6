"""Matrix factorisation by stochastic gradient descent in numpy: ratings shuffled, biases, a DataFrame of history that grows."""
# needs: numpy, pandas
# %% setup
import numpy as np
import pandas as pd

rng = np.random.RandomState(22)
ratings = pd.DataFrame({"user": rng.randint(0, 12, 90), "item": rng.randint(0, 9, 90), "rating": rng.randint(1, 6, 90).astype(float)})
# %% cell
class MF:
    def __init__(self, ratings, k=3, lr=0.02, reg=0.05):
        self.mu, self.lr, self.reg = ratings["rating"].mean(), lr, reg
        n, m = ratings["user"].max() + 1, ratings["item"].max() + 1
        self.P, self.Q = rng.normal(0, 0.1, (n, k)), rng.normal(0, 0.1, (m, k))
        self.bu, self.bi = np.zeros(n), np.zeros(m)

    def predict(self, u, i):
        return self.mu + self.bu[u] + self.bi[i] + self.P[u] @ self.Q[i]

    def step(self, u, i, r):
        e = r - self.predict(u, i)
        self.bu[u] += self.lr * (e - self.reg * self.bu[u])
        self.bi[i] += self.lr * (e - self.reg * self.bi[i])
        p = self.P[u].copy()
        self.P[u] += self.lr * (e * self.Q[i] - self.reg * self.P[u])
        self.Q[i] += self.lr * (e * p - self.reg * self.Q[i])
        return e


mf = MF(ratings)
history = pd.DataFrame(columns=["epoch", "rmse"])
for epoch in range(12):
    shuffled = ratings.sample(frac=1, random_state=rng)
    errors = []
    for row_number, row in enumerate(shuffled.itertuples(index=False)):
        errors.append(mf.step(row.user, row.item, row.rating))
        if row_number % 9 == 0:
            tick()
    new = pd.DataFrame({"epoch": [epoch], "rmse": [float(np.sqrt(np.mean(np.square(errors))))]})
    history = new if history.empty else pd.concat([history, new], ignore_index=True)
best = history.loc[history["rmse"].idxmin()]
round(best["rmse"], 8)
