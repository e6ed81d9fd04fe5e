"""Parallel VAEs at sizes that run in milliseconds."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from pyrodis.guides import ParallelGuide
from pyrodis.models import MaskedNormal, ParallelVAE
from pyrodis.nn import StridedDecoder, StridedEncoder

K, D, C, H, W = 3, 2, 2, 5, 6
IMAGE = (C, H, W)


def fresh_pair(num: int = K, likelihood: type[nn.Module] = MaskedNormal) -> tuple[ParallelVAE, ParallelGuide]:
    """Model and guide in training mode, float32, with weights from the global generator."""
    decoders = [StridedDecoder(D, (C + 1, H, W), widths=(3,), hidden_dim=4) for _ in range(num)]
    encoders = [StridedEncoder(IMAGE, widths=(3,), feature_dim=4) for _ in range(num)]
    return ParallelVAE(decoders, likelihood(), D), ParallelGuide(encoders, D)


def make_pair(num: int = K, likelihood: type[nn.Module] = MaskedNormal, seed: int = 0) -> tuple[Any, Any]:
    """Model and guide in eval mode, float64, with weights so large that components differ."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pair = fresh_pair(num, likelihood)
        with torch.no_grad():
            for part in nn.ModuleList(pair).modules():
                if isinstance(part, (nn.Linear, nn.ConvTranspose2d)):
                    part.weight.mul_(3.0)
    return tuple(program.double().eval() for program in pair)


def make_images(num: int = 4, seed: int = 1) -> Tensor:
    """Images (num, 1, C, H, W) in [0, 1], float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(num, 1, *IMAGE, generator=generator, dtype=torch.float64)


def make_codes(num: int = 4, components: int = K, seed: int = 2) -> Tensor:
    """Codes (components, num, D), float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(components, num, D, generator=generator, dtype=torch.float64)


def decode_by_hand(model: Any, z: Tensor) -> tuple[Tensor, Tensor]:
    """Images (B, K, C, H, W) of the components, and masks (B, K, H, W), from exponentials alone."""
    outputs = [decoder(z[k]) for k, decoder in enumerate(model.decoders)]
    weights = [output[:, -1].exp() for output in outputs]
    masks = torch.stack([weight / sum(weights) for weight in weights], 1)
    return torch.stack([1 / (1 + (-output[:, :-1]).exp()) for output in outputs], 1), masks


def log_normal(value: Tensor, loc: Tensor, scale: float) -> Tensor:
    """Log N(value; loc, scale^2), elementwise."""
    return -((value - loc) ** 2) / (2 * scale**2) - math.log(scale * math.sqrt(2 * math.pi))
