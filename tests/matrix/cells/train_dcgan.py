"""A small convolutional GAN in a class: spectral norm, batch norm, weights set by `apply`, label noise."""
# needs: torch
# depth: 2
# %% setup
import torch
import torch.nn as nn

torch.manual_seed(2)
images = torch.rand(48, 1, 8, 8) * 2 - 1


def weights_init(m):
    name = m.__class__.__name__
    if name.find("BatchNorm") != -1:
        nn.init.normal_(m.weight.data, 1.0, 0.02)
        nn.init.constant_(m.bias.data, 0)


class DCGAN:
    def __init__(self, z=6):
        sn = nn.utils.parametrizations.spectral_norm
        self.z = z
        self.G = nn.Sequential(
            nn.ConvTranspose2d(z, 8, 4, 1, 0, bias=False), nn.BatchNorm2d(8), nn.ReLU(True),
            nn.ConvTranspose2d(8, 1, 4, 2, 1, bias=False), nn.Tanh(),
        )
        self.D = nn.Sequential(sn(nn.Conv2d(1, 6, 4, 2, 1)), nn.LeakyReLU(0.2, inplace=True), sn(nn.Conv2d(6, 1, 4, 1, 0)))
        self.G.apply(weights_init)
        self.opt = {"G": torch.optim.Adam(self.G.parameters(), 2e-3, (0.5, 0.999)), "D": torch.optim.Adam(self.D.parameters(), 2e-3, (0.5, 0.999))}
        self.log = []

    def d_step(self, real):
        noise = torch.randn(len(real), self.z, 1, 1)
        self.fake = self.G(noise)
        soft = 0.9 + 0.1 * torch.rand(len(real))
        bce = nn.functional.binary_cross_entropy_with_logits
        loss = bce(self.D(real).view(-1), soft) + bce(self.D(self.fake.detach()).view(-1), torch.zeros(len(real)))
        self.opt["D"].zero_grad()
        loss.backward()
        self.opt["D"].step()
        return loss

    def g_step(self):
        loss = nn.functional.binary_cross_entropy_with_logits(self.D(self.fake).view(-1), torch.ones(len(self.fake)))
        self.opt["G"].zero_grad()
        loss.backward()
        self.opt["G"].step()
        return loss

    def fit(self, loader, epochs):
        for epoch in range(epochs):
            total = 0.0
            for real in loader:
                d, g = self.d_step(real), self.g_step()
                total += d.item() + g.item()
                tick()
            self.log.append(total)
        return self
# %% cell
gan = DCGAN()
loader = torch.utils.data.DataLoader(images, batch_size=8, shuffle=True)
gan.fit(loader, 16)
grid = gan.G.eval()(torch.zeros(2, 6, 1, 1)).detach()
round(gan.log[-1], 5)
