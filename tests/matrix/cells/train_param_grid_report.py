"""Nested cross-validation over a grid with scikit-learn: pipelines cloned, fitted in a loop, a table and a figure at the end."""
# needs: sklearn, numpy, pandas, matplotlib
# unit: 0.005
# %% setup
import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.model_selection import ParameterGrid, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

X, y = load_iris(return_X_y=True)
# %% setup
import numpy
import random

random.seed(0)
numpy.random.seed(0)
# %% cell
grid = ParameterGrid({"svc__C": [0.1, 1, 10], "svc__gamma": [0.1, 1], "pca__n_components": [2, 3]})
pipeline = make_pipeline(StandardScaler(), PCA(random_state=0), SVC())
folds = StratifiedKFold(5, shuffle=True, random_state=np.random.RandomState(7))
rows, fitted = [], {}
for number, params in enumerate(grid):
    scores = []
    for train_index, test_index in folds.split(X, y):
        candidate = clone(pipeline).set_params(**params)
        candidate.fit(X[train_index], y[train_index])
        scores.append(candidate.score(X[test_index], y[test_index]))
        tick()
    rows.append({**params, "mean": np.mean(scores), "std": np.std(scores)})
    fitted[number] = candidate
table = pd.DataFrame(rows).sort_values(["mean", "std"], ascending=[False, True], kind="stable").reset_index(drop=True)
fig, ax = plt.subplots()
ax.errorbar(range(len(table)), table["mean"], yerr=table["std"])
fig.savefig("grid.png", metadata={"Software": None})
plt.close(fig)
del fig, ax
table.round(6).to_dict("list")
