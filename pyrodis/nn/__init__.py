"""Networks, and views of frames: tensors in and tensors out; no probabilistic programming here."""

from pyrodis.nn.conv import ConvDecoder, ConvEncoder
from pyrodis.nn.heads import LocScale
from pyrodis.nn.recurrent import BidirectionalLSTM, RecurrentTransition
from pyrodis.nn.views import (
    Downsample,
    FrameShuffle,
    GaussianBlur,
    PatchShuffle,
    RandomGrey,
    RandomShift,
    RandomTones,
    Silhouette,
    SingleFrame,
)

__all__ = [
    "BidirectionalLSTM",
    "ConvDecoder",
    "ConvEncoder",
    "Downsample",
    "FrameShuffle",
    "GaussianBlur",
    "LocScale",
    "PatchShuffle",
    "RandomGrey",
    "RandomShift",
    "RandomTones",
    "RecurrentTransition",
    "Silhouette",
    "SingleFrame",
]
