"""A small pair of K components with batch normalization, for tests of stages."""

from __future__ import annotations

import pyro
import torch
from pyro.distributions import Normal
from torch import Tensor, nn


class Mixture(nn.Module):
    """x is normal around sum_k m_k x_k; codes z_k, one a component."""

    def __init__(self, num_components: int = 2, plate: str = "components") -> None:
        super().__init__()
        self.num_components = num_components
        self.plate = plate
        self.decoders = nn.ModuleList(
            nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 32))
            for _ in range(num_components)
        )
        self.offset = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor | None = None, batch_size: int | None = None) -> dict[str, Tensor]:
        num = x.shape[0] if x is not None else batch_size
        with pyro.plate("data", num, dim=-1):
            with pyro.plate(self.plate, self.num_components, dim=-2):
                z = pyro.sample("z", Normal(torch.zeros(3), 1.0).to_event(1))
            raw = torch.stack([decoder(code) for decoder, code in zip(self.decoders, z, strict=True)])
            pixels, confidences = raw.reshape(-1, num, 2, 4, 4).unbind(2)
            masks = confidences.softmax(0)
            loc = (masks * pixels.sigmoid()).sum(0)[:, None, None] + self.offset
            pyro.sample("x", Normal(loc, 0.2).to_event(4), obs=x)
        return {"z": z, "masks": masks.transpose(0, 1), "reconstruction": loc}


class Reader(nn.Module):
    """q(z_k | x) by an encoder and a head a component."""

    def __init__(self, num_components: int = 2, plate: str = "components") -> None:
        super().__init__()
        self.num_components = num_components
        self.plate = plate
        self.encoders = nn.ModuleList(
            nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1))
            for _ in range(num_components)
        )
        self.heads = nn.ModuleList(nn.Linear(8, 6) for _ in range(num_components))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        read = [head(encoder(x)) for encoder, head in zip(self.encoders, self.heads, strict=True)]
        loc, log_scale = torch.stack(read).chunk(2, -1)
        with pyro.plate("data", len(x), dim=-1), pyro.plate(self.plate, self.num_components, dim=-2):
            return {"z": pyro.sample("z", Normal(loc, log_scale.exp()).to_event(1))}


def make_pair(num_components: int = 2, seed: int = 0, plate: str = "components") -> tuple[Mixture, Reader]:
    """Model and guide with the same weights each time."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Mixture(num_components, plate), Reader(num_components, plate)


def make_images(num: int = 12, seed: int = 1) -> Tensor:
    """Images (num, 1, 1, 4, 4) in [0, 1], clips of one frame."""
    return torch.rand(num, 1, 1, 4, 4, generator=torch.Generator().manual_seed(seed))
