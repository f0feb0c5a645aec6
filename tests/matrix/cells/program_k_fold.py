"""K-fold with scikit-learn: models, scalers and scores of each fold, the best kept by deepcopy."""
# needs: sklearn, numpy
# unit: 0.02
# %% setup
import copy

import numpy as np
from sklearn.datasets import load_iris
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

np.random.seed(1031)
features, labels = load_iris(return_X_y=True)
# %% cell
scores, best, best_score = {}, None, -1.0
folds = StratifiedKFold(n_splits=5, shuffle=True, random_state=7)
for alpha in (1e-4, 1e-3, 1e-2):
    for fold, (train, test) in enumerate(folds.split(features, labels)):
        scaler = StandardScaler().fit(features[train])
        model = SGDClassifier(alpha=alpha, random_state=np.random.randint(1000))
        for epoch in range(6):
            order = np.random.permutation(train)
            model.partial_fit(scaler.transform(features[order]), labels[order], classes=np.unique(labels))
            tick()
        score = model.score(scaler.transform(features[test]), labels[test])
        scores[alpha, fold] = score
        if score > best_score:
            best, best_score = copy.deepcopy((scaler, model)), score
        tick()
mean = {alpha: float(np.mean([s for (a, _), s in scores.items() if a == alpha])) for alpha in (1e-4, 1e-3, 1e-2)}
(mean, best_score, best[1].coef_.shape)
