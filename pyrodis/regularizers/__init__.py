"""Regularizers: pure functions from tensors to one value per datum, 0 or more unless they say otherwise."""

from pyrodis.regularizers.contrastive import info_nce
from pyrodis.regularizers.dependence import mutual_information
from pyrodis.regularizers.dynamics import temporal_difference

__all__ = ["info_nce", "mutual_information", "temporal_difference"]
