"""A linear-Gaussian sequence of a few codes, and the guide that is its exact posterior."""

from __future__ import annotations

import pyro
import torch
from pyro.distributions import MultivariateNormal, Normal
from torch import Tensor, nn
from torch.distributions import ReshapeTransform

from pyrodis.models import LinearGaussianSequence

T = 4
PATTERN = torch.tensor([True, False, False, True])


def make_model(autocorrelation: float = 0.8, static_dim: int = 2, dynamic_dim: int = 2, seed: int = 0) -> nn.Module:
    """A model of three pixels, in double precision, whose codes overlap in the pixels."""
    generator = torch.Generator().manual_seed(seed)
    static, dynamic = (
        torch.randn(3, dim, generator=generator, dtype=torch.float64) for dim in (static_dim, dynamic_dim)
    )
    return LinearGaussianSequence(static, dynamic, autocorrelation, scale=0.7, offset=0.5, num_frames=T).double()


def draw(model: nn.Module, num: int, seed: int = 0) -> Tensor:
    """Clips from the model."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return model(batch_size=num)["x"]


class ExactGuide(nn.Module):
    """The posterior p(f, z | x), as q(f | x) of full covariance and q(z | f, x) of full covariance."""

    def __init__(self, model: nn.Module, shown: Tensor | None = None, shift: float = 0.0) -> None:
        super().__init__()
        self.model = [model]  # no submodule
        self.shown = shown
        self.shift = shift

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        model, size = self.model[0], self.model[0].static_dim
        loc, covariance = model.posterior(x, self.shown)
        loc = loc + self.shift
        static, cross, dynamic = covariance[:size, :size], covariance[size:, :size], covariance[size:, size:]
        with pyro.plate("data", len(x), dim=-1):
            f = pyro.sample("f", MultivariateNormal(loc[:, :size], static))
            slope = cross @ torch.linalg.inv(static)
            z_loc = loc[:, size:] + (f - loc[:, :size]) @ slope.mT
            z_fn = MultivariateNormal(z_loc, dynamic - slope @ cross.mT)
            shape = (x.shape[1], model.dynamic_dim)
            z = pyro.sample("z", reshaped(z_fn, shape))
        return {"f": f, "z": z}


def reshaped(fn: MultivariateNormal, shape: tuple[int, int]) -> pyro.distributions.TransformedDistribution:
    """The same distribution over matrices."""
    return pyro.distributions.TransformedDistribution(fn, [ReshapeTransform((shape[0] * shape[1],), shape)])


class LinearGuide(nn.Module):
    """Independent normals around the posterior's means: q(f | x) prod_t q(z_t | x)."""

    def __init__(self, model: nn.Module, scale: tuple[Tensor | float, Tensor | float] = (0.6, 0.6)) -> None:
        super().__init__()
        self.model = [model]
        self.scale = scale

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        model = self.model[0]
        loc, _ = model.posterior(x)
        with pyro.plate("data", len(x), dim=-1):
            f = pyro.sample("f", Normal(loc[:, : model.static_dim], self.scale[0]).to_event(1))
            z_loc = loc[:, model.static_dim :].reshape(len(x), x.shape[1], -1)
            z = pyro.sample("z", Normal(z_loc, self.scale[1]).to_event(2))
        return {"f": f, "z": z}
