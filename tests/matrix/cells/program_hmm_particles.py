"""HMM Baum-Welch, a particle filter with a numpy Generator spawned, Metropolis MCMC with np.vectorize and structured arrays."""
# needs: numpy
# %% setup
import numpy as np
ss = np.random.SeedSequence(42)
rng_hmm, rng_pf, rng_mc = [np.random.Generator(np.random.Philox(s)) for s in ss.spawn(3)]
# %% cell
# --- HMM
A = rng_hmm.dirichlet(np.ones(3), 3); B = rng_hmm.dirichlet(np.ones(4), 3); pi = np.ones(3) / 3
obs = rng_hmm.integers(0, 4, 40)
ll_hist = []
for it in range(20):
    T, N = len(obs), 3
    alpha, beta, c = np.zeros((T, N)), np.zeros((T, N)), np.zeros(T)
    alpha[0] = pi * B[:, obs[0]]; c[0] = alpha[0].sum(); alpha[0] /= c[0]
    for t in range(1, T):
        alpha[t] = alpha[t - 1] @ A * B[:, obs[t]]
        c[t] = alpha[t].sum()
        alpha[t] /= c[t]
    beta[-1] = 1
    for t in range(T - 2, -1, -1):
        beta[t] = A @ (B[:, obs[t + 1]] * beta[t + 1]) / c[t + 1]
    gamma = alpha * beta
    gamma /= gamma.sum(1, keepdims=True)
    xi = np.zeros((N, N))
    for t in range(T - 1):
        x = alpha[t][:, None] * A * B[:, obs[t + 1]] * beta[t + 1]
        xi += x / x.sum()
    A = xi / xi.sum(1, keepdims=True)
    for k in range(4):
        B[:, k] = gamma[obs == k].sum(0) / gamma.sum(0)
    pi = gamma[0]
    ll_hist.append(np.log(c).sum())
    tick()
    if it and abs(ll_hist[-1] - ll_hist[-2]) < 1e-12: break
# --- particle filter: record array
dt = np.dtype([("x", "f8"), ("v", "f8"), ("w", "f4"), ("id", "i4")])
P = np.recarray(200, dtype=dt)
P.x, P.v, P.w, P.id = rng_pf.normal(size=200), 0, 1 / 200, np.arange(200)
xs = P["x"]           # a view
true, est = 0.0, []
with np.errstate(divide="ignore", under="ignore"):
    for t in range(60):
        true += 0.1
        z = true + rng_pf.normal(0, 0.3)
        P.v += rng_pf.normal(0, 0.02, 200); xs += P.v + 0.1
        P.w *= np.exp(-0.5 * ((z - xs) / 0.3) ** 2).astype("f4"); P.w /= P.w.sum()
        ess = 1 / np.square(P.w).sum()
        if ess < 100:
            idx = np.searchsorted(np.cumsum(P.w), (np.arange(200) + rng_pf.random()) / 200).clip(0, 199)
            P[:] = P[idx]; P.w = 1 / 200
        est.append((float(np.average(xs, weights=P.w)), ess))
        tick()
# --- MCMC
def log_post(theta, data):
    mu, ls = theta
    return -0.5 * np.sum(((data - mu) / np.exp(ls)) ** 2) - len(data) * ls - 0.5 * mu ** 2
data = rng_mc.normal(1.5, 0.7, 50)
def sampler(lp, theta, step, n, burn=0):
    acc = 0
    cur = lp(theta)
    for i in range(-burn, n):
        prop = theta + step * rng_mc.standard_normal(2)
        new = lp(prop)
        if np.log(rng_mc.random()) < new - cur:
            theta, cur = prop, new
            acc += 1
        if i >= 0:
            tick()
            yield i, theta, acc / (i + burn + 1)
chain = np.empty((80, 2))
for i, theta, rate in sampler(lambda th: log_post(th, data), np.zeros(2), 0.2, 80, burn=30):
    chain[i] = theta
chain.mean(0).round(6).tolist(), round(rate, 4), len(est), xs.base is P or xs.base is not None
# %% after
shared = np.shares_memory(P, xs)
was = float(P.x.sum())
xs += 1
now = float(P.x.sum())
