"""A data set that is drawn once."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from pyrodis.datasets import FlatScenes, KeptClips, Scenes


class Counting:
    """Two gray frames a clip, and how often each was drawn."""

    checksum, name = "of the whole", "counting"

    def __init__(self, scale: float = 1.0) -> None:
        self.drawn: list[int] = []
        self.scale = scale

    def __len__(self) -> int:
        return 5

    def __getitems__(self, indices: list[int]) -> list[dict[str, Any]]:
        self.drawn += indices
        return [{"x": torch.full((2, 1, 4, 4), i / 7 * self.scale), "factors": torch.tensor([i])} for i in indices]


def test_a_clip_is_drawn_once_and_always_the_same() -> None:
    whole = Counting()
    kept = KeptClips(whole)
    first = kept.__getitems__([3, 1, 3])
    again = kept.__getitems__([1, 4, 3])
    assert sorted(whole.drawn) == [1, 3, 4]
    assert torch.equal(first[1]["x"], again[0]["x"])
    assert torch.equal(first[0]["x"], again[2]["x"])
    assert torch.equal(first[0]["x"], first[2]["x"])
    assert torch.equal(kept[-1]["x"], again[1]["x"])
    assert [int(item["factors"]) for item in again] == [1, 4, 3]


def test_frames_are_rounded_to_bytes_and_may_be_written_to() -> None:
    kept = KeptClips(Counting())
    x = kept[2]["x"]
    assert (x - 2 / 7).abs().max() <= 0.5 / 255 + 1e-7
    assert torch.equal(x, torch.full_like(x, round(2 / 7 * 255) / 255))
    x.zero_()
    assert kept[2]["x"].max() > 0.2


def test_it_stands_for_the_data_set_with_a_checksum_of_its_own() -> None:
    scenes = Scenes(num_images=3, with_masks=True)
    kept = KeptClips(scenes)
    assert (kept.frame_shape, kept.types, kept.split) == ((3, 64, 64), scenes.types, "train")
    assert kept.checksum != scenes.checksum
    assert kept.checksum == KeptClips(Scenes(num_images=3)).checksum
    assert torch.equal(kept[1]["masks"], scenes[1]["masks"])
    assert (kept[1]["x"] - scenes[1]["x"]).abs().max() <= 0.5 / 255 + 1e-6
    assert torch.equal(copy.deepcopy(kept)[1]["x"], kept[1]["x"])


@pytest.mark.parametrize("index", [5, -6])
def test_refuses_clips_beyond_either_end(index: int) -> None:
    with pytest.raises(IndexError):
        KeptClips(Counting())[index]


def test_refuses_pixels_that_no_byte_holds() -> None:
    with pytest.raises(ValueError, match=r"pixels must lie in \[0, 1\] to be kept as bytes, clip 3 has"):
        KeptClips(Counting(scale=3.0))[3]


def test_has_no_attribute_that_the_data_set_lacks() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = KeptClips(Counting()).nothing


@pytest.mark.parametrize("make", [FlatScenes, Scenes])
def test_what_is_drawn_first_without_autograd_can_be_drawn_on_with_it(make: Any) -> None:
    with torch.inference_mode():
        whole = make(num_images=3)
        kept = KeptClips(whole)
        first = kept[0]["x"].clone()
    assert torch.equal(kept[0]["x"], first)
    weight = torch.ones((), requires_grad=True)
    (kept[1]["x"] * weight).sum().backward()
    assert weight.grad is not None
    assert torch.equal(kept[2]["x"], KeptClips(make(num_images=3))[2]["x"])
