"""torch.func: functional_call with stacked ensembles, vmap(grad) with in_dims, a custom autograd.Function with setup_context, jacrev in a Gauss-Newton loop, EMA as a dict of tensors."""
# needs: torch, numpy
# unit: 0
# %% setup
import copy, time, torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap, grad, jacrev, hessian
torch.manual_seed(4); gen = torch.Generator(); gen.manual_seed(11)
class ClampSTE(torch.autograd.Function):
    calls = 0
    @staticmethod
    def forward(ctx, x, lo=-1., hi=1.):
        ClampSTE.calls += 1; ctx.save_for_backward(x); ctx.lim = lo, hi
        return x.clamp(lo, hi).mul(8).round().div(8)
    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors; lo, hi = ctx.lim
        return g * ((x >= lo) & (x <= hi)), None, None
# %% cell
X = torch.randn(64, 3, generator=gen); Y = (X @ torch.tensor([1., -2., .5])).tanh()
models = [nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1)) for _ in range(4)]
_base = copy.deepcopy(models[0]).to("meta")
params, buffers = stack_module_state(models)
def loss_fn(p, b, x, y): return (functional_call(_base, (p, b), (x,)).squeeze(-1) - y).pow(2).mean()
step_fn = vmap(grad(loss_fn), in_dims=(0, 0, None, None))
ema = {k: v.detach().clone() for k, v in params.items()}
hist = []
for i in range(60):
    idx = torch.randint(0, 64, (16,), generator=gen)
    g = step_fn(params, buffers, X[idx], Y[idx])
    params = {k: (v - .1 * g[k]).detach() for k, v in params.items()}
    for k, v in params.items(): ema[k].lerp_(v, .05)
    hist.append(vmap(loss_fn, (0, 0, None, None))(params, buffers, X, Y)); tick(); time.sleep(.01)
hist = torch.stack(hist)
q = nn.Linear(3, 1); opt = torch.optim.Rprop(q.parameters(), .01)
for i in range(40):
    opt.zero_grad(); l = (ClampSTE.apply(q(X), -1., 1.).squeeze(1) - Y).abs().mean(); l.backward(); opt.step(); tick(); time.sleep(.005)
theta = torch.zeros(3, dtype=torch.float64, requires_grad=False)
resid = lambda t: (X.double() @ t).tanh() - Y.double()
for i in range(40):
    J, r = jacrev(resid)(theta), resid(theta)
    theta = theta - torch.linalg.lstsq(J, r[:, None]).solution[:, 0] * .3; tick(); time.sleep(.005)
H = hessian(lambda t: resid(t).pow(2).sum())(theta)
hist[-1].tolist(), ClampSTE.calls, theta.tolist(), H.trace().item()
