"""Compositing against Pillow, and the splits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pyrodis.datasets.compositor import (
    LayeredCharacters,
    character_variants,
    clip_items,
    composite_over_black,
    split_characters,
)


def pillow_over_black(layers: list[Tensor]) -> Tensor:
    """The reference: Pillow's own chain, for layers (H, W, 4)."""
    height, width, _ = layers[0].shape
    image = Image.new("RGBA", (width, height), "black")
    for layer in layers:
        image = Image.alpha_composite(image, Image.fromarray(layer.numpy()))
    return torch.from_numpy(np.array(image))[..., :3]


def random_tiles(*leading: int, size: int = 12, seed: int = 0) -> Tensor:
    """RGBA with a third each of clear, opaque and partly transparent pixels, and colors under the clear ones too."""
    generator = torch.Generator().manual_seed(seed)
    tiles = torch.randint(0, 256, (*leading, size, size, 4), dtype=torch.uint8, generator=generator)
    kind = torch.randint(0, 3, tiles.shape[:-1], generator=generator)
    tiles[..., 3] = torch.where(kind == 0, 0, torch.where(kind == 1, 255, tiles[..., 3]))
    return tiles


@pytest.fixture(scope="module")
def tiles() -> Tensor:
    return random_tiles(4, 6, 9, 8)


@pytest.fixture(scope="module")
def top() -> Tensor:
    return random_tiles(9, 8, seed=1)


def test_every_color_opacity_and_backdrop_as_pillow() -> None:
    color, below = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    opaque = torch.stack([below] * 3 + [torch.full_like(below, 255)], -1).byte()
    for alpha in (0, 1, 83, 128, 230, 253, 254, 255):
        layer = torch.stack([color] * 3 + [torch.full_like(color, alpha)], -1).byte()
        assert torch.equal(composite_over_black([opaque, layer]), pillow_over_black([opaque, layer]))


def test_chain_of_random_layers_as_pillow() -> None:
    layers = list(random_tiles(5, size=64))
    assert torch.equal(composite_over_black(layers), pillow_over_black(layers))


def test_order_of_layers_matters() -> None:
    lower, upper = random_tiles(2, size=16)
    assert not torch.equal(composite_over_black([lower, upper]), composite_over_black([upper, lower]))


@pytest.mark.parametrize("with_top", [False, True])
def test_frames_as_pillow(tiles: Tensor, top: Tensor, with_top: bool) -> None:
    characters, actions = torch.tensor([0, 1295, 217, 733, 733]), torch.tensor([0, 8, 3, 5, 5])
    frames = LayeredCharacters(tiles, top if with_top else None).frames(characters, actions)
    assert frames.shape == (5, 8, 3, 12, 12)
    assert frames.dtype == torch.uint8
    for clip, character, action in zip(frames, characters.tolist(), actions.tolist(), strict=True):
        picked = [character // 216, character // 36 % 6, character // 6 % 6, character % 6]
        for frame in range(8):
            layers = [tiles[layer, variant, action, frame] for layer, variant in enumerate(picked)]
            layers += [top[action, frame]] if with_top else []
            assert torch.equal(clip[frame].permute(1, 2, 0), pillow_over_black(layers))


def test_layers_without_partial_pixels(tiles: Tensor) -> None:
    hard = tiles.clone()
    hard[..., 3] = torch.where(hard[..., 3] > 127, 255, 0).byte()
    frames = LayeredCharacters(hard).frames(torch.tensor([600]), torch.tensor([2]))
    layers = [hard[layer, variant, 2] for layer, variant in enumerate(character_variants(torch.tensor(600)).tolist())]
    assert torch.equal(frames[0], composite_over_black(layers).movedim(-1, -3))


def test_tiles_may_change_afterwards(tiles: Tensor) -> None:
    own = tiles.clone()
    source = LayeredCharacters(own)
    before = source.frames(torch.tensor([5]), torch.tensor([5]))
    own.zero_()
    assert torch.equal(source.frames(torch.tensor([5]), torch.tensor([5])), before)
    before.zero_()
    assert source.frames(torch.tensor([5]), torch.tensor([5])).any()


def test_no_clips(tiles: Tensor) -> None:
    none = torch.zeros(0, dtype=torch.long)
    assert LayeredCharacters(tiles).frames(none, none).shape == (0, 8, 3, 12, 12)


def test_items_carry_frames_and_factors(tiles: Tensor) -> None:
    source = LayeredCharacters(tiles)
    characters, actions = torch.tensor([217, 4]), torch.tensor([3, 8])
    first, second = clip_items(source, characters, actions, 256)
    assert first["factors"].tolist() == [3, 1, 0, 0, 1]
    assert second["factors"].tolist() == [8, 0, 0, 0, 4]
    assert second["x"].dtype == torch.float32
    assert torch.equal(second["x"] * 256, source.frames(characters, actions)[1].float())


def test_variants_are_digits_in_base_six() -> None:
    variants = character_variants(torch.arange(1296))
    assert torch.equal(variants @ torch.tensor([216, 36, 6, 1]), torch.arange(1296))
    assert variants.min() == 0
    assert variants.max() == 5


def test_splits_are_disjoint_and_published() -> None:
    train, test, fit, validation = (split_characters(name) for name in ("train", "test", "fit", "validation"))
    assert [len(part) for part in (train, test, fit, validation)] == [1000, 296, 900, 100]
    assert torch.equal(torch.cat([fit, validation]), train)
    assert torch.equal(torch.cat([train, test]).sort().values, torch.arange(1296))
    # The first and last of numpy.random.RandomState(423).permutation(1296).
    assert train[:4].tolist() == [1116, 1135, 17, 469]
    assert test[-2:].tolist() == [56, 1262]


def test_bad_input(tiles: Tensor, top: Tensor) -> None:
    source = LayeredCharacters(tiles)
    one = torch.tensor([0])
    with pytest.raises(ValueError, match="split must be one of train, test, fit, validation, got 'val'"):
        split_characters("val")
    with pytest.raises(ValueError, match="at least one RGBA layer"):
        composite_over_black([])
    with pytest.raises(TypeError, match=r"must be uint8, got torch\.float32"):
        composite_over_black([top.float()])
    with pytest.raises(ValueError, match=r"shape \(\.\.\., H, W, 4\), got \(9, 8, 12, 12, 3\)"):
        composite_over_black([top[..., :3]])
    with pytest.raises(
        ValueError, match=r"tiles must have shape \(4, 6, 9, 8, H, W, 4\), got \(4, 5, 9, 8, 12, 12, 4\)"
    ):
        LayeredCharacters(tiles[:, :5])
    with pytest.raises(ValueError, match=r"top must have .* got \(8, 8, 12, 12, 4\)"):
        LayeredCharacters(tiles, top[:8])
    with pytest.raises(ValueError, match=r"characters must lie in \[0, 1296\), got values from 1296 to 1296"):
        source.frames(torch.tensor([1296]), one)
    with pytest.raises(ValueError, match=r"actions must lie in \[0, 9\), got values from -1 to -1"):
        source.frames(one, torch.tensor([-1]))
    with pytest.raises(TypeError, match=r"characters must be an integer tensor, got torch\.float32"):
        source.frames(one.float(), one)
    with pytest.raises(ValueError, match=r"actions must have shape \(B,\), got \(1, 1\)"):
        source.frames(one, one.unsqueeze(0))
    with pytest.raises(ValueError, match="must be of one length, got 1 and 2"):
        source.frames(one, torch.tensor([0, 1]))
