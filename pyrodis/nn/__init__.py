"""Networks, and views of frames: tensors in and tensors out; no probabilistic programming here."""

from pyrodis.nn.broadcast_decoder import BroadcastDecoder
from pyrodis.nn.color_views import RandomGray, RandomTones, Silhouette
from pyrodis.nn.conv import ConvDecoder, ConvEncoder
from pyrodis.nn.detail_views import Downsample, GaussianBlur
from pyrodis.nn.discriminator import FrameDiscriminator
from pyrodis.nn.frame_readers import EveryFrame, MeanFrames, OneFrame, OtherFrame, ProductFrames
from pyrodis.nn.frame_views import FrameShuffle, MedianFrame, Motion, SingleFrame, SubsetFrames
from pyrodis.nn.glimpses import Glimpses
from pyrodis.nn.grid import GridDecoder, GridEncoder, GridLocScale
from pyrodis.nn.heads import LocScale, NormalizedHead
from pyrodis.nn.hide_frames import HideFrames, visible_frames
from pyrodis.nn.parts_decoder import PartsDecoder
from pyrodis.nn.patch_encoder import PatchEncoder
from pyrodis.nn.place_finder import PlaceFinder
from pyrodis.nn.placed_decoder import PlacedDecoder
from pyrodis.nn.pooled import PlaceBlindEncoder, PooledEncoder, UpsampleDecoder
from pyrodis.nn.recurrent import BidirectionalLSTM, MeanReader, RecurrentTransition
from pyrodis.nn.strided import StridedDecoder, StridedEncoder
from pyrodis.nn.subtract_mean import SubtractMean
from pyrodis.nn.views import PatchShuffle, RandomCrop, RandomShift
from pyrodis.nn.windows import UniformDecoder, WindowDecoder, WindowEncoder

__all__ = [
    "BidirectionalLSTM",
    "BroadcastDecoder",
    "ConvDecoder",
    "ConvEncoder",
    "Downsample",
    "EveryFrame",
    "FrameDiscriminator",
    "FrameShuffle",
    "GaussianBlur",
    "Glimpses",
    "GridDecoder",
    "GridEncoder",
    "GridLocScale",
    "HideFrames",
    "LocScale",
    "MeanFrames",
    "MeanReader",
    "MedianFrame",
    "Motion",
    "NormalizedHead",
    "OneFrame",
    "OtherFrame",
    "PartsDecoder",
    "PatchEncoder",
    "PatchShuffle",
    "PlaceBlindEncoder",
    "PlaceFinder",
    "PlacedDecoder",
    "PooledEncoder",
    "ProductFrames",
    "RandomCrop",
    "RandomGray",
    "RandomShift",
    "RandomTones",
    "RecurrentTransition",
    "Silhouette",
    "SingleFrame",
    "StridedDecoder",
    "StridedEncoder",
    "SubsetFrames",
    "SubtractMean",
    "UniformDecoder",
    "UpsampleDecoder",
    "WindowDecoder",
    "WindowEncoder",
    "visible_frames",
]
