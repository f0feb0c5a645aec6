"""A GAN on points: two nets, two optimizers, fake labels, fixed noise, samples kept."""
# needs: torch
# %% setup
import torch
import torch.nn as nn

torch.manual_seed(0)
real_data = torch.randn(96, 2) @ torch.tensor([[1.0, 0.4], [0.0, 0.6]]) + torch.tensor([2.0, -1.0])
# %% cell
latent = 4
generator = nn.Sequential(nn.Linear(latent, 16), nn.LeakyReLU(0.2), nn.Linear(16, 2))
discriminator = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Dropout(0.3), nn.Linear(16, 1), nn.Sigmoid())
criterion = nn.BCELoss()
opt_g = torch.optim.Adam(generator.parameters(), lr=2e-3, betas=(0.5, 0.999))
opt_d = torch.optim.Adam(discriminator.parameters(), lr=2e-3, betas=(0.5, 0.999))
fixed_noise = torch.randn(5, latent)
G_losses, D_losses, img_list = [], [], []
iters = 0
loader = torch.utils.data.DataLoader(real_data, batch_size=16, shuffle=True)
for epoch in range(20):
    for i, data in enumerate(loader, 0):
        discriminator.zero_grad()
        b_size = data.size(0)
        label = torch.full((b_size,), 1.0)
        output = discriminator(data).view(-1)
        errD_real = criterion(output, label)
        errD_real.backward()
        D_x = output.mean().item()
        noise = torch.randn(b_size, latent)
        fake = generator(noise)
        label.fill_(0.0)
        output = discriminator(fake.detach()).view(-1)
        errD_fake = criterion(output, label)
        errD_fake.backward()
        D_G_z1 = output.mean().item()
        errD = errD_real + errD_fake
        opt_d.step()
        generator.zero_grad()
        label.fill_(1.0)
        output = discriminator(fake).view(-1)
        errG = criterion(output, label)
        errG.backward()
        D_G_z2 = output.mean().item()
        opt_g.step()
        G_losses.append(errG.item())
        D_losses.append(errD.item())
        if iters % 25 == 0:
            with torch.no_grad():
                img_list.append(generator(fixed_noise).detach().cpu())
        iters += 1
        tick()
round(G_losses[-1], 6), round(D_losses[-1], 6), len(img_list)
