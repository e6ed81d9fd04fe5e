"""Layered characters: RGBA tiles stacked into clips on demand, exactly as 8-bit alpha compositing gives them."""

from __future__ import annotations

import operator
from typing import Final, final

import numpy as np
import torch
from torch import Tensor

FACTOR_NAMES: Final = ("action", "skin", "bottom", "top", "hair")
FACTOR_SIZES: Final = (9, 6, 6, 6, 6)
SPLITS: Final = ("train", "test", "fit", "validation")

NUM_LAYERS: Final = 4
NUM_VARIANTS: Final = 6
NUM_ACTIONS: Final = 9
NUM_FRAMES: Final = 8
NUM_CHARACTERS: Final = NUM_VARIANTS**NUM_LAYERS

_NUM_TRAIN: Final = 1000
_NUM_FIT: Final = 900
_PERMUTATION_SEED: Final = 423


def split_characters(split: str) -> Tensor:
    """Lists the characters of a split, in the published order.

    The 1,296 characters are shuffled once with `numpy.random.RandomState(423)`; the first 1,000 are for training, the
    rest for tests, so that no test character is seen in training. The training characters divide again into "fit" and
    "validation" for what selects models without looking at tests.

    Args:
        split: "train" (1,000 characters), "test" (296), "fit" (the first 900 of train) or "validation" (its last 100).

    Returns:
        Character numbers, an int64 tensor (num_characters,).

    Raises:
        ValueError: If the split is none of the four.

    Source:
        Li and Mandt, Disentangled Sequential Autoencoder (ICML 2018), for train and test; fit and validation are ours.

    Example:
        >>> split_characters("fit").shape
        torch.Size([900])
    """
    bounds = {
        "train": (0, _NUM_TRAIN),
        "test": (_NUM_TRAIN, NUM_CHARACTERS),
        "fit": (0, _NUM_FIT),
        "validation": (_NUM_FIT, _NUM_TRAIN),
    }
    if split not in bounds:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}; choose one of them")
    start, stop = bounds[split]
    order = np.random.RandomState(_PERMUTATION_SEED).permutation(NUM_CHARACTERS)
    return torch.from_numpy(order.astype(np.int64))[start:stop]


def character_variants(characters: Tensor) -> Tensor:
    """Reads a character's number as its four layer variants.

    The number is written in base 6, character = 216 body + 36 bottom + 6 top + hair.

    Args:
        characters: Integers in [0, 1296).

    Shape:
        characters (B,) to (B, 4).

    Returns:
        The variants of body, bottom, top and hair, each in [0, 6).

    Example:
        >>> character_variants(torch.tensor([0, 1295, 217]))
        tensor([[0, 0, 0, 0],
                [5, 5, 5, 5],
                [1, 0, 0, 1]])
    """
    powers = torch.tensor([216, 36, 6, 1], device=characters.device)
    return characters.unsqueeze(-1).div(powers, rounding_mode="floor") % NUM_VARIANTS


def composite_over_black(layers: list[Tensor]) -> Tensor:
    """Stacks RGBA layers, bottom to top, over opaque black in 8-bit integers.

    Over an opaque backdrop d, a layer of color s and opacity a gives round((a s + (255 - a) d) / 255), where the
    division by 255 is the usual pair of shifts; the result is opaque again, so the chain needs no alpha of its own.

    Args:
        layers: At least one layer, bottom first; uint8, red, green, blue and alpha last.

    Shape:
        Each (..., H, W, 4) to (..., H, W, 3); leading dimensions broadcast.

    Returns:
        Colors, uint8; equal, pixel for pixel, to a chain of Pillow's `Image.alpha_composite` over opaque black.

    Raises:
        ValueError: If there is no layer, or a layer's last dimension is not 4.
        TypeError: If a layer is not uint8.

    Source:
        Porter and Duff, Compositing digital images (SIGGRAPH 1984), operator "over".

    Example:
        >>> half_red = torch.tensor([[[255, 0, 0, 128]]], dtype=torch.uint8)
        >>> composite_over_black([half_red])
        tensor([[[128,   0,   0]]], dtype=torch.uint8)
    """
    if not layers:
        raise ValueError("layers must hold at least one RGBA layer, got an empty list; pass the bottom layer first")
    for layer in layers:
        _check_rgba("each layer", layer)
    below = torch.zeros_like(layers[0][..., :3])
    for layer in layers:
        below = _blend(layer[..., :3], layer[..., 3:], below)
    return below


