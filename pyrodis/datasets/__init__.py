"""Data sets of clips with known factors; items are `{"x": (T, C, H, W), "factors": (F,) or (T, F)}`."""

from pyrodis.datasets.bouncing_box import BouncingBox
from pyrodis.datasets.circle_drawing import CircleScene, circle_masks, published_circle_masks, render_circle
from pyrodis.datasets.circle_on_gaussian import CircleOnGaussian
from pyrodis.datasets.clevr_images import CLEVRImages
from pyrodis.datasets.clip_subset import ClipSubset
from pyrodis.datasets.digit_pairs import THESIS_PAIRS, DigitPairs
from pyrodis.datasets.dsprites import DSprites
from pyrodis.datasets.flat_scenes import FLAT_COLORS, FLAT_SHAPES, FlatScenes, flat_shape_masks
from pyrodis.datasets.held_out_regions import HeldOutBand, HeldOutCells
from pyrodis.datasets.hold_out import hold_out
from pyrodis.datasets.image_folder import ImageFolder
from pyrodis.datasets.item_sources import BundledDigits, FashionItems, ItemSource, MixedItems, MNISTItems
from pyrodis.datasets.kept_clips import KeptClips
from pyrodis.datasets.motion import AtRest, BouncingMotion, GravityMotion, LinearMotion
from pyrodis.datasets.moving_digits import MovingDigits
from pyrodis.datasets.moving_mnist import MovingMNIST
from pyrodis.datasets.object_records import CLEVR_WITH_MASKS, MULTI_DSPRITES, ObjectRecords, RecordFormat
from pyrodis.datasets.overlapping_digits import OverlappingDigits
from pyrodis.datasets.present_types import PresentTypes
from pyrodis.datasets.procedural_sprites import ProceduralSprites
from pyrodis.datasets.scene_drawing import SCENE_COLORS, render_scene, scene_masks
from pyrodis.datasets.scenes import Scenes
from pyrodis.datasets.solids import SceneObjects, place_objects
from pyrodis.datasets.sprites import Sprites
from pyrodis.datasets.type_masks import type_masks
from pyrodis.datasets.video_folder import VideoFolder, read_clip

__all__ = [
    "CLEVR_WITH_MASKS",
    "FLAT_COLORS",
    "FLAT_SHAPES",
    "MULTI_DSPRITES",
    "SCENE_COLORS",
    "THESIS_PAIRS",
    "AtRest",
    "BouncingBox",
    "BouncingMotion",
    "BundledDigits",
    "CLEVRImages",
    "CircleOnGaussian",
    "CircleScene",
    "ClipSubset",
    "DSprites",
    "DigitPairs",
    "FashionItems",
    "FlatScenes",
    "GravityMotion",
    "HeldOutBand",
    "HeldOutCells",
    "ImageFolder",
    "ItemSource",
    "KeptClips",
    "LinearMotion",
    "MNISTItems",
    "MixedItems",
    "MovingDigits",
    "MovingMNIST",
    "ObjectRecords",
    "OverlappingDigits",
    "PresentTypes",
    "ProceduralSprites",
    "RecordFormat",
    "SceneObjects",
    "Scenes",
    "Sprites",
    "VideoFolder",
    "circle_masks",
    "flat_shape_masks",
    "hold_out",
    "place_objects",
    "published_circle_masks",
    "read_clip",
    "render_circle",
    "render_scene",
    "scene_masks",
    "type_masks",
]
