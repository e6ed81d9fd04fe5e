"""Pictures of arrays: matplotlib axes out, drawn where the caller says; files are written by the caller, GIFs excepted.

Matplotlib and Pillow are imported when a picture is drawn, not with this package. Colors are told apart by
color-blind readers as well.
"""

from pyrodis.metrics.score_table import score_table
from pyrodis.plotting.checks import guide_comparison, latent_kl_map, rank_histogram
from pyrodis.plotting.eigenvalues import eigenvalue_histogram
from pyrodis.plotting.factorization_graph import factorization_graph
from pyrodis.plotting.frame_grid import frame_grid, swap_grid
from pyrodis.plotting.maps import error_by_distance, position_map, worst_and_best
from pyrodis.plotting.mask_panel import mask_panel
from pyrodis.plotting.matrices import correlation_matrix
from pyrodis.plotting.posterior import posterior_over_time, time_covariance
from pyrodis.plotting.save_gif import save_gif
from pyrodis.plotting.scores import guide_table, two_sided_bars
from pyrodis.plotting.sweeps import factor_sweep, sweep_curve, sweep_map
from pyrodis.plotting.training_curves import training_curves
from pyrodis.plotting.traversal_grid import traversal_film, traversal_grid

__all__ = [
    "correlation_matrix",
    "eigenvalue_histogram",
    "error_by_distance",
    "factor_sweep",
    "factorization_graph",
    "frame_grid",
    "guide_comparison",
    "guide_table",
    "latent_kl_map",
    "mask_panel",
    "position_map",
    "posterior_over_time",
    "rank_histogram",
    "save_gif",
    "score_table",
    "swap_grid",
    "sweep_curve",
    "sweep_map",
    "time_covariance",
    "training_curves",
    "traversal_film",
    "traversal_grid",
    "two_sided_bars",
    "worst_and_best",
]
