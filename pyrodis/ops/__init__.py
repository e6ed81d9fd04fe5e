"""Pure tensor functions and small checks that every layer above may use."""

from pyrodis.ops.allocation import keep_freed_memory
from pyrodis.ops.checks import (
    check_eigenvalue,
    check_frames,
    check_frames_shape,
    check_positive_int,
    check_positive_number,
    check_shown,
)
from pyrodis.ops.components import as_components, check_present, check_single_frames
from pyrodis.ops.eigenvalues import bounded_eigenvalues
from pyrodis.ops.layout import channels_last
from pyrodis.ops.linear_dynamics import chain_precision, contraction, kalman_log_evidence
from pyrodis.ops.matching import match_parts
from pyrodis.ops.parameters import register_parameters
from pyrodis.ops.parts import in_parts
from pyrodis.ops.precision import full_precision, without_autocast
from pyrodis.ops.recurrence import linear_recurrence, matrix_recurrence

__all__ = [
    "as_components",
    "bounded_eigenvalues",
    "chain_precision",
    "channels_last",
    "check_eigenvalue",
    "check_frames",
    "check_frames_shape",
    "check_positive_int",
    "check_positive_number",
    "check_present",
    "check_shown",
    "check_single_frames",
    "contraction",
    "full_precision",
    "in_parts",
    "kalman_log_evidence",
    "keep_freed_memory",
    "linear_recurrence",
    "match_parts",
    "matrix_recurrence",
    "register_parameters",
    "without_autocast",
]
