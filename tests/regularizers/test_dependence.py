"""The estimate of mutual information against closed forms, and its limits."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pyrodis.regularizers import mutual_information

SCALE = 0.5


def matrices(correlation: float, num: int, dim: int = 1) -> tuple[Tensor, Tensor]:
    """Log-densities of f and z whose posteriors have scale SCALE and correlated standard normal locs."""
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, num, dim, generator=generator)
    locs = a, correlation * a + math.sqrt(1 - correlation**2) * b
    draws = [loc + SCALE * torch.randn(num, dim, generator=generator) for loc in locs]
    f, z = (
        torch.distributions.Normal(loc, SCALE).log_prob(draw.unsqueeze(1)).sum(-1) for loc, draw in zip(locs, draws)
    )
    return f, z


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, 0.99])
def test_agrees_with_the_closed_form_between_normals(correlation: float) -> None:
    f, z = matrices(correlation, 1500)
    share = mutual_information(f, z, num_data=10**6)
    total = correlation / (1 + SCALE**2)
    exact = -0.5 * math.log(1 - total**2)
    error = float(share.std()) / math.sqrt(len(share))
    assert abs(float(share.mean()) - exact) < 3 * error + 0.02
    assert error < 0.03


def test_the_densities_are_unbiased_over_batches() -> None:
    """The mean over all batches that hold a clip is the density under the whole data set."""
    num_data, num = 6, 3
    f, _ = matrices(0.5, num_data)
    flat = torch.zeros(num, num)
    densities = []
    for others in torch.combinations(torch.arange(1, num_data), num - 1):
        index = torch.cat([torch.zeros(1, dtype=torch.long), others])
        batch = f[index][:, index]
        share = mutual_information(batch, flat, num_data)
        torch.testing.assert_close(share, torch.zeros(num), rtol=0, atol=1e-5)
        own = flat.clone()
        own[:, 1:] = -1e6  # z belongs to the first clip for certain: log q(f, z) - log q(z) = log q(f | x_1)
        given = mutual_information(batch, own, num_data)[0]
        densities.append((f[0, 0] - given).exp())
    torch.testing.assert_close(torch.stack(densities).mean(), f[0].exp().mean())


def test_posteriors_that_do_not_overlap_give_log_n_and_no_gradient() -> None:
    f = torch.full((4, 4), -1e4).fill_diagonal_(0.0).requires_grad_()
    share = mutual_information(f, f, num_data=100)
    torch.testing.assert_close(share, torch.full((4,), math.log(100)))
    (gradient,) = torch.autograd.grad(share.sum(), f)
    torch.testing.assert_close(gradient, torch.zeros(4, 4), rtol=0, atol=1e-6)


def test_a_batch_of_one_gives_zero() -> None:
    one = torch.full((1, 1), -3.0, requires_grad=True)
    share = mutual_information(one, one, num_data=100)
    assert share.tolist() == [0.0]
    share.sum().backward()


def test_keeps_leading_dimensions() -> None:
    f, z = matrices(0.9, 5)
    share = mutual_information(torch.stack([f, z]), torch.stack([z, f]), 50)
    torch.testing.assert_close(share, mutual_information(f, z, 50).expand(2, 5))


@pytest.mark.parametrize(
    ("f", "z", "num_data", "error", "match"),
    [
        (torch.zeros(3, 4), torch.zeros(3, 4), 9, ValueError, r"must be matrices \(..., B, B\).* got \(3, 4\)"),
        (torch.zeros(3, 3), torch.zeros(4, 4), 9, ValueError, r"got \(3, 3\) and \(4, 4\)"),
        (torch.zeros(3), torch.zeros(3), 9, ValueError, "must be matrices"),
        (torch.zeros(3, 3), torch.zeros(3, 3), 2, ValueError, "at least the batch's 3 clips, got 2"),
        (torch.zeros(3, 3), torch.zeros(3, 3), 9.0, TypeError, "num_data must be a positive whole number"),
    ],
)
def test_bad_input(f: Tensor, z: Tensor, num_data: int, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        mutual_information(f, z, num_data)
