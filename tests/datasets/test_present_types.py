"""Labels of whole images."""

from __future__ import annotations

import pytest
import torch

from pyrodis.datasets import ClipSubset, DigitPairs, FlatScenes, KeptClips, PresentTypes, ProceduralSprites


def test_says_which_types_are_there() -> None:
    pairs = DigitPairs(pairs=((None, None), (0, 0), (1, None), (3, 1), (2, 9)), num_images=5)
    labels = [item["present"].int().tolist() for item in PresentTypes(pairs, 4).__getitems__([*range(5)])]
    assert labels == [[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0]]
    assert PresentTypes(pairs)[4]["present"].int().tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 0, 1]


def test_leaves_all_else_as_it_is() -> None:
    scenes = FlatScenes(num_images=4)
    data = PresentTypes(KeptClips(scenes))
    assert (len(data), data.name, data.frame_shape, data.num_types) == (4, scenes.name, scenes.frame_shape, 3)
    item = data[2]
    assert torch.equal(item["factors"], scenes[2]["factors"])
    assert set(item) == {"present", *scenes[2]}


def test_labels_some_images_of_a_data_set() -> None:
    pairs = DigitPairs(pairs=((None, None), (0, 0), (1, None)), num_images=3)
    data = PresentTypes(KeptClips(ClipSubset(pairs, [2, 1])), 2)
    assert [data[i]["present"].tolist() for i in range(2)] == [[False, True], [True, False]]


def test_bad_input() -> None:
    with pytest.raises(TypeError, match=r"dataset must be one of items with types, .* got ProceduralSprites"):
        PresentTypes(ProceduralSprites(split="test"))
    with pytest.raises(ValueError, match="num_types must be from 1 to the data set's 3, got 4"):
        PresentTypes(FlatScenes(num_images=4), 4)
    with pytest.raises(TypeError, match="num_types must be a positive whole number, got '2'"):
        PresentTypes(FlatScenes(num_images=4), "2")  # type: ignore[arg-type]
