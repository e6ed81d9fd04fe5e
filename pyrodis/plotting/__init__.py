"""Pictures of arrays: matplotlib axes out, drawn where the caller says; files are written by the caller, GIFs excepted.

Matplotlib and Pillow are imported when a picture is drawn, not with this package. Colors are told apart by
color-blind readers as well.
"""

from pyrodis.plotting.frame_grid import frame_grid, swap_grid
from pyrodis.plotting.save_gif import save_gif
from pyrodis.plotting.scores import guide_table, score_table, two_sided_bars
from pyrodis.plotting.training_curves import training_curves

__all__ = ["frame_grid", "guide_table", "save_gif", "score_table", "swap_grid", "training_curves", "two_sided_bars"]
