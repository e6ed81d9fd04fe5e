"""The total correlation of the dimensions of a code, as a penalty."""

from __future__ import annotations

import math
from typing import Any

import torch
from pyro.distributions import Normal
from torch import nn

from pyrodis.infer.penalties import GuideRun
from pyrodis.infer.sites import given_past
from pyrodis.ops import check_positive_int
from pyrodis.regularizers import total_correlation


class TotalCorrelation(nn.Module):
    r"""How much the dimensions of a frame's code say of each other over the data set; for `add_guide_penalty`.

    $$w_{ij} = \frac{1}{N T} \; (i = j), \quad \frac{T - 1}{N T (K - 1)} \; (\text{another frame of the clip of } i),
    \quad \frac{N - 1}{N K (B - 1)} \; (\text{a frame of another clip})$$

    The pure function is `pyrodis.regularizers.total_correlation`; its data are the single frames of all clips, N clips
    of T frames, of which a batch shows K frames of each of B clips. All frames where B T is within `max_frames`, else
    as many of each clip, drawn anew, as fit; two at least. A clip's value is T times the mean share of its frames, so
    with a weight of beta - 1 the objective is that of a beta-TCVAE whose data are frames.

    The densities are unbiased over random batches, their logarithms are not: in a batch that shows few of the data,
    codes of independent dimensions have a value somewhat above 0, the more so the narrower the posteriors. It can be at
    most (D - 1) log(N T) nats a frame where no two posteriors overlap, and has no gradient there. Repeating a batch
    leaves a clip's value nearly unchanged where posteriors are wide. A batch of one clip gives 0.

    A frame's posterior is taken as independent normals of its mean and variance; of a site whose frames feed back,
    given the frames before.

    Args:
        num_data: N, the number of clips in the training data.
        site: Name of the site, a sequence.
        max_frames: How many frames a batch shows at most; memory grows with its square.

    Shape:
        A run over B clips to (B).

    Raises:
        TypeError: If a number is not an int.
        ValueError: If a number is not positive, a batch has more than `num_data` clips, or the site is missing or no
            sequence.

    Source:
        Chen et al., Isolating Sources of Disentanglement in VAEs (2018). The weights are stratified as theirs are; the
        second stratum is for the frames of one clip, which come into a batch together.

    Example:
        >>> from pyrodis.infer import NamedELBO, add_guide_penalty
        >>> from pyrodis.testing import tiny_dsvae
        >>> model, guide = tiny_dsvae()
        >>> guide = add_guide_penalty(guide, "total_correlation", TotalCorrelation(num_data=100), 5.0)
        >>> "total_correlation" in NamedELBO().terms(model, guide, torch.rand(3, 5, 1, 8, 8)).values
        True
    """

    def __init__(self, num_data: int, site: str = "z", max_frames: int = 512) -> None:
        super().__init__()
        self.num_data = check_positive_int("num_data", num_data)
        self.site = site
        self.max_frames = check_positive_int("max_frames", max_frames)

    def forward(self, run: GuideRun) -> torch.Tensor:
        """Return the value of each clip.

        Args:
            run: A run of the guide.

        Returns:
            Values in nats, shape (B).
        """
        value, loc, scale = _normals(self.site, run.site(self.site))
        num, num_frames = value.shape[-3], value.shape[-2]
        if num > self.num_data:
            raise ValueError(
                f"num_data must be at least the batch's {num} clips, got {self.num_data}; pass the data set's size"
            )
        if num == 1:
            return (0 * value).sum((-2, -1))  # nothing to compare with
        shown = min(num_frames, max(2, self.max_frames // num))
        if shown < num_frames:
            chosen = torch.rand(num, num_frames, device=value.device).argsort(-1)[:, :shown, None]
            chosen = chosen.expand(*value.shape[:-2], shown, value.shape[-1])
            value, loc, scale = (part.gather(-2, chosen) for part in (value, loc, scale))
        value, loc, scale = (part.flatten(-3, -2) for part in (value, loc, scale))
        densities = Normal(loc.unsqueeze(-3), scale.unsqueeze(-3), validate_args=False).log_prob(value.unsqueeze(-2))
        weights = self._log_weights(value, num, num_frames, shown)
        share = total_correlation(densities, weights).unflatten(-1, (num, shown))
        return num_frames * share.mean(-1)

    def _log_weights(self, like: torch.Tensor, num: int, num_frames: int, shown: int) -> torch.Tensor:
        """The logarithms of w_ij, (B K, B K)."""
        total = self.num_data * num_frames
        other = math.log((self.num_data - 1) / (self.num_data * shown * (num - 1)))
        weights = like.new_full((num * shown, num * shown), other)
        if shown > 1:
            clip = torch.arange(num * shown, device=like.device) // shown
            own = math.log((num_frames - 1) / (total * (shown - 1)))
            weights = weights.masked_fill(clip == clip.unsqueeze(-1), own)
        return weights.fill_diagonal_(-math.log(total))


def _normals(name: str, site: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Draws of a sequence's site, and mean and standard deviation of every frame, of the same shape."""
    value = site["value"]
    fn = given_past(site)
    if len(fn.event_shape) != 2:
        raise ValueError(f"site '{name}' must be a sequence with event shape (T, D), got {tuple(fn.event_shape)}")
    return value, fn.mean.expand(value.shape), fn.variance.sqrt().expand(value.shape)
