"""The total correlation of codes in cases that are known, and how the estimate depends on its batch."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pyro.distributions import Normal
from torch import Tensor, nn

from pyrodis.guides import FullGuide, MeanFieldGuide
from pyrodis.infer import NamedELBO, TotalCorrelation, add_guide_penalty
from pyrodis.infer.penalties import GuideRun
from pyrodis.models import BetaVAE, NormalPixels, StandardPrior
from pyrodis.nn import ConvDecoder, ConvEncoder
from pyrodis.testing import check_model_guide
from tests.pairs import make_clips, make_pair

SCALE = 0.5


def run_of(loc: Tensor, scale: float = SCALE, seed: int = 1) -> GuideRun:
    """A run of a guide whose posteriors have given locs (B, T, D)."""
    torch.manual_seed(seed)
    fn = Normal(loc, scale).to_event(2)
    return GuideRun(nn.Identity(), torch.zeros(len(loc)), {"z": {"fn": fn, "value": fn.rsample()}})


def correlated(correlation: float, num: int, num_frames: int = 1, seed: int = 0) -> Tensor:
    """Locs (num, num_frames, 2), standard normal and correlated."""
    a, b = torch.randn(2, num, num_frames, generator=torch.Generator().manual_seed(seed))
    return torch.stack([a, correlation * a + math.sqrt(1 - correlation**2) * b], -1)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, 0.99])
def test_agrees_with_the_closed_form_of_a_normal(correlation: float) -> None:
    share = TotalCorrelation(10**6, max_frames=2000)(run_of(correlated(correlation, 1500)))
    total = correlation / (1 + SCALE**2)
    exact = -0.5 * math.log(1 - total**2)
    error = float(share.std()) / math.sqrt(len(share))
    assert abs(float(share.mean()) - exact) < 3 * error + 0.02
    assert error < 0.03


def test_independent_codes_have_none_and_duplicated_ones_much() -> None:
    loc = torch.randn(300, 1, 1, generator=torch.Generator().manual_seed(2))
    other = torch.randn(300, 1, 1, generator=torch.Generator().manual_seed(3))
    apart, same = (
        float(TotalCorrelation(10**5)(run_of(torch.cat(parts, -1), 0.1)).mean()) for parts in ((loc, other), (loc, loc))
    )
    assert abs(apart) < 0.5
    assert same > 1.5 + apart


def test_a_clip_counts_all_its_frames() -> None:
    """T independent frames a clip have T times the total correlation of one frame, all shown or some."""
    loc = correlated(0.9, 100, 8)
    total = 0.9 / (1 + SCALE**2)
    exact = -0.5 * math.log(1 - total**2)
    for max_frames in (1000, 400):
        torch.manual_seed(0)
        share = TotalCorrelation(10**6, max_frames=max_frames)(run_of(loc))
        assert share.shape == (100,)
        assert abs(float(share.mean()) / 8 - exact) < 0.06


@pytest.mark.parametrize("shown", [2, 4])
def test_every_draw_weighs_the_whole_data_set(shown: int) -> None:
    weights = TotalCorrelation(50)._log_weights(torch.zeros(()), 3, 4, shown).exp()
    torch.testing.assert_close(weights.sum(1), torch.ones(3 * shown))
    own = weights.unflatten(0, (3, shown)).unflatten(-1, (3, shown))[0, 0, 0]
    torch.testing.assert_close(own.sum(), torch.tensor(1 / 50))


def test_the_densities_are_unbiased_over_batches() -> None:
    """The mean over all batches that hold a clip is the density under the whole data set."""
    num_data, num, frames = 5, 3, 2
    loc = torch.randn(num_data * frames, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    density = torch.distributions.Normal(loc, SCALE).log_prob(loc[0] + 0.1).exp().unflatten(0, (num_data, frames))
    weights = TotalCorrelation(num_data)._log_weights(loc, num, frames, frames).exp()[0]
    estimates = [
        (weights * density[[0, *others.tolist()]].flatten()).sum()
        for others in torch.combinations(torch.arange(1, num_data), num - 1)
    ]
    torch.testing.assert_close(torch.stack(estimates).mean(), density.mean())


def test_the_batch_hardly_matters_where_posteriors_are_wide() -> None:
    loc, penalty = correlated(0.9, 60), TotalCorrelation(10**4, max_frames=2000)
    once = float(penalty(run_of(loc)).mean())
    again = float(torch.stack([penalty(run_of(loc.repeat(2, 1, 1), seed=seed)).mean() for seed in range(4)]).mean())
    assert again == pytest.approx(once, abs=0.15)


def test_narrow_posteriors_reach_the_limit() -> None:
    loc = torch.arange(5.0).reshape(5, 1, 1).expand(5, 1, 3)
    share = TotalCorrelation(100)(run_of(loc, 1e-4))
    torch.testing.assert_close(share, torch.full((5,), 2 * math.log(100)))


def test_a_batch_of_one_gives_zero_and_draws_keep_their_dimension() -> None:
    assert TotalCorrelation(9)(run_of(torch.zeros(1, 4, 2))).tolist() == [0.0]
    torch.manual_seed(0)
    fn = Normal(torch.randn(3, 4, 2), SCALE).to_event(2)
    value = fn.rsample((5,))
    run = GuideRun(nn.Identity(), torch.zeros(3), {"z": {"fn": fn, "value": value}})
    shares = TotalCorrelation(9)(run)
    assert shares.shape == (5, 3)
    first = GuideRun(nn.Identity(), torch.zeros(3), {"z": {"fn": fn, "value": value[0]}})
    torch.testing.assert_close(TotalCorrelation(9)(first), shares[0])


def test_takes_part_in_training() -> None:
    def pair() -> Any:
        torch.manual_seed(0)
        model = BetaVAE(ConvDecoder(2, (1, 8, 8), base_channels=2), StandardPrior(2), NormalPixels(), 2, 4)
        guide: nn.Module = MeanFieldGuide(ConvEncoder((1, 8, 8), 4, base_channels=2), 2)
        return model, guide

    check_model_guide(pair, torch.rand(3, 4, 1, 8, 8))
    model, guide = pair()
    guide = add_guide_penalty(guide, "tc", TotalCorrelation(100), 5.0)
    NamedELBO().terms(model, guide, torch.rand(3, 4, 1, 8, 8)).values["tc"].backward()
    assert all(p.grad is not None for p in guide.parameters())
    feedback = add_guide_penalty(make_pair(FullGuide)[1], "tc", TotalCorrelation(100), 1.0)
    assert bool(NamedELBO().terms(make_pair(FullGuide)[0], feedback, make_clips(3)).values["tc"].isfinite())


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="num_data must be at least the batch's 3 clips, got 2"):
        TotalCorrelation(2)(run_of(torch.zeros(3, 4, 2)))
    with pytest.raises(ValueError, match="max_frames must be a positive whole number, got 0"):
        TotalCorrelation(2, max_frames=0)
    guide = add_guide_penalty(make_pair(FullGuide)[1], "tc", TotalCorrelation(9, site="f"), 1.0)
    with pytest.raises(ValueError, match=r"site 'f' must be a sequence with event shape \(T, D\), got \(3,\)"):
        guide(make_clips(2))
