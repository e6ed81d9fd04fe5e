"""Distributions over whole sequences."""

from pyrodis.distributions.autoregressive_normal import AutoregressiveNormal
from pyrodis.distributions.mixture_start import MixtureStart

__all__ = ["AutoregressiveNormal", "MixtureStart"]
