"""Similarity of frames as a discriminator sees it, as a penalty that trains its own network."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import softplus

from pyrodis.infer.handlers import check_weight
from pyrodis.nn import FrameDiscriminator
from pyrodis.ops import check_positive_int


class LearnedSimilarity(nn.Module):
    r"""How far decoded frames are from the real ones in a discriminator's features, and how real they look.

    $$R = \sum_t \frac{a}{2} \lVert h_{\bar\theta}(\hat x_t) - \bar h_\theta(x_t) \rVert^2
    + b \operatorname{softplus}(-d_{\bar\theta}(\hat x_t))
    + \operatorname{softplus}(-d_\theta(x_t)) + \operatorname{softplus}(d_\theta(\bar{\hat x}_t))$$

    d is the discriminator's logit, h its inner features, theta its weights, x-hat the reconstruction; a and b are
    `feature_weight` and `adversarial_weight`; a bar marks what is held constant. The first term is, up to a constant,
    the negative log-density of the real frame's features under a normal of scale 1 around the decoded frame's.

    The first two terms train model and guide alone, the last two, the cross-entropy, the discriminator alone. So one
    optimizer trains all, each on its own; under Adam the discriminator's steps do not depend on the penalty's
    weight (but a `gradient_clip` counts its gradient too).

    Add it to the model with `add_penalty`. The reported value is the weight times the whole sum; `terms` gives the
    parts. In eval mode nothing moves, and the same frames are read at every call.

    Args:
        discriminator: The discriminator, which this penalty trains.
        feature_weight: a, 0 or more.
        adversarial_weight: b, 0 or more.
        num_frames: How many frames of a clip to read, for speed: in training mode drawn anew at every call, the same
            for all clips; in eval mode evenly spaced. Their sum is scaled to that of all T. None for all.

    Shape:
        "x" (B, T, C, H, W) and "reconstruction" (..., B, T, C, H, W) to (..., B).

    Raises:
        TypeError: If the discriminator is none, or a weight or number has the wrong type.
        ValueError: If a weight is negative, the program does not return both, their shapes differ, or a clip has fewer
            frames than `num_frames`.

    Source:
        Larsen et al., Autoencoding beyond pixels using a learned similarity metric (2016). What differs: the likelihood
        of the pixels stays in the objective; the adversarial term reaches the guide, not the decoder alone; decodings
        of draws from the prior are not shown to the discriminator; the decoder's adversarial loss is the non-saturating
        one; weights have spectral norm 1 instead of batch normalization.

    Example:
        >>> from pyrodis import add_penalty
        >>> from pyrodis.testing import tiny_dsvae
        >>> model, guide = tiny_dsvae()
        >>> similarity = LearnedSimilarity(FrameDiscriminator((1, 8, 8), base_channels=2))
        >>> model = add_penalty(model, "similarity", similarity, 1.0, side="model")
        >>> model(torch.rand(2, 5, 1, 8, 8))["reconstruction"].shape
        torch.Size([2, 5, 1, 8, 8])
    """

    def __init__(
        self,
        discriminator: FrameDiscriminator,
        feature_weight: float = 1.0,
        adversarial_weight: float = 1.0,
        num_frames: int | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(discriminator, FrameDiscriminator):
            raise TypeError(f"discriminator must be a FrameDiscriminator, got {type(discriminator).__name__}")
        self.discriminator = discriminator
        self.feature_weight = check_weight("features", feature_weight)
        self.adversarial_weight = check_weight("the adversarial term", adversarial_weight)
        self.num_frames = None if num_frames is None else check_positive_int("num_frames", num_frames)

    def forward(self, output: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return the penalty of each clip.

        Args:
            output: What a model returns.

        Returns:
            Values in nats, shape (..., B).
        """
        terms = self.terms(output)
        return (
            self.feature_weight * terms["features"]
            + self.adversarial_weight * terms["adversarial"]
            + terms["discriminator"]
        )

    def terms(self, output: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the parts of the penalty, unweighted.

        Args:
            output: What a model returns.

        Returns:
            "features", "adversarial", and "discriminator", which is 2 T log 2 = 1.386 T where it cannot tell the two
            apart; nats, shape (..., B) each.
        """
        x, decoded = self._pair(output)
        num_frames = x.shape[-4]
        if self.num_frames is not None:
            frames = self._frames(num_frames, x.device)
            x, decoded = x.index_select(-4, frames), decoded.index_select(-4, frames)
        logits, features = self.discriminator(torch.stack([x, decoded.detach()]))
        constant = {name: value.detach() for name, value in self.discriminator.named_parameters()}
        judged, seen = functional_call(self.discriminator, constant, (decoded,))
        terms = {
            "features": (seen - features[0].detach()).square().flatten(-3).sum(-1) / 2,
            "adversarial": softplus(-judged),
            "discriminator": softplus(-logits[0]) + softplus(logits[1]),
        }
        return {name: num_frames * value.mean(-1) for name, value in terms.items()}

    def _frames(self, num_frames: int, device: torch.device) -> torch.Tensor:
        """Numbers of the frames to read."""
        num = self.num_frames or num_frames
        if num > num_frames:
            raise ValueError(f"num_frames must be at most the T of the clips, {num_frames}, got {num}")
        if self.training:
            return torch.randperm(num_frames, device=device)[:num]
        return torch.arange(num, device=device) * num_frames // num

    def _pair(self, output: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Real and decoded clips of one shape."""
        if "x" not in output or "reconstruction" not in output:
            raise ValueError(
                f"the program must return 'x' and 'reconstruction', got {sorted(output)}; add the penalty to a model"
            )
        x, decoded = output["x"], output["reconstruction"]
        if x.ndim < 5 or x.shape[-5:] != decoded.shape[-5:]:
            raise ValueError(
                "'x' and 'reconstruction' must have one shape (..., B, T, C, H, W), got "
                f"{tuple(x.shape)} and {tuple(decoded.shape)}"
            )
        return x.expand_as(decoded), decoded
