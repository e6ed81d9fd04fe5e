"""Distributions over whole sequences."""

from pyrodis.distributions.autoregressive_normal import AutoregressiveNormal

__all__ = ["AutoregressiveNormal"]
