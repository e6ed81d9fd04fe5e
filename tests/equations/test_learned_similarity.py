"""Larsen et al., Autoencoding beyond pixels using a learned similarity metric."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import conv2d, softplus

from pyrodis.infer import LearnedSimilarity
from pyrodis.nn import FrameDiscriminator


def test_larsen_learned_similarity_and_adversarial_losses() -> None:
    torch.manual_seed(0)
    discriminator = FrameDiscriminator((1, 8, 8), base_channels=2).double().eval()
    penalty = LearnedSimilarity(discriminator, feature_weight=3.0, adversarial_weight=0.5).double().eval()
    x, decoded = torch.rand(2, 4, 5, 1, 8, 8, dtype=torch.float64)
    convolution, linear = discriminator.below[0][0], discriminator.above[0][1]

    def look(frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h = conv2d(frames.flatten(0, 1), convolution.weight, convolution.bias, stride=2, padding=1)
        h = torch.where(h > 0, h, 0.2 * h).flatten(1)
        return h.unflatten(0, (4, 5)), (h @ linear.weight.T + linear.bias).reshape(4, 5)

    (h, d), (h_decoded, d_decoded) = look(x), look(decoded)
    normal = torch.distributions.Normal(h_decoded, 1.0)
    density = (normal.log_prob(h_decoded) - normal.log_prob(h)).sum(-1)
    expected = 3 * density + 0.5 * softplus(-d_decoded) + softplus(-d) + softplus(d_decoded)
    torch.testing.assert_close(penalty({"x": x, "reconstruction": decoded}), expected.sum(1))
    cross_entropy = nn.functional.binary_cross_entropy_with_logits(
        torch.stack([d, d_decoded]), torch.tensor([1.0, 0.0]).double()[:, None, None].expand(2, 4, 5), reduction="none"
    )
    terms = penalty.terms({"x": x, "reconstruction": decoded})
    torch.testing.assert_close(terms["discriminator"], cross_entropy.sum((0, 2)))
