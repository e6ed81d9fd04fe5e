"""Whether two codes are of one clip, by a discriminator: a penalty that trains its own network."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import softplus

from pyrodis.ops import check_positive_int, full_precision, without_autocast


class SameClip(nn.Module):
    r"""How far a discriminator recognizes a clip by the codes of its frames; for `add_penalty`.

    $$R_i = \frac1T \sum_t \frac12 \bigl(\operatorname{softplus}(h_{\bar\theta}(u_{it}))
    + \operatorname{softplus}(-h_{\bar\theta}(u_{it}))\bigr)
    + \operatorname{softplus}(-h_\theta(\bar u_{it})) + \operatorname{softplus}(h_\theta(\bar u'_{it}))$$

    u_it is the pair of z_it and of the code half a clip on, z_is, s = t + T // 2 in a circle; u'_it has z_{i-1,s}, of
    the clip before in the batch. h is the discriminator's logit for "one clip", theta its weights; a bar marks what is
    held constant. The first half trains the codes alone: it is least, log 2, where the discriminator cannot tell. The
    rest, its cross-entropy, trains the discriminator alone, as `DensityRatio` does. So one optimizer trains both
    against each other, and no gradient is reversed. In a batch of one, the clip before is the clip itself, and
    the discriminator learns that it cannot tell.

    It keeps out of a code of every frame what stays in a clip: identity out of where. What moves slowly stays, too:
    half a clip should be long enough for things to have gone elsewhere. `DensityRatio(static="what",
    dynamic="where")` asks instead that where says nothing of the code what.

    The reported value is the weight times the whole, 3 log 2 = 2.079 where clips cannot be recognized.

    Args:
        dim: Dimensions of a frame's code.
        hidden_dim: Size of the discriminator's hidden layers.
        site: Name of the site.

    Shape:
        Site values (..., B, T, dim) to (..., B).

    Raises:
        TypeError: If a size is not an int.
        ValueError: If a size is not positive, the site is missing or has another shape, or clips have one frame.

    Source:
        Denton and Birodkar, Unsupervised Learning of Disentangled Representations from Video (2017), of two random
        frames, with an optimizer for each side; Ganin et al., Domain-Adversarial Training of Neural Networks (2016).

    Example:
        >>> from pyrodis import add_penalty
        >>> from pyrodis.testing import tiny_dsvae
        >>> model, guide = tiny_dsvae()
        >>> guide = add_penalty(guide, "same_clip", SameClip(2, site="z"), 1.0, side="guide")
        >>> guide(torch.zeros(2, 5, 1, 8, 8))["z"].shape
        torch.Size([2, 5, 2])
    """

    def __init__(self, dim: int = 8, hidden_dim: int = 256, site: str = "where") -> None:
        super().__init__()
        self.dim = check_positive_int("dim", dim)
        self.hidden_dim = check_positive_int("hidden_dim", hidden_dim)
        self.site = site
        self.network = nn.Sequential(
            nn.Linear(2 * dim, hidden_dim),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden_dim, hidden_dim),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden_dim, 1),
        )

    def forward(self, output: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return the penalty of each clip.

        Args:
            output: What a guide or a model returns.

        Returns:
            Values in nats, shape (..., B).
        """
        codes = self._codes(output)
        with without_autocast(codes):
            later = codes.roll(-(codes.shape[-2] // 2), -2)
            pair = torch.cat([codes, later], -1)
            constant = {name: value.detach() for name, value in self.network.named_parameters()}
            seen = functional_call(self.network, constant, (pair,))
            same = self.network(pair.detach())
            other = self.network(torch.cat([codes, later.roll(1, -3)], -1).detach())
            value = (softplus(seen) + softplus(-seen)) / 2 + softplus(-same) + softplus(other)
            return value.squeeze(-1).mean(-1)

    def _codes(self, output: Mapping[str, torch.Tensor]) -> torch.Tensor:
        if self.site not in output:
            raise ValueError(f"the program must return the site '{self.site}', got {sorted(output)}; name its site")
        value = output[self.site]
        if value.ndim < 3 or value.shape[-1] != self.dim or value.shape[-2] < 2:
            raise ValueError(
                f"'{self.site}' must have shape (..., B, T, {self.dim}) with T of 2 or more, got "
                f"{tuple(value.shape)}; build SameClip for this size, and give it clips"
            )
        return full_precision(value)
