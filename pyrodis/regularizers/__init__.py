"""Regularizers: pure functions from tensors to one value per datum, 0 or more unless they say otherwise."""

from pyrodis.regularizers.contrastive import info_nce
from pyrodis.regularizers.dependence import mutual_information, total_correlation
from pyrodis.regularizers.dynamics import (
    identity_deviation,
    increasing_weights,
    linear_prediction_error,
    slowness,
    temporal_difference,
    weighted_slowness,
)
from pyrodis.regularizers.masks import mask_entropy_penalty

__all__ = [
    "identity_deviation",
    "increasing_weights",
    "info_nce",
    "linear_prediction_error",
    "mask_entropy_penalty",
    "mutual_information",
    "slowness",
    "temporal_difference",
    "total_correlation",
    "weighted_slowness",
]
