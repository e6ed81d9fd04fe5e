"""Inference programs q(latents | x): each file is one factorization."""

from pyrodis.guides.delta_guide import DeltaGuide
from pyrodis.guides.eigenvalue_guide import EigenvalueGuide
from pyrodis.guides.factorization import Factorization
from pyrodis.guides.factorized_guide import FactorizedGuide
from pyrodis.guides.framewise_guide import FramewiseGuide
from pyrodis.guides.full_guide import FullGuide
from pyrodis.guides.grid_guide import GridGuide
from pyrodis.guides.inertial_guide import InertialGuide
from pyrodis.guides.information_guide import InformationGuide
from pyrodis.guides.mean_field_guide import MeanFieldGuide
from pyrodis.guides.parallel_guide import ParallelGuide
from pyrodis.guides.residual_guide import ResidualGuide
from pyrodis.guides.smoothing_guide import SmoothingGuide
from pyrodis.guides.structured_guide import StructuredGuide
from pyrodis.guides.transitions import BasisTransition, DenseTransition, DiagonalTransition, RotationTransition
from pyrodis.guides.what_then_where_guide import WhatThenWhereGuide
from pyrodis.guides.what_where_guide import DeltaWhatWhereGuide, WhatWhereGuide
from pyrodis.guides.where_then_what_guide import WhereThenWhatGuide

__all__ = [
    "BasisTransition",
    "DeltaGuide",
    "DeltaWhatWhereGuide",
    "DenseTransition",
    "DiagonalTransition",
    "EigenvalueGuide",
    "Factorization",
    "FactorizedGuide",
    "FramewiseGuide",
    "FullGuide",
    "GridGuide",
    "InertialGuide",
    "InformationGuide",
    "MeanFieldGuide",
    "ParallelGuide",
    "ResidualGuide",
    "RotationTransition",
    "SmoothingGuide",
    "StructuredGuide",
    "WhatThenWhereGuide",
    "WhatWhereGuide",
    "WhereThenWhatGuide",
]
