"""What is the block-tridiagonal normal's own: its three ways in, the posterior it can be, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from pyrodis.distributions import BlockTridiagonalNormal, GaussMarkovNormal
from tests.normal_sequences import diagonal, factors, from_blocks, from_factor, turned_basis

T, N = 4, 2


def test_the_ways_in_meet() -> None:
    torch.manual_seed(0)
    one = from_factor((3,), T, N)
    other = BlockTridiagonalNormal(one.loc, *one.precision_blocks)
    value = one.sample((5,))
    torch.testing.assert_close(one.log_prob(value), other.log_prob(value))
    torch.manual_seed(1)
    drawn = one.rsample()
    torch.manual_seed(1)
    torch.testing.assert_close(other.rsample(), drawn)
    torch.testing.assert_close(other._factor, one._factor)
    blocks = other.precision_blocks
    nothing = torch.zeros_like(blocks[0])
    information = (other.precision_matrix @ other.loc.flatten(-2).unsqueeze(-1)).squeeze(-1).unflatten(-1, (T, N))
    third = BlockTridiagonalNormal.from_information(*blocks, nothing, information)
    torch.testing.assert_close(third.loc, other.loc)
    torch.testing.assert_close(third.log_prob(value), other.log_prob(value))


@pytest.mark.parametrize("make", [diagonal, turned_basis])
def test_holds_every_chain(make: object) -> None:
    torch.manual_seed(0)
    chain = make((2,), T, 3)  # type: ignore[operator]
    same = BlockTridiagonalNormal(chain.loc, *chain.precision_blocks)
    value = chain.sample((3,))
    torch.testing.assert_close(same.log_prob(value), chain.log_prob(value))
    torch.testing.assert_close(same.covariance_matrix, chain.covariance_matrix)


def test_information_form_is_the_posterior_given_every_frame() -> None:
    """Of a chain z whose frames are seen through noise, x_t = W z_t + e: by conditioning the joint normal."""
    torch.manual_seed(0)
    values = torch.full((T - 1, N), 0.8).double()
    prior = GaussMarkovNormal(torch.zeros(T, N).double(), torch.ones(T, N).double(), values)
    weight, noise = torch.randn(3, N).double(), 0.4
    x = torch.randn(T, 3).double()
    precision = (weight.mT @ weight / noise**2).expand(T, N, N)
    posterior = BlockTridiagonalNormal.from_information(*prior.precision_blocks, precision, x @ weight / noise**2)
    design = torch.block_diag(*[weight] * T)
    seen = design @ prior.covariance_matrix @ design.mT + noise**2 * torch.eye(3 * T).double()
    gain = prior.covariance_matrix @ design.mT @ torch.linalg.inv(seen)
    torch.testing.assert_close(posterior.mean.flatten(), gain @ x.flatten())
    torch.testing.assert_close(
        posterior.covariance_matrix, prior.covariance_matrix - gain @ design @ prior.covariance_matrix
    )
    z = posterior.sample()
    evidence = MultivariateNormal(torch.zeros(3 * T).double(), seen).log_prob(x.flatten())
    likelihood = torch.distributions.Normal(z @ weight.mT, noise).log_prob(x).sum()
    torch.testing.assert_close(prior.log_prob(z) + likelihood - posterior.log_prob(z), evidence)


def test_the_batch_of_any_part_is_enough() -> None:
    torch.manual_seed(0)
    wide = from_factor((3,), T, N)
    diagonal, lower = (part.detach() for part in wide.precision_blocks)
    block = diagonal.amax(0) + 4 * torch.eye(N).double()
    block = (block + block.mT) / 2
    every, loc = block.expand_as(diagonal), torch.zeros(T, N).double()
    value = wide.sample()
    expected = BlockTridiagonalNormal(loc, every, lower).log_prob(value)
    torch.testing.assert_close(BlockTridiagonalNormal(loc, block, lower).log_prob(value), expected)
    half = block / 2
    posterior = BlockTridiagonalNormal.from_information(half, lower, half, loc)
    torch.testing.assert_close(posterior.log_prob(value), expected)
    assert posterior.rsample((2,)).shape == (2, 3, T, N)


def test_gradients() -> None:
    torch.manual_seed(0)
    factor, below = factors((2,), 3, 2)
    normal = BlockTridiagonalNormal.from_cholesky(torch.zeros(3, 2).double(), factor, below)
    inputs = [torch.randn(2, 3, 2).double(), *normal.precision_blocks, factor, below]
    loc, block, lower, factor, below = (part.detach().requires_grad_() for part in inputs)
    value = torch.randn(2, 3, 2).double()

    def by_blocks(loc: Tensor, block: Tensor, lower: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        torch.manual_seed(1)
        made = BlockTridiagonalNormal(loc, (block + block.mT) / 2, lower)
        return made.rsample(), made.log_prob(value), made.lag_covariances

    def by_factor(loc: Tensor, factor: Tensor, below: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        torch.manual_seed(1)
        made = BlockTridiagonalNormal.from_cholesky(loc, factor.tril(), below)
        return made.rsample(), made.log_prob(value), made.marginal_covariances

    def by_information(information: Tensor, block: Tensor, lower: Tensor) -> tuple[Tensor, Tensor]:
        torch.manual_seed(1)
        block = (block + block.mT) / 2
        made = BlockTridiagonalNormal.from_information(block, lower, block, information)
        return made.rsample(), made.log_prob(value)

    assert torch.autograd.gradcheck(by_blocks, (loc, block, lower))
    assert torch.autograd.gradcheck(by_factor, (loc, factor, below))
    assert torch.autograd.gradcheck(by_information, (loc, block, lower))


EYE, LOC = torch.eye(2).expand(4, 2, 2), torch.zeros(4, 2)
NONE = torch.zeros(3, 2, 2)


def third(block: Tensor) -> Tensor:
    """Identity blocks, the one of frame 2 replaced."""
    return torch.stack([torch.eye(2), torch.eye(2), block, torch.eye(2)])


REFUSED = {
    "no dimension": (
        lambda: BlockTridiagonalNormal(torch.zeros(4, 0), torch.zeros(4, 0, 0), torch.zeros(3, 0, 0)),
        r"at least one frame and one dimension, got \(4, 0\)",
    ),
    "diagonal": (lambda: BlockTridiagonalNormal(LOC, NONE, NONE), r"precision_diagonal .* ends in \(4, 2, 2\)"),
    "lower": (lambda: BlockTridiagonalNormal(LOC, EYE, EYE), r"precision_lower .* \(3, 2, 2\).* got \(4, 2, 2\)"),
    "lower of a factor": (lambda: BlockTridiagonalNormal.from_cholesky(LOC, EYE, EYE), r"lower_factor .* \(3, 2, 2\)"),
    "observation": (
        lambda: BlockTridiagonalNormal.from_information(EYE, NONE, NONE, LOC),
        r"observation_precision .* \(4, 2, 2\).* got \(3, 2, 2\)",
    ),
    "batches": (
        lambda: BlockTridiagonalNormal(LOC.expand(3, 4, 2), EYE.expand(2, 4, 2, 2), NONE),
        "batch shapes must broadcast",
    ),
    "block that is not positive definite": (
        lambda: BlockTridiagonalNormal(LOC, third(torch.tensor([[1.0, 2.0], [2.0, 1.0]])), NONE),
        r"precision must be positive definite, it fails at frame 2 \(counted from 0\)",
    ),
    "blocks that are not positive definite together": (
        lambda: BlockTridiagonalNormal(LOC, EYE, torch.stack([0 * torch.eye(2), torch.eye(2), 0 * torch.eye(2)])),
        "fails at frame 2",
    ),
    "one of a batch": (
        lambda: BlockTridiagonalNormal(LOC, torch.stack([EYE, third(-torch.eye(2))]), NONE),
        "fails at frame 2",
    ),
    "not symmetric": (
        lambda: BlockTridiagonalNormal(LOC, third(torch.tensor([[1.0, 0.5], [0.0, 1.0]])), NONE),
        r"precision_diagonal must be symmetric, got 0.5 at frame 2, entry \(0, 1\)",
    ),
    "not finite": (
        lambda: BlockTridiagonalNormal(LOC, EYE, NONE + float("nan")),
        r"precision_lower must be finite, got nan at frame 1, entry \(0, 0\)",
    ),
    "not triangular": (
        lambda: BlockTridiagonalNormal.from_cholesky(LOC, torch.ones(4, 2, 2), NONE),
        r"diagonal_factor must be lower triangular, got 1.0 at frame 0, entry \(0, 1\); use torch.tril",
    ),
    "not positive": (
        lambda: BlockTridiagonalNormal.from_cholesky(LOC, third(-torch.eye(2)), NONE),
        "diagonal_factor must have a positive diagonal, got -1.0 at frame 2, dimension 0",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_what_does_not_fit(name: str) -> None:
    make, sentence = REFUSED[name]
    with pytest.raises(ValueError, match=sentence):
        make()


def test_the_factorization_is_checked_always_and_the_rest_where_asked() -> None:
    lopsided = third(torch.tensor([[1.0, 0.5], [0.0, 1.0]]))
    assert BlockTridiagonalNormal(LOC, lopsided, NONE, validate_args=False).batch_shape == ()
    with pytest.raises(ValueError, match="fails at frame 2"):
        BlockTridiagonalNormal(LOC, third(-torch.eye(2)), NONE, validate_args=False)
    with pytest.raises(ValueError, match="support"):
        from_blocks((), T, N).expand([2]).log_prob(torch.full((T, N), float("nan")).double())
