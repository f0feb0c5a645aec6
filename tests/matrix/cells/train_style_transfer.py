"""An image optimised towards content and style: hooks that gather features, LBFGS over a `while` with a list as counter."""
# needs: torch
# %% setup
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(21)
content_img, style_img = torch.rand(1, 3, 10, 10), torch.rand(1, 3, 10, 10)
cnn = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1), nn.ReLU()).eval()
for p in cnn.parameters():
    p.requires_grad_(False)


def gram_matrix(t):
    a, b, c, d = t.size()
    f = t.view(a * b, c * d)
    return torch.mm(f, f.t()).div(a * b * c * d)
# %% cell
features = {}
handles = [layer.register_forward_hook(lambda m, i, o, n=n: features.__setitem__(n, o)) for n, layer in enumerate(cnn) if n % 2 == 0]
cnn(content_img)
wanted_content = features[2].detach()
cnn(style_img)
wanted_style = {n: gram_matrix(f).detach() for n, f in features.items()}
features.clear()
input_img = content_img.clone().requires_grad_(True)
optimizer = torch.optim.LBFGS([input_img], max_iter=3)
run, history = [0], []
while run[0] <= 60:
    def closure():
        with torch.no_grad():
            input_img.clamp_(0, 1)
        optimizer.zero_grad()
        cnn(input_img)
        style_score = sum(F.mse_loss(gram_matrix(f), wanted_style[n]) for n, f in features.items())
        content_score = F.mse_loss(features[2], wanted_content)
        loss = 1e4 * style_score + content_score
        loss.backward()
        run[0] += 1
        history.append((style_score.item(), content_score.item()))
        tick()
        return loss

    optimizer.step(closure)
with torch.no_grad():
    input_img.clamp_(0, 1)
for handle in handles:
    handle.remove()
features.clear()
len(history), round(input_img.mean().item(), 7)
