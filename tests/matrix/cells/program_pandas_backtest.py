"""A pandas backtest: rolling and ewm features, groupby.apply with categories, itertuples, a MultiIndex, merge_asof, df.loc growth, resample, pd.cut, string ops, concat of a list."""
# needs: pandas, numpy
# %% setup
import numpy as np, pandas as pd
rng = np.random.default_rng(17)
idx = pd.date_range("2023-01-02", periods=240, freq="h", tz="UTC")
px = pd.DataFrame({t: 100 * np.exp(np.cumsum(rng.normal(0, .01, 240))) for t in ["AAA", "BBB", "CCC"]}, index=idx)
# %% cell
feats = []
for ticker, s in px.items():
    d = pd.DataFrame({"px": s, "ret": s.pct_change()})
    for w in (5, 10, 20):
        d[f"ma{w}"] = s.rolling(w, min_periods=1).mean(); d[f"vol{w}"] = d["ret"].ewm(span=w).std()
        tick()
    d["bucket"] = pd.cut(d["vol5"], [-1, .005, .01, 1], labels=["lo", "mid", "hi"]); d["ticker"] = ticker
    feats.append(d)
df = pd.concat(feats, keys=px.columns, names=["t", "time"]).drop(columns="ticker")
trades = pd.DataFrame(columns=["t", "time", "qty", "pnl"]); pos = pd.Series(0, index=px.columns, dtype="int64"); cash = 0.0
for row in df.xs("AAA").iloc[20:120].itertuples():
    t = rng.choice(px.columns)
    sig = int(np.sign(row.ma5 - row.ma20)) if not np.isnan(row.vol5) else 0
    dq = sig - pos[t]
    if dq:
        cash -= dq * px.at[row.Index, t]; pos.loc[t] += dq
        trades.loc[len(trades)] = [t, row.Index, dq, cash + (pos * px.loc[row.Index]).sum()]
    tick()
trades["time"] = pd.to_datetime(trades["time"], utc=True)
by = {}
for (b, h), g in df.dropna().groupby(["bucket", df.dropna().index.get_level_values("time").hour // 12], observed=True):
    by[b, h] = g["ret"].agg(["mean", "std", "count"]); tick()
table = pd.DataFrame(by).T.rename_axis(["bucket", "half"]).sort_index()
daily = px.resample("D").agg(["first", "last"]).stack(level=0)
for day, g in daily.groupby(level=0): daily.loc[day, "chg"] = (g["last"] / g["first"] - 1).values; tick()
asof = pd.merge_asof(trades.astype({"pnl": float}).sort_values("time"), px["CCC"].rename("ccc").rename_axis("time").reset_index(), on="time")
piv = trades.assign(side=np.where(trades.qty.astype(int) > 0, "buy", "sell")).pivot_table(index="t", columns="side", values="qty", aggfunc="count", fill_value=0)
for w in range(30):
    k = f"z{w % 4}"; df[k] = (df["px"] - df["px"].rolling(w + 2).mean()) / df["px"].rolling(w + 2).std(); tick()
view = df["z1"]; df.attrs["note"] = "done"
cash, len(trades), table.shape, piv.to_dict(), df.attrs, asof.ccc.sum()
# %% after
df.iloc[0, 0] = -1.0
