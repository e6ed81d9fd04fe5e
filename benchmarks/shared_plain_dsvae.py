"""A DSVAE as one would write it in PyTorch from the paper's description: the baseline of dsvae_step.py.

Li and Mandt, "Disentangled Sequential Autoencoder" (2018): convolutions encode every frame; a bidirectional LSTM over
the features of all frames gives f; a bidirectional LSTM over features beside f, then a recurrent network, give z_t;
an LSTM is the prior of z_t given those before; transposed convolutions decode every frame from f and z_t. Single
precision, torch's default layout, frame after frame in Python. Widths are those of `ConvEncoder` and `ConvDecoder`, for
both to compute as much.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

SLOPE = 0.2


def down(inputs: int, outputs: int, norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)]
    layers += [nn.BatchNorm2d(outputs)] if norm else []
    return nn.Sequential(*layers, nn.LeakyReLU(SLOPE))


def up(inputs: int, outputs: int) -> nn.Sequential:
    layer = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.LeakyReLU(SLOPE))


def split(parameters: Tensor) -> tuple[Tensor, Tensor]:
    loc, raw = parameters.chunk(2, -1)
    return loc, softplus(raw) + 1e-4


def kl(loc: Tensor, scale: Tensor, prior_loc: Tensor, prior_scale: Tensor) -> Tensor:
    ratio = (scale / prior_scale).square()
    return 0.5 * (ratio + ((loc - prior_loc) / prior_scale).square() - 1 - ratio.log()).sum()


class PlainDSVAE(nn.Module):
    """Model and inference network in one module, whose `forward` is the negative ELBO of a batch, nats per clip."""

    def __init__(
        self, base_channels: int, static_dim: int, dynamic_dim: int, hidden_dim: int, feature_dim: int
    ) -> None:
        super().__init__()
        widths = [base_channels * factor for factor in (1, 2, 4, 8)]
        self.static_dim, self.dynamic_dim, self.hidden_dim = static_dim, dynamic_dim, hidden_dim
        self.encoder = nn.Sequential(*[down(a, b, i > 0) for i, (a, b) in enumerate(zip([3, *widths], widths))])
        self.features = nn.Sequential(nn.Linear(16 * widths[-1], feature_dim), nn.LeakyReLU(SLOPE))
        self.static_reader = nn.LSTM(feature_dim, hidden_dim, batch_first=True, bidirectional=True)
        self.static_head = nn.Linear(2 * hidden_dim, 2 * static_dim)
        self.reader = nn.LSTM(feature_dim + static_dim, hidden_dim, batch_first=True, bidirectional=True)
        self.posterior = nn.LSTMCell(dynamic_dim + 2 * hidden_dim, hidden_dim)
        self.posterior_head = nn.Linear(hidden_dim, 2 * dynamic_dim)
        self.prior = nn.LSTMCell(dynamic_dim, hidden_dim)
        self.prior_head = nn.Linear(hidden_dim, 2 * dynamic_dim)
        self.start = nn.Linear(static_dim + dynamic_dim, 16 * widths[-1])
        self.decoder = nn.Sequential(*[up(a, b) for a, b in zip(widths[:0:-1], widths[-2::-1])])
        self.pixels = nn.ConvTranspose2d(widths[0], 3, 4, stride=2, padding=1)
        nn.init.constant_(self.pixels.bias, -3.0)

    def forward(self, x: Tensor, scale: float = 0.1) -> Tensor:
        features = torch.stack([self.features(self.encoder(x[:, t]).flatten(1)) for t in range(x.shape[1])], 1)
        states, _ = self.static_reader(features)
        ends = torch.cat([states[:, -1, : self.hidden_dim], states[:, 0, self.hidden_dim :]], -1)
        loc, deviation = split(self.static_head(ends))
        f = loc + deviation * torch.randn_like(loc)
        total = kl(loc, deviation, torch.zeros_like(loc), torch.ones_like(loc))
        context, _ = self.reader(torch.cat([features, f.unsqueeze(1).expand(-1, x.shape[1], -1)], -1))
        z = x.new_zeros(len(x), self.dynamic_dim)
        posterior, prior = None, None
        for t in range(x.shape[1]):
            prior = self.prior(z, prior)
            posterior = self.posterior(torch.cat([z, context[:, t]], -1), posterior)
            loc, deviation = split(self.posterior_head(posterior[0]))
            total = total + kl(loc, deviation, *split(self.prior_head(prior[0])))
            z = loc + deviation * torch.randn_like(loc)
            hidden = self.start(torch.cat([f, z], -1)).unflatten(1, (-1, 4, 4))
            mean = self.pixels(self.decoder(hidden)).sigmoid()
            error = ((x[:, t] - mean) / scale).square().sum() / 2
            total = total + error + mean.numel() * (math.log(scale) + math.log(2 * math.pi) / 2)
        return total / len(x)
