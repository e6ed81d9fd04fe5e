"""Data sets of clips with known factors; items are `{"x": (T, C, H, W), "factors": (F,) or (T, F)}`."""

from pyrodis.datasets.bouncing_box import BouncingBox
from pyrodis.datasets.circle_drawing import CircleScene, circle_masks, published_circle_masks, render_circle
from pyrodis.datasets.circle_on_gaussian import CircleOnGaussian
from pyrodis.datasets.clip_subset import ClipSubset
from pyrodis.datasets.digit_pairs import THESIS_PAIRS, DigitPairs
from pyrodis.datasets.dsprites import DSprites
from pyrodis.datasets.held_out_regions import HeldOutBand, HeldOutCells
from pyrodis.datasets.hold_out import hold_out
from pyrodis.datasets.item_sources import BundledDigits, FashionItems, ItemSource, MixedItems, MNISTItems
from pyrodis.datasets.motion import AtRest, BouncingMotion, GravityMotion, LinearMotion
from pyrodis.datasets.overlapping_digits import OverlappingDigits
from pyrodis.datasets.procedural_sprites import ProceduralSprites
from pyrodis.datasets.sprites import Sprites
from pyrodis.datasets.type_masks import type_masks

__all__ = [
    "THESIS_PAIRS",
    "AtRest",
    "BouncingBox",
    "BouncingMotion",
    "BundledDigits",
    "CircleOnGaussian",
    "CircleScene",
    "ClipSubset",
    "DSprites",
    "DigitPairs",
    "FashionItems",
    "GravityMotion",
    "HeldOutBand",
    "HeldOutCells",
    "ItemSource",
    "LinearMotion",
    "MNISTItems",
    "MixedItems",
    "OverlappingDigits",
    "ProceduralSprites",
    "Sprites",
    "circle_masks",
    "hold_out",
    "published_circle_masks",
    "render_circle",
    "type_masks",
]
