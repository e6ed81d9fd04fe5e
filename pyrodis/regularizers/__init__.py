"""Regularizers: pure functions from tensors to one non-negative value per datum."""

from pyrodis.regularizers.dynamics import temporal_difference

__all__ = ["temporal_difference"]