@final
class LayeredCharacters:
    """Composites clips of characters that are drawn in layers, many at a time.

    A character picks one variant of each of four layers, body, bottom, top and hair; each variant has one RGBA tile an
    action and frame. A clip stacks the four tiles of each frame, and a fixed top layer if there is one, as
    `composite_over_black` does. Tiles are prepared once: opaque pixels are laid with two bitwise operations a layer,
    and only pixels that are partly transparent are blended.

    Args:
        tiles: Tiles by layer (bottom first), variant, action and frame, uint8 RGBA.
        top: A layer that every character wears above the others, uint8 RGBA; None for none.

    Shape:
        tiles (4, 6, 9, 8, H, W, 4), top (9, 8, H, W, 4).

    Raises:
        ValueError: If a shape differs.
        TypeError: If tiles or top are not uint8.

    Example:
        >>> tiles = torch.zeros(4, 6, 9, 8, 16, 16, 4, dtype=torch.uint8)
        >>> LayeredCharacters(tiles).frames(torch.tensor([0, 7]), torch.tensor([3, 8])).shape
        torch.Size([2, 8, 3, 16, 16])
    """

    def __init__(self, tiles: Tensor, top: Tensor | None = None) -> None:
        _check_rgba("tiles", tiles)
        leading = (NUM_LAYERS, NUM_VARIANTS, NUM_ACTIONS, NUM_FRAMES)
        if tiles.ndim != 7 or tiles.shape[:4] != leading:
            raise ValueError(
                f"tiles must have shape (4, 6, 9, 8, H, W, 4), got {tuple(tiles.shape)}; "
                "order them by layer, variant, action and frame"
            )
        if top is not None:
            _check_rgba("top", top)
            if top.shape != tiles.shape[2:]:
                raise ValueError(
                    f"top must have the shape of one variant's tiles, {tuple(tiles.shape[2:])}, "
                    f"got {tuple(top.shape)}; give one tile an action and frame"
                )
        self.height, self.width = tiles.shape[4:6]
        # One variant at a time keeps the 32-bit intermediate values small.
        backdrop = torch.stack([composite_over_black([variant]).movedim(-1, -3) for variant in tiles[0]])
        self._backdrop = backdrop.reshape(NUM_VARIANTS * NUM_ACTIONS, NUM_FRAMES, 3, -1)
        self._layers = [_Layer(tiles[layer]) for layer in range(1, NUM_LAYERS)]
        self._top = None if top is None else _Layer(top)

    def frames(self, characters: Tensor, actions: Tensor) -> Tensor:
        """Composites one clip for each pair of a character and an action.

        Args:
            characters: Character numbers in [0, 1296), read in base 6 as by `character_variants`.
            actions: Action numbers in [0, 9).

        Shape:
            characters (B,), actions (B,) to (B, 8, 3, H, W).

        Returns:
            Frames, uint8, channels first.

        Raises:
            ValueError: If the two are not of one length, or a number is out of range.
            TypeError: If either is not an integer tensor.
        """
        _check_numbers("characters", characters, NUM_CHARACTERS)
        _check_numbers("actions", actions, NUM_ACTIONS)
        if characters.shape != actions.shape:
            raise ValueError(
                f"characters and actions must be of one length, got {len(characters)} and {len(actions)}; "
                "pair each character with one action"
            )
        characters, actions = characters.long(), actions.long()
        rows = character_variants(characters) * NUM_ACTIONS + actions.unsqueeze(-1)
        out = self._backdrop.index_select(0, rows[:, 0])
        for layer, row in zip(self._layers, rows[:, 1:].unbind(1), strict=True):
            layer.lay_over_(out, row)
        if self._top is not None:
            self._top.lay_over_(out, actions)
        return out.unflatten(-1, (self.height, self.width))


def clip_items(
    source: LayeredCharacters, characters: Tensor, actions: Tensor, max_value: int
) -> list[dict[str, Tensor]]:
    """Makes data set items, frames with their factors, of pairs of a character and an action.

    Args:
        source: Where the frames come from.
        characters: Character numbers in [0, 1296).
        actions: Action numbers in [0, 9).
        max_value: What the 8-bit frames are divided by, 255 or 256.

    Shape:
        characters (B,), actions (B,) to B items of x (8, 3, H, W) and factors (5,).

    Returns:
        Items {"x": float32 in [0, 1], "factors": int64 in the order of `FACTOR_NAMES`}, views into one batch.

    Raises:
        ValueError: If the two are not of one length, or a number is out of range.

    Example:
        >>> tiles = torch.zeros(4, 6, 9, 8, 16, 16, 4, dtype=torch.uint8)
        >>> clip_items(LayeredCharacters(tiles), torch.tensor([7]), torch.tensor([3]), 255)[0]["factors"]
        tensor([3, 0, 0, 1, 1])
    """
    x = source.frames(characters, actions).float().div_(max_value)
    factors = torch.cat([actions.unsqueeze(-1), character_variants(characters)], dim=-1)
    return [{"x": clip, "factors": labels} for clip, labels in zip(x.unbind(), factors.unbind(), strict=True)]


