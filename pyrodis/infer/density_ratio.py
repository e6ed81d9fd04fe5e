"""The total correlation of two codes by a discriminator, as a penalty that trains its own network."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import softplus

from pyrodis.ops import check_positive_int, full_precision, without_autocast


class DensityRatio(nn.Module):
    r"""How well a discriminator tells codes of one clip from codes of two clips; for `add_penalty`.

    $$R_i = h_{\bar\theta}(f_i, z_i) + \operatorname{softplus}(-h_\theta(\bar f_i, \bar z_i))
    + \operatorname{softplus}(h_\theta(\bar f_i, \bar z_{i-1}))$$

    h is the discriminator's logit, theta its weights; a bar marks what is held constant; z_{i-1} is the z of the clip
    before in the batch. The first term trains the codes alone: where the discriminator is at its best, its mean is the
    mutual information of f and z. The other two, its cross-entropy, train the discriminator alone. So one optimizer
    trains both, each on its own; under Adam the discriminator's steps do not depend on the penalty's weight (but
    a `gradient_clip` counts its gradient too). In a batch of one, the clip before is the clip itself, and
    teaches nothing.

    The reported value is the weight times the whole sum, which is 2 log 2 = 1.386 for independent codes.

    Args:
        static_dim: Dimensions of the static code.
        dynamic_dim: Dimensions of a frame's code.
        num_frames: T.
        hidden_dim: Size of the discriminator's hidden layers.
        static: Name of the static site.
        dynamic: Name of the dynamic site.

    Shape:
        Site values (..., B, S) and (..., B, T, D) to (..., B).

    Raises:
        TypeError: If a size is not an int.
        ValueError: If a size is not positive, a site is missing or has another shape.

    Source:
        Kim and Mnih, Disentangling by Factorising (2018), with two blocks in place of single dimensions and a smaller
        network; their codes of two clips come from a second batch.

    Example:
        >>> from pyrodis import add_penalty
        >>> from pyrodis.testing import tiny_dsvae
        >>> model, guide = tiny_dsvae()
        >>> guide = add_penalty(guide, "dependence", DensityRatio(3, 2, num_frames=5), 1.0, side="guide")
        >>> guide(torch.zeros(2, 5, 1, 8, 8))["z"].shape
        torch.Size([2, 5, 2])
    """

    def __init__(
        self,
        static_dim: int = 64,
        dynamic_dim: int = 32,
        num_frames: int = 8,
        hidden_dim: int = 256,
        static: str = "f",
        dynamic: str = "z",
    ) -> None:
        super().__init__()
        self.static_dim = check_positive_int("static_dim", static_dim)
        self.dynamic_dim = check_positive_int("dynamic_dim", dynamic_dim)
        self.num_frames = check_positive_int("num_frames", num_frames)
        self.hidden_dim = check_positive_int("hidden_dim", hidden_dim)
        self.static = static
        self.dynamic = dynamic
        self.network = nn.Sequential(
            nn.Linear(static_dim + num_frames * dynamic_dim, hidden_dim),
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
        f = self._code(output, self.static, (self.static_dim,))
        z = self._code(output, self.dynamic, (self.num_frames, self.dynamic_dim))
        with without_autocast(f):
            joint = torch.cat([f, z], -1)
            constant = {name: value.detach() for name, value in self.network.named_parameters()}
            ratio = functional_call(self.network, constant, (joint,)).squeeze(-1)
            same = self.network(joint.detach()).squeeze(-1)
            other = self.network(torch.cat([f, z.roll(1, -2)], -1).detach()).squeeze(-1)
            return ratio + softplus(-same) + softplus(other)

    def _code(self, output: Mapping[str, torch.Tensor], name: str, event: tuple[int, ...]) -> torch.Tensor:
        """The value of a site, one row a clip."""
        if name not in output:
            raise ValueError(f"the program must return the site '{name}', got {sorted(output)}; name its sites")
        value = output[name]
        if value.ndim <= len(event) or tuple(value.shape[-len(event) :]) != event:
            wanted = ", ".join(["...", "B", *map(str, event)])
            raise ValueError(
                f"'{name}' must have shape ({wanted}), got {tuple(value.shape)}; build DensityRatio for these sizes"
            )
        return full_precision(value).flatten(-len(event))
