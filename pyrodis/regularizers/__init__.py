"""Regularizers: pure functions from tensors to one value per datum, 0 or more unless they say otherwise."""

from pyrodis.regularizers.agreement import barlow_twins, inertial_loss, mixing_weight, pixel_error
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
from pyrodis.regularizers.masks import claim_penalty, mask_entropy_penalty, silence_penalty

__all__ = [
    "barlow_twins",
    "claim_penalty",
    "identity_deviation",
    "increasing_weights",
    "inertial_loss",
    "info_nce",
    "linear_prediction_error",
    "mask_entropy_penalty",
    "mixing_weight",
    "mutual_information",
    "pixel_error",
    "silence_penalty",
    "slowness",
    "temporal_difference",
    "total_correlation",
    "weighted_slowness",
]
