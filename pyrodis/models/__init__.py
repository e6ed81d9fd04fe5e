"""Generative programs p(x, latents)."""

from pyrodis.models.beta_vae import BetaVAE
from pyrodis.models.component_likelihoods import MaskedNormal, MixturePixels
from pyrodis.models.delayed_vae import DelayedVAE
from pyrodis.models.dsvae import DSVAE
from pyrodis.models.dynamics_prior import DynamicsPrior, LinearDynamicsPrior
from pyrodis.models.eigenvalue_priors import LaplaceEigenvalues, SlowFastEigenvalues
from pyrodis.models.eigenvalue_vae import EigenvalueVAE
from pyrodis.models.laplace_prior import LaplacePrior
from pyrodis.models.likelihoods import BernoulliPixels, NormalPixels
from pyrodis.models.linear_gaussian import LinearGaussianSequence
from pyrodis.models.linear_gaussian_dynamics import LinearGaussianDynamics
from pyrodis.models.parallel_vae import ParallelVAE
from pyrodis.models.priors import LSTMPrior, MixtureStartPrior, StandardPrior
from pyrodis.models.stationary_prior import StationaryPrior
from pyrodis.models.what_where import AddCodes, ConcatenateCodes, WhatWhereVAE

__all__ = [
    "DSVAE",
    "AddCodes",
    "BernoulliPixels",
    "BetaVAE",
    "ConcatenateCodes",
    "DelayedVAE",
    "DynamicsPrior",
    "EigenvalueVAE",
    "LSTMPrior",
    "LaplaceEigenvalues",
    "LaplacePrior",
    "LinearDynamicsPrior",
    "LinearGaussianDynamics",
    "LinearGaussianSequence",
    "MaskedNormal",
    "MixturePixels",
    "MixtureStartPrior",
    "NormalPixels",
    "ParallelVAE",
    "SlowFastEigenvalues",
    "StandardPrior",
    "StationaryPrior",
    "WhatWhereVAE",
]
