"""Estimators of scikit-learn trained in a loop: partial_fit, warm_start, a pipeline refitted, the best one cloned and kept."""
# needs: sklearn, numpy
# %% setup
import copy

import numpy as np
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

X, y = make_classification(160, 8, random_state=25)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=1)
# %% cell
scaler = StandardScaler()
sgd = SGDClassifier(loss="log_loss", random_state=2)
mlp = MLPClassifier((6,), warm_start=True, max_iter=1, random_state=3)
boost = GradientBoostingClassifier(n_estimators=1, warm_start=True, random_state=4, max_depth=2)
rng = np.random.default_rng(5)
scores, best_score, best_model, no_gain = [], -np.inf, None, 0
import warnings

for epoch in range(25):
    order = rng.permutation(len(X_train))
    for part in np.array_split(order, 5):
        scaler.partial_fit(X_train[part])
        sgd.partial_fit(scaler.transform(X_train[part]), y_train[part], classes=np.unique(y))
        tick()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlp.fit(X_train, y_train)
    boost.set_params(n_estimators=epoch + 1).fit(X_train, y_train)
    score = accuracy_score(y_test, sgd.predict(scaler.transform(X_test)))
    scores.append((score, log_loss(y_test, mlp.predict_proba(X_test)), boost.score(X_test, y_test)))
    if score > best_score:
        best_score, best_model, no_gain = score, copy.deepcopy(sgd), 0
    else:
        no_gain += 1
fresh = clone(best_model)
best_score, round(scores[-1][1], 8), scores[-1][2]
