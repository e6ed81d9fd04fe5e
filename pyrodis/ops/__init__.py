"""Pure tensor functions and small checks that every layer above may use."""

from pyrodis.ops.checks import check_frames, check_frames_shape, check_positive_int, check_positive_number
from pyrodis.ops.parameters import register_parameters
from pyrodis.ops.precision import full_precision, without_autocast

__all__ = [
    "check_frames",
    "check_frames_shape",
    "check_positive_int",
    "check_positive_number",
    "full_precision",
    "register_parameters",
    "without_autocast",
]