def clip_factors(characters: Tensor) -> Tensor:
    """Lists the factors of all clips of some characters: nine actions of the first, then of the second, and so on.

    Args:
        characters: Character numbers in [0, 1296).

    Shape:
        characters (B,) to (9 B, 5).

    Returns:
        Factors in the order of `FACTOR_NAMES`, int64.

    Example:
        >>> clip_factors(torch.tensor([7, 0]))[[3, 9]]
        tensor([[3, 0, 0, 1, 1],
                [0, 0, 0, 0, 0]])
    """
    actions = torch.arange(NUM_ACTIONS).repeat(len(characters)).unsqueeze(-1)
    return torch.cat([actions, character_variants(characters).repeat_interleave(NUM_ACTIONS, 0)], dim=-1)


@final
class _Layer:
    """One layer's tiles, split into opaque pixels (bit masks) and the few partly transparent ones (lists).

    Clips are rows: row = 9 variant + action. Rows are fetched with `index_select`, which copies whole blocks and is ten
    times as fast here as indexing with two tensors.

    Args:
        tiles: (..., 9, 8, H, W, 4), uint8 RGBA.
    """

    def __init__(self, tiles: Tensor) -> None:
        tiles = tiles.reshape(-1, *tiles.shape[-4:])
        alpha = tiles[..., 3].flatten(-2).unsqueeze(-2)
        color = tiles[..., :3].movedim(-1, -3).flatten(-2)
        self._color = color.where(alpha == 255, 0)
        self._keep = torch.full_like(alpha, 255).where(alpha != 255, 0)
        partial = (alpha > 0) & (alpha < 255)
        self._num_partial = int(partial.sum(-1).max()) if partial.numel() else 0
        if self._num_partial:
            # Shorter lists are filled up with clear or opaque pixels, which blending lays just as right.
            pixels = partial.byte().topk(self._num_partial, dim=-1).indices
            self._pixels = pixels.int()
            self._opacity = alpha.gather(-1, pixels)
            self._partial_color = color.gather(-1, pixels.expand(*color.shape[:-1], -1))

    def lay_over_(self, out: Tensor, rows: Tensor) -> None:
        """Lays the layer over frames (B, 8, 3, H W) in place."""
        out.bitwise_and_(self._keep.index_select(0, rows)).bitwise_or_(self._color.index_select(0, rows))
        if not self._num_partial:
            return
        color, opacity = self._partial_color.index_select(0, rows), self._opacity.index_select(0, rows)
        pixels = self._pixels.index_select(0, rows).long().expand_as(color)
        out.scatter_(-1, pixels, _blend(color, opacity, out.gather(-1, pixels)))


def _blend(color: Tensor, alpha: Tensor, below: Tensor) -> Tensor:
    """Blends uint8 colors over an opaque backdrop, rounding a division by 255 with shifts."""
    alpha = alpha.int()
    total = alpha * color.int() + (255 - alpha) * below.int() + 128
    return (((total >> 8) + total) >> 8).to(torch.uint8)


def _check_rgba(name: str, pixels: Tensor) -> None:
    """Raises unless pixels are uint8 with four channels last."""
    if pixels.dtype != torch.uint8:
        raise TypeError(f"{name} must be uint8, got {pixels.dtype}; scale it to 0..255 and convert it")
    if pixels.ndim < 3 or pixels.shape[-1] != 4:
        raise ValueError(f"{name} must have shape (..., H, W, 4), got {tuple(pixels.shape)}; put RGBA last")


def _check_numbers(name: str, numbers: Tensor, size: int) -> None:
    """Raises unless numbers is an integer vector with values in [0, size)."""
    if numbers.is_floating_point() or numbers.is_complex() or numbers.dtype == torch.bool:
        raise TypeError(f"{name} must be an integer tensor, got {numbers.dtype}; convert it with .long()")
    if numbers.ndim != 1:
        raise ValueError(f"{name} must have shape (B,), got {tuple(numbers.shape)}; flatten it")
    if numbers.numel() and not 0 <= int(numbers.min()) <= int(numbers.max()) < size:
        raise ValueError(
            f"{name} must lie in [0, {size}), got values from {int(numbers.min())} to {int(numbers.max())}; "
            "leave out those beyond"
        )


def wrap_index(index: int, length: int) -> int:
    """Counts a negative index from the end, as Python's sequences do.

    Args:
        index: what was asked for.
        length: number of items.

    Returns:
        The index from the start, in [0, length).

    Raises:
        TypeError: no whole number.
        IndexError: beyond either end.

    Example:
        >>> wrap_index(-1, 10)
        9
    """
    try:
        position = operator.index(index)
    except TypeError as error:
        raise TypeError(f"index must be a whole number, got {index!r}; ask for one clip at a time") from error
    if not -length <= position < length:
        raise IndexError(f"index must lie in [-{length}, {length}), got {position}; the data set has {length} clips")
    return position % length
