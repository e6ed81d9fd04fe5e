"""Whether a guide's draws are as far from the truth as they claim: ranks, and coverage of credible intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from pyrodis.infer.simulation import simulated_ranks
from pyrodis.metrics import Score, mean_score
from pyrodis.ops import check_positive_int

__all__ = ["Calibration", "interval_coverage", "rank_p_values", "simulation_based_calibration"]

MIN_EXPECTED = 5  # simulations a bin, below which the chi-square distribution does not hold


@dataclass(frozen=True, eq=False)
class Calibration:
    """Ranks of the codes that made clips among a guide's draws, and how likely uniform ranks look like these.

    Args:
        ranks: Site name to ranks 0 .. L, (num_simulations, event shape); and "log_joint", (num_simulations).
        p_values: The same names to the p-value of every dimension by itself, (event shape).
        site_p_values: The same names to one p-value of all dimensions, by Bonferroni: the smallest, times how many
            there are. Dimensions and frames of one simulation depend on each other; this bound holds however they do,
            and is stricter with a guide than it need be where they depend much.
        p_value: The same over all names.
        num_draws: L.
        num_bins: Bins of the chi-square tests.
    """

    ranks: Mapping[str, torch.Tensor]
    p_values: Mapping[str, torch.Tensor]
    site_p_values: Mapping[str, float]
    p_value: float
    num_draws: int
    num_bins: int

    def as_dict(self) -> dict[str, Any]:
        """Return the p-values as plain values, ready for JSON.

        Returns:
            "p_value", "p_value_<site>" for every site, "num_simulations", "num_draws" and "num_bins".
        """
        counts = {"num_simulations": len(next(iter(self.ranks.values()))), "num_draws": self.num_draws}
        sites = {f"p_value_{name}": value for name, value in self.site_p_values.items()}
        return {"p_value": self.p_value, **sites, **counts, "num_bins": self.num_bins}


def simulation_based_calibration(
    model: nn.Module,
    guide: nn.Module,
    num_simulations: int = 500,
    num_draws: int = 99,
    *,
    num_bins: int = 20,
    batch_size: int = 50,
    chunk_size: int = 50,
    seed: int = 0,
) -> Calibration:
    r"""Check a guide on clips that the model draws, whose codes are known: their ranks must be uniform.

    $$z^*, x \sim p(z)\, p(x \mid z), \quad z_1, \dots, z_L \sim q(z \mid x) \quad \Rightarrow \quad
    \#\{l : z_l < z^*\} \sim \mathrm{Uniform}\{0, \dots, L\} \quad \text{if } q(z \mid x) = p(z \mid x)$$

    for every dimension of every site. Too narrow a guide piles ranks up at both ends, too wide a one in the middle, a
    shifted one at one end. Dimensions are ranked one by one, so what depends between them is not seen, and a guide
    that returned the prior whatever the clip would pass. Therefore log p(x, codes) is ranked as well, which such guides
    fail.

    It is a test on clips of the model. On real clips, which the model did not draw, it says nothing. Passing a test is
    no proof: with more simulations it sees more.

    Args:
        model: A generative program.
        guide: An inference program over the same sites.
        num_simulations: Clips.
        num_draws: L, draws of the guide a clip; L + 1 is a multiple of `num_bins`.
        num_bins: Bins of the chi-square test of every dimension.
        batch_size: Clips at once.
        chunk_size: Draws of a clip that are in memory at once.
        seed: Seed of the simulations.

    Returns:
        Ranks and p-values; see `Calibration`.

    Raises:
        TypeError: If a count is not an int.
        ValueError: If a count is not positive, there is one bin, the draws do not fill the bins evenly, there are
            fewer than five simulations a bin, the guide has no latent sites, or the sites of the two differ.

    Source:
        Talts et al., Validating Bayesian inference algorithms with simulation-based calibration (2018), whose draws are
        a Markov chain's and thinned; the joint density is a test quantity of Modrak et al. (2023).

    Example:
        >>> from pyrodis.testing import tiny_dsvae
        >>> found = simulation_based_calibration(*tiny_dsvae(), num_simulations=50, num_draws=9, num_bins=5)
        >>> found.ranks["z"].shape, sorted(found.p_values)
        (torch.Size([50, 5, 2]), ['f', 'log_joint', 'z'])
    """
    _check_bins(num_simulations, num_draws, num_bins)
    sizes = {"batch_size": batch_size, "chunk_size": chunk_size, "seed": seed}
    ranks = simulated_ranks(model, guide, num_simulations, num_draws, with_joint=True, **sizes)
    p_values = {name: rank_p_values(found, num_draws, num_bins) for name, found in ranks.items()}
    sites = {name: _bonferroni(values) for name, values in p_values.items()}
    overall = _bonferroni(torch.cat([values.flatten() for values in p_values.values()]))
    return Calibration(ranks, p_values, sites, overall, num_draws, num_bins)


def rank_p_values(ranks: torch.Tensor, num_draws: int, num_bins: int = 20) -> torch.Tensor:
    r"""Return how likely uniform ranks spread over bins as unevenly as these.

    $$\chi^2 = \sum_{b=1}^{n} \frac{(c_b - N / n)^2}{N / n}, \qquad p = P(\chi^2_{n-1} > \chi^2)$$

    c_b counts the ranks of N simulations in bin b of n.

    Args:
        ranks: Ranks 0 .. L.
        num_draws: L; L + 1 is a multiple of `num_bins`.
        num_bins: n.

    Shape:
        ranks: (N, ...), int64.

    Returns:
        p-values (...), double precision.

    Raises:
        TypeError: If a count is not an int, or the ranks are no int64 tensor.
        ValueError: If a rank is not from 0 to L, the draws do not fill the bins evenly, or there are fewer than five
            simulations a bin.

    Source:
        Pearson's chi-square test.

    Example:
        >>> rank_p_values(torch.arange(100).reshape(100, 1), num_draws=99)
        tensor([1.], dtype=torch.float64)
    """
    if not isinstance(ranks, torch.Tensor) or ranks.dtype != torch.int64 or ranks.ndim < 1:
        got = f"{ranks.dtype} {tuple(ranks.shape)}" if isinstance(ranks, torch.Tensor) else type(ranks).__name__
        raise TypeError(f"ranks must be an int64 tensor (N, ...), got {got}; use torch.as_tensor and its long()")
    _check_bins(len(ranks), num_draws, num_bins)
    if ranks.numel() and not 0 <= int(ranks.min()) <= int(ranks.max()) <= num_draws:
        raise ValueError(
            f"ranks must be from 0 to num_draws = {num_draws}, got {int(ranks.min())} to {int(ranks.max())}"
        )
    bins = ranks.reshape(len(ranks), -1) * num_bins // (num_draws + 1)
    counts = torch.nn.functional.one_hot(bins, num_bins).sum(0).double()
    expected = len(ranks) / num_bins
    statistic = ((counts - expected).square() / expected).sum(-1)
    degrees = torch.full_like(statistic, (num_bins - 1) / 2)
    return torch.special.gammaincc(degrees, statistic / 2).reshape(ranks.shape[1:])


def interval_coverage(
    model: nn.Module,
    guide: nn.Module,
    levels: Sequence[float] = (0.5, 0.9),
    *,
    num_simulations: int = 500,
    num_draws: int = 199,
    batch_size: int = 50,
    chunk_size: int = 50,
    seed: int = 0,
) -> dict[str, Score]:
    r"""Return how often a guide's credible intervals hold the codes that made a clip of the model.

    $$\mathrm{coverage} = P\bigl(Q_{(1 - c)/2}(q(z_i \mid x)) < z^*_i < Q_{(1 + c)/2}(q(z_i \mid x))\bigr), \qquad
    z^*, x \sim p(z)\, p(x \mid z)$$

    It is the level c if the guide is the posterior, less if it is too narrow. The interval's ends are the guide's
    draws in order: with L draws, (L + 1) (1 - c) / 2 of the L + 1 ranks are cut off on either side, and of a rank that
    is cut in two its part counts. So the coverage of the exact posterior is c for any L, without an error of the
    quantiles.

    Args:
        model: A generative program.
        guide: An inference program over the same sites.
        levels: c of each interval, above 0 and below 1.
        num_simulations: Clips.
        num_draws: L, draws of the guide a clip: at least 2 / (1 - c) - 1.
        batch_size: Clips at once.
        chunk_size: Draws of a clip that are in memory at once.
        seed: Seed of the simulations.

    Returns:
        "site/level" to the share of the site's dimensions whose interval holds the truth, averaged over simulations:
        the 95 % interval is that of Monte Carlo, from the spread of whole simulations, whose dimensions depend on each
        other. The ceiling is the level; a score above it tells of intervals that are too wide.

    Raises:
        TypeError: If a count is not an int, or the levels are no list of numbers.
        ValueError: If a count is not positive, there is no level, one is not between 0 and 1, there are fewer draws
            than it needs, or the guide has no latent sites or other ones than the model.

    Source:
        Cook, Gelman and Rubin, Validation of software for Bayesian models using posterior quantiles (2006).

    Example:
        >>> from pyrodis.testing import tiny_dsvae
        >>> sorted(interval_coverage(*tiny_dsvae(), num_simulations=10, num_draws=19))
        ['f/0.5', 'f/0.9', 'z/0.5', 'z/0.9']
    """
    cuts = {level: _cut(level, num_draws) for level in _check_levels(levels)}
    ranks = simulated_ranks(
        model, guide, num_simulations, num_draws, batch_size=batch_size, chunk_size=chunk_size, seed=seed
    )
    scores = {}
    for name, found in ranks.items():
        for level, cut in cuts.items():
            scores[f"{name}/{level:g}"] = mean_score(_covered(found, cut, num_draws), ceiling=level)
    return scores


def _covered(ranks: torch.Tensor, cut: float, num_draws: int) -> torch.Tensor:
    """The share of every simulation's ranks that is left where so many are cut off on either side, (N)."""
    ends = (ranks + 1).double().clamp(max=num_draws + 1 - cut), ranks.double().clamp(min=cut)
    return (ends[0] - ends[1]).clamp(min=0).reshape(len(ranks), -1).mean(1)


