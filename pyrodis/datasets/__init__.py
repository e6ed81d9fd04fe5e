"""Data sets of clips with known factors; items are `{"x": (T, C, H, W), "factors": (F,) or (T, F)}`."""

from pyrodis.datasets.bouncing_box import BouncingBox
from pyrodis.datasets.circle_drawing import CircleScene, circle_masks, published_circle_masks, render_circle
from pyrodis.datasets.circle_on_gaussian import CircleOnGaussian
from pyrodis.datasets.clip_subset import ClipSubset
from pyrodis.datasets.dsprites import DSprites
from pyrodis.datasets.held_out_regions import HeldOutBand, HeldOutCells
from pyrodis.datasets.hold_out import hold_out
from pyrodis.datasets.motion import AtRest, BouncingMotion, GravityMotion, LinearMotion
from pyrodis.datasets.procedural_sprites import ProceduralSprites
from pyrodis.datasets.sprites import Sprites

__all__ = [
    "AtRest",
    "BouncingBox",
    "BouncingMotion",
    "CircleOnGaussian",
    "CircleScene",
    "ClipSubset",
    "DSprites",
    "GravityMotion",
    "HeldOutBand",
    "HeldOutCells",
    "LinearMotion",
    "ProceduralSprites",
    "Sprites",
    "circle_masks",
    "hold_out",
    "published_circle_masks",
    "render_circle",
]
