"""Generative programs p(x, latents)."""

from pyrodis.models.dsvae import DSVAE
from pyrodis.models.likelihoods import BernoulliPixels, NormalPixels
from pyrodis.models.priors import LSTMPrior, StandardPrior

__all__ = ["DSVAE", "BernoulliPixels", "LSTMPrior", "NormalPixels", "StandardPrior"]