def _check_levels(levels: Any) -> list[float]:
    if not isinstance(levels, Sequence) or any(isinstance(c, bool) or not isinstance(c, (int, float)) for c in levels):
        raise TypeError(f"levels must be a list of numbers, got {levels!r}; pass (0.5, 0.9), for example")
    if not levels:
        raise ValueError("levels must hold at least one level, got none; pass (0.5, 0.9), for example")
    for level in levels:
        if not 0 < level < 1:
            raise ValueError(f"levels must lie between 0 and 1, got {level}; 0.9 is the interval of 90 %")
    return [*levels]


def _cut(level: float, num_draws: int) -> float:
    """How many of the ranks lie outside the interval on either side."""
    cut = (check_positive_int("num_draws", num_draws) + 1) * (1 - level) / 2
    if cut < 1 - 1e-9:
        needed = math.ceil(2 / (1 - level) - 1 - 1e-9)
        raise ValueError(f"num_draws must be at least {needed} for an interval of level {level:g}, got {num_draws}")
    return cut


def _check_bins(num_simulations: int, num_draws: int, num_bins: int) -> None:
    counts = {"num_simulations": num_simulations, "num_draws": num_draws, "num_bins": num_bins}
    for name, count in counts.items():
        check_positive_int(name, count)
    if num_bins < 2 or (num_draws + 1) % num_bins:
        raise ValueError(
            f"num_bins must be at least 2 and divide num_draws + 1 = {num_draws + 1}, got {num_bins}; "
            "take 99 draws and 20 bins, for example"
        )
    if num_simulations < MIN_EXPECTED * num_bins:
        raise ValueError(
            f"num_simulations must be at least {MIN_EXPECTED} a bin = {MIN_EXPECTED * num_bins}, got {num_simulations};"
            " take more of them or fewer bins"
        )


def _bonferroni(p_values: torch.Tensor) -> float:
    return min(1.0, float(p_values.min()) * p_values.numel())
