"""A table worked on row by row and group by group: running features, rolling statistics, a model per group, a report."""
# needs: pandas, numpy, sklearn
# depth: 2
# %% setup
import numpy as np
import pandas as pd
from sklearn.linear_model import SGDRegressor
from sklearn.preprocessing import StandardScaler

rng = np.random.default_rng(9)
frame = pd.DataFrame({"shop": rng.choice(list("abcd"), 160), "day": pd.date_range("2024-01-01", periods=160), "sold": rng.poisson(20, 160).astype(float)})
# %% setup
import numpy
import random

random.seed(0)
numpy.random.seed(0)
# %% cell
frame["lag"] = frame.groupby("shop")["sold"].shift(1)
models, report = {}, pd.DataFrame(columns=["shop", "n", "mae"])
for shop, part in frame.groupby("shop"):
    part = part.dropna().reset_index(drop=True)
    scaler, model = StandardScaler(), SGDRegressor(random_state=1, eta0=0.01)
    errors = []
    for row in part.itertuples(index=False):
        x = np.array([[row.lag, row.day.dayofweek]], dtype=float)
        scaler.partial_fit(x)
        if errors or len(models) > 0 or row.day.day > 3:
            model.partial_fit(scaler.transform(x), [row.sold])
            errors.append(abs(float(model.predict(scaler.transform(x))[0]) - row.sold))
        frame.loc[frame["day"] == row.day, "seen"] = len(errors)
        tick()
    models[shop] = (scaler, model)
    report.loc[len(report)] = [shop, len(errors), round(float(np.mean(errors)), 6)]
    part.to_csv(f"{shop}.csv", index=False)
pivot = frame.pivot_table(index="shop", values=["sold", "seen"], aggfunc="mean").round(4)
report.to_dict("records"), pivot.to_dict()
