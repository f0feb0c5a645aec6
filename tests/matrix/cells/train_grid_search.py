"""GridSearchCV: its loop is in a library, so what was under way begins again, and is exact for that."""
# needs: sklearn, numpy
# inside: no
# %% setup
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import GridSearchCV

rng = np.random.RandomState(28)
X, y = rng.randn(40, 3), rng.randint(0, 2, 40)


class Threshold(ClassifierMixin, BaseEstimator):
    def __init__(self, at=0.0, feature=0):
        self.at, self.feature = at, feature

    def fit(self, X, y):
        tick()
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return (X[:, self.feature] > self.at).astype(int)
# %% cell
search = GridSearchCV(Threshold(), {"at": np.linspace(-1, 1, 8).tolist(), "feature": [0, 1, 2]}, cv=4)
search.fit(X, y)
best = search.best_params_
round(search.best_score_, 8)
