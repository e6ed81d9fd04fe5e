"""Inference programs q(latents | x): each file is one factorization."""

from pyrodis.guides.factorized_guide import FactorizedGuide
from pyrodis.guides.framewise_guide import FramewiseGuide
from pyrodis.guides.full_guide import FullGuide
from pyrodis.guides.mean_field_guide import MeanFieldGuide
from pyrodis.guides.smoothing_guide import SmoothingGuide

__all__ = ["FactorizedGuide", "FramewiseGuide", "FullGuide", "MeanFieldGuide", "SmoothingGuide"]
