"""The factor of what, which guides of what and where share: its reader, and what it declares to read."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from pyrodis.guides.factorization import Factorization, named
from pyrodis.nn import EveryFrame, MeanFrames, OtherFrame


def check_other(name: str, module: nn.Module, what_encoder: nn.Module) -> nn.Module:
    """Return what encodes where if it is not the encoder of what.

    Args:
        name: Name of the argument, for the message.
        module: What encodes where.
        what_encoder: What encodes what.

    Returns:
        The module, unchanged.

    Raises:
        ValueError: If both are one.

    Example:
        >>> check_other("where_encoder", nn.Identity(), nn.Identity())
        Identity()
    """
    if module is what_encoder:
        raise ValueError(f"{name} must be another module than what_encoder, got one and the same; build two")
    return module


def check_reader(reader: Any) -> nn.Module:
    """Return the reader of what the frames say.

    Args:
        reader: A module, or None for `MeanFrames`.

    Returns:
        The reader.

    Raises:
        TypeError: If it is neither.

    Example:
        >>> check_reader(None)
        MeanFrames()
    """
    if reader is not None and not isinstance(reader, nn.Module):
        raise TypeError(f"what_reader must be a module such as MeanFrames() or None, got {reader!r}")
    return MeanFrames() if reader is None else reader


def read_what(reader: nn.Module, loc: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what the reader makes of what every frame says.

    Args:
        reader: Maps loc and scale of every frame to those of what.
        loc: What every frame says.
        scale: How sure it is.

    Shape:
        loc, scale: (B, T, S).

    Returns:
        loc and scale, (B, S) for one code a clip or (B, T, S) for one a frame.

    Raises:
        ValueError: If the reader returns other shapes.

    Example:
        >>> read_what(MeanFrames(), torch.zeros(2, 5, 3), torch.ones(2, 5, 3))[0].shape
        torch.Size([2, 3])
    """
    read_loc, read_scale = reader(loc, scale)
    num_clips, num_frames, dim = loc.shape
    allowed = ((num_clips, dim), (num_clips, num_frames, dim))
    if read_loc.shape != read_scale.shape or tuple(read_loc.shape) not in allowed:
        raise ValueError(
            f"what_reader must return loc and scale of shape (B, S) or (B, T, S), one of {allowed}, "
            f"got {tuple(read_loc.shape)} and {tuple(read_scale.shape)}"
        )
    return read_loc, read_scale


def what_factorization(reader: nn.Module, num_frames: int, given_what: bool = False) -> Factorization:
    """Return what the factors of what and where read: what as its reader says, where its frame.

    A reader that pyrodis does not know is taken to make one code of all frames.

    Args:
        reader: The reader of what.
        num_frames: T.
        given_what: Whether where reads what, too.

    Returns:
        Name of a code to the names of what its parameters depend on.

    Example:
        >>> what_factorization(EveryFrame(), 1, given_what=True)
        {'what_1': ('x_1',), 'where_1': ('what_1', 'x_1')}
    """
    x = named("x", num_frames)
    what: Factorization = {"what": x}
    if isinstance(reader, EveryFrame | OtherFrame):
        seen = [x] * num_frames if isinstance(reader, OtherFrame) else [(frame,) for frame in x]
        what = dict(zip(named("what", num_frames), seen))
    codes = [*what] * (num_frames if len(what) < num_frames else 1)
    where = {
        name: (code, frame) if given_what else (frame,)
        for name, code, frame in zip(named("where", num_frames), codes, x)
    }
    return what | where
