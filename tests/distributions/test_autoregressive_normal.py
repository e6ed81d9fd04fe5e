"""The autoregressive normal as a distribution: shapes, caching, gradients, and what it refuses."""

from __future__ import annotations

import pyro
import pytest
import torch
from torch import Tensor

from pyrodis.distributions import AutoregressiveNormal
from pyrodis.nn import RecurrentTransition
from pyrodis.testing import check_distribution

T, D, C = 4, 2, 3


def make(batch: tuple[int, ...] | None = (5,), seed: int = 0) -> AutoregressiveNormal:
    """With context of a batch shape, or without."""
    torch.manual_seed(seed)
    transition = RecurrentTransition(D, 0 if batch is None else C, 4).double()
    context = None if batch is None else torch.randn(*batch, T, C, dtype=torch.float64)
    return AutoregressiveNormal(transition, T, context)


@pytest.mark.parametrize("batch", [None, (), (5,), (2, 3)])
def test_keeps_the_contract(batch: tuple[int, ...] | None) -> None:
    check_distribution(make(batch), num_samples=20)


@pytest.mark.parametrize("batch", [(), (5,), (2, 3)])
@pytest.mark.parametrize("sample", [(), (7,), (7, 2)])
def test_shapes(batch: tuple[int, ...], sample: tuple[int, ...]) -> None:
    normal = make(batch)
    assert normal.batch_shape == batch
    assert normal.event_shape == (T, D)
    assert normal.rsample(sample).shape == (*sample, *batch, T, D)
    assert normal.log_prob(normal.sample(sample)).shape == (*sample, *batch)
    assert normal.mean_path.shape == (*batch, T, D)
    assert normal.log_prob(torch.zeros(6, 1, *[1] * len(batch), T, D, dtype=torch.float64)).shape == (6, 1, *batch)


def test_expand_is_the_same_distribution() -> None:
    normal = make((5,))
    wide = normal.expand((3, 5))
    assert isinstance(wide, AutoregressiveNormal)
    z = wide.rsample()
    torch.testing.assert_close(wide.log_prob(z)[1], normal.log_prob(z[1]))
    torch.testing.assert_close(wide.mean_path[2], normal.mean_path)
    assert make(None).expand([4]).rsample().shape == (4, T, D)
    assert (z[0] != z[1]).all(), "an expanded batch draws independently"


def test_a_draw_and_its_score_are_the_forced_ones() -> None:
    """What the draw keeps is what a fresh distribution of the same parts computes."""
    normal = make()
    z = normal.rsample((6,))
    kept, again = (
        normal.conditional(z),
        AutoregressiveNormal(normal.transition, T, normal.context).conditional(z.clone()),
    )
    torch.testing.assert_close(kept.base_dist.loc, again.base_dist.loc)
    torch.testing.assert_close(kept.base_dist.scale, again.base_dist.scale)
    torch.testing.assert_close(normal.log_prob(z), normal.log_prob(z.clone()))
    assert normal.conditional(z) is kept
    other = normal.rsample((6,))
    assert normal.conditional(other) is not kept


def test_the_score_of_a_draw_has_the_gradient_of_a_forced_one() -> None:
    normal = make()
    z = normal.rsample()
    parameters = list(normal.transition.parameters())
    kept = torch.autograd.grad(normal.log_prob(z).sum(), parameters, retain_graph=True)
    forced = torch.autograd.grad(normal.log_prob(z * 1.0).sum(), parameters)
    for a, b in zip(kept, forced):
        torch.testing.assert_close(a, b)


def test_a_draw_without_gradient_is_scored_with_gradient() -> None:
    """As when a prior is trained on its draws, or by a score-function estimator."""
    normal = make()
    z = normal.sample()
    assert not z.requires_grad
    gradient = torch.autograd.grad(normal.log_prob(z).sum(), list(normal.transition.parameters()))
    expected = torch.autograd.grad(normal.log_prob(z.clone()).sum(), list(normal.transition.parameters()))
    for a, b in zip(gradient, expected):
        torch.testing.assert_close(a, b)
    assert any(bool((part != 0).any()) for part in gradient)
    with torch.no_grad():
        z = normal.sample()
        assert normal.conditional(z) is normal.conditional(z), "without gradients the draw's own parameters serve"


def test_every_frame_has_its_own_noise_and_feeds_back() -> None:
    normal = make(None).expand([4000])
    torch.manual_seed(1)
    with torch.no_grad():
        z = normal.rsample()
        conditional = normal.conditional(z)
    noise = (z - conditional.base_dist.loc) / conditional.base_dist.scale
    correlation = torch.corrcoef(noise.flatten(1).T)
    assert (correlation - torch.eye(T * D)).abs().max() < 5 / 4000**0.5
    assert noise.mean(0).abs().max() < 4.5 / 4000**0.5
    assert conditional.base_dist.loc[:, 1:].std(0).min() > 1e-4, "loc must vary with the frames before"
    assert conditional.base_dist.loc[:, 0].std(0).max() == 0


def test_mean_path_feeds_its_own_means_back() -> None:
    normal = make()
    path = normal.mean_path
    torch.testing.assert_close(normal.conditional(path).base_dist.loc, path)
    random = torch.get_rng_state()
    assert torch.equal(normal.mean_path, path)
    assert torch.equal(torch.get_rng_state(), random)


def test_gradients_flow_through_the_feedback() -> None:
    torch.manual_seed(0)
    transition = RecurrentTransition(D, C, 4).double()
    context = torch.randn(2, T, C, dtype=torch.float64, requires_grad=True)

    def draw(context: Tensor) -> Tensor:
        torch.manual_seed(1)
        return AutoregressiveNormal(transition, T, context).rsample()

    def score(context: Tensor, z: Tensor) -> Tensor:
        return AutoregressiveNormal(transition, T, context).log_prob(z)

    assert torch.autograd.gradcheck(draw, (context,))
    assert torch.autograd.gradcheck(score, (context, draw(context).detach().requires_grad_()))
    (gradient,) = torch.autograd.grad(draw(context)[:, -1].sum(), context)
    assert (gradient[:, 0] != 0).any(), "the last frame depends on the first frame's context"


def test_plates_broadcast_it() -> None:
    prior = make(None)
    with pyro.plate("draws", 6, dim=-2), pyro.plate("data", 5, dim=-1):
        assert pyro.sample("z", prior).shape == (6, 5, T, D)


def test_a_value_that_is_not_finite_is_refused_where_checked() -> None:
    normal = AutoregressiveNormal(RecurrentTransition(D, 0, 4), T, validate_args=True)
    with pytest.raises(ValueError, match="support"):
        normal.log_prob(torch.full((T, D), float("nan")))


def test_refuses_what_does_not_fit() -> None:
    transition = RecurrentTransition(D, C, 4)
    with pytest.raises(ValueError, match=r"context must have shape \(..., T, C\) with T = 4, got \(2, 3, 3\)"):
        AutoregressiveNormal(transition, T, torch.zeros(2, 3, C))
    with pytest.raises(ValueError, match=r"value must have shape .* \(..., 4, 2\), got \(5, 4, 3\)"):
        make().conditional(torch.zeros(5, 4, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match="num_frames must be a positive whole number, got 0"):
        AutoregressiveNormal(transition, 0)
    with pytest.raises(ValueError, match="context must have 3 values a frame, got 0"):
        AutoregressiveNormal(transition, T).rsample()
    with pytest.raises(ValueError, match="context must have 3 values a frame, got 5"):
        AutoregressiveNormal(transition, T, torch.zeros(2, T, 5)).rsample()
