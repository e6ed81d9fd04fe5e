"""Generative programs p(x, latents)."""

from pyrodis.models.beta_vae import BetaVAE
from pyrodis.models.dsvae import DSVAE
from pyrodis.models.likelihoods import BernoulliPixels, NormalPixels
from pyrodis.models.linear_gaussian import LinearGaussianSequence
from pyrodis.models.priors import LSTMPrior, MixtureStartPrior, StandardPrior
from pyrodis.models.stationary_prior import StationaryPrior

__all__ = [
    "DSVAE",
    "BernoulliPixels",
    "BetaVAE",
    "LSTMPrior",
    "LinearGaussianSequence",
    "MixtureStartPrior",
    "NormalPixels",
    "StandardPrior",
    "StationaryPrior",
]
