"""Networks, tensors in and tensors out; no probabilistic programming here."""

from pyrodis.nn.conv import ConvDecoder, ConvEncoder
from pyrodis.nn.heads import LocScale
from pyrodis.nn.recurrent import BidirectionalLSTM, RecurrentTransition

__all__ = ["BidirectionalLSTM", "ConvDecoder", "ConvEncoder", "LocScale", "RecurrentTransition"]
