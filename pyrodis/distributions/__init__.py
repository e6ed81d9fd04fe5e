"""Distributions over whole sequences."""

from pyrodis.distributions.autoregressive_normal import AutoregressiveNormal
from pyrodis.distributions.block_tridiagonal_normal import BlockTridiagonalNormal
from pyrodis.distributions.gauss_markov_normal import GaussMarkovNormal
from pyrodis.distributions.laplace_transition import LaplaceTransition
from pyrodis.distributions.masked_pixels import MaskWeightedNormal, PixelMixture
from pyrodis.distributions.mixture_start import MixtureStart
from pyrodis.distributions.slow_fast_mixture import SlowFastMixture
from pyrodis.distributions.structured_kl import StructuredNormal
from pyrodis.distributions.tanh_normal import TanhNormal
from pyrodis.distributions.truncated_laplace import TruncatedLaplace

__all__ = [
    "AutoregressiveNormal",
    "BlockTridiagonalNormal",
    "GaussMarkovNormal",
    "LaplaceTransition",
    "MaskWeightedNormal",
    "MixtureStart",
    "PixelMixture",
    "SlowFastMixture",
    "StructuredNormal",
    "TanhNormal",
    "TruncatedLaplace",
]
