"""Data sets of clips with known factors: torch `Dataset`s whose items are `{"x": (T, C, H, W), "factors": (F,)}`."""

from pyrodis.datasets.clip_subset import ClipSubset
from pyrodis.datasets.hold_out import hold_out
from pyrodis.datasets.procedural_sprites import ProceduralSprites
from pyrodis.datasets.sprites import Sprites

__all__ = ["ClipSubset", "ProceduralSprites", "Sprites", "hold_out"]
