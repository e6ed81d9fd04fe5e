"""A pair of a few weights, and a script that trains it, for tests of the training engine."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pyro
import torch
from pyro.distributions import Normal
from torch import Tensor, nn

from pyrodis.infer.settings import FitSettings
from pyrodis.infer.training import fit


class TinyModel(nn.Module):
    """x ~ N(decoder(f, z), 1), f ~ N(0, I), z ~ N(0, I)."""

    def __init__(self, hidden_dim: int = 3, poison: float = 0.0) -> None:
        super().__init__()
        self.hidden_dim = hidden_dim
        self.poison = poison
        self.decoder = nn.Linear(2 + hidden_dim, 16)
        self.calls = 0

    def forward(self, x: Tensor | None = None, batch_size: int | None = None) -> dict[str, Tensor]:
        num = x.shape[0] if x is not None else batch_size
        num_frames = x.shape[1] if x is not None else 4
        self.calls += 1
        with pyro.plate("data", num, dim=-1):
            f = pyro.sample("f", Normal(torch.zeros(2), 1.0).to_event(1))
            z = pyro.sample("z", Normal(torch.zeros(num_frames, self.hidden_dim), 1.0).to_event(2))
            codes = torch.cat([f.unsqueeze(-2).expand(-1, num_frames, -1), z], -1)
            loc = self.decoder(codes).reshape(num, num_frames, 1, 4, 4)
            if self.poison and self.calls > self.poison:
                loc = loc * float("nan")
            pyro.sample("x", Normal(loc, 1.0).to_event(4), obs=x)
        return {"f": f, "z": z, "reconstruction": loc}


class TinyGuide(nn.Module):
    """q(f | x) and q(z_t | x_t) by linear layers over a normalized convolution, with dropout."""

    def __init__(self, hidden_dim: int = 3, dropout: float = 0.1) -> None:
        super().__init__()
        self.hidden_dim = hidden_dim
        self.dropout = dropout
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.norm = nn.BatchNorm2d(2)
        self.drop = nn.Dropout(dropout)
        self.f_head = nn.Linear(32, 4)
        self.z_head = nn.Linear(32, 2 * hidden_dim)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        num, num_frames = x.shape[:2]
        features = self.drop(self.norm(self.conv(x.flatten(0, 1))).reshape(num, num_frames, 32))
        f_loc, f_scale = self.f_head(features.mean(1)).chunk(2, -1)
        z_loc, z_scale = self.z_head(features).chunk(2, -1)
        with pyro.plate("data", num, dim=-1):
            f = pyro.sample("f", Normal(f_loc, f_scale.exp()).to_event(1))
            z = pyro.sample("z", Normal(z_loc, z_scale.exp()).to_event(2))
        return {"f": f, "z": z}


def make_pair(seed: int = 0, **arguments: float) -> tuple[TinyModel, TinyGuide]:
    """Model and guide with the same weights each time."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return TinyModel(**arguments), TinyGuide()


def make_frames(num: int = 22, seed: int = 1) -> Tensor:
    """Frames (num, 4, 1, 4, 4) in [0, 1]."""
    return torch.rand(num, 4, 1, 4, 4, generator=torch.Generator().manual_seed(seed))


def train(
    output: Path, resume: bool = False, seconds_a_call: float = 0.0, hook: Callable[[TinyModel], None] | None = None
) -> None:
    """Train a pair on one thread, slowly enough to be stopped."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model, guide = make_pair()
    model.register_forward_hook(lambda *_: time.sleep(seconds_a_call))
    if hook is not None:
        model.register_forward_hook(lambda *_: hook(model))
    settings = FitSettings(
        num_epochs=8,
        batch_size=4,
        warmup_steps=5,
        kl_weights={"z": 0.5},
        kl_warmup_epochs=2,
        gradient_clip=5.0,
        checkpoint_minutes=1e-9,
        device="cpu",
    )
    data = {"train": make_frames(), "validation": make_frames(7, 2)}
    try:
        fit(model, guide, **data, output=output, resume=resume, settings=settings)
    finally:
        torch.set_num_threads(num_threads)
