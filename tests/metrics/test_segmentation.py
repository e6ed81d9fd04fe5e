"""Masks against masks: equal to scikit-learn, known by hand, blind to names, and bad input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score, jaccard_score

from pyrodis.metrics import adjusted_rand_index, adjusted_rand_index_by_scene, mask_iou, owner_accuracy


def one_hot(labels: np.ndarray, num: int) -> np.ndarray:
    """Masks (N, num, H, W) of labels (N, H, W)."""
    return np.stack([labels == number for number in range(num)], axis=1)


def scenes(num: int = 20, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random labels (N, 8, 8), 3 being the background, and masks (N, 3, 8, 8) that agree with them in part."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(4, size=(num, 8, 8))
    masks = generator.random((num, 3, 8, 8)) + 0.5 * one_hot(labels, 3)
    return labels, masks / masks.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("foreground", [True, False])
def test_the_index_of_each_scene_is_that_of_scikit_learn(foreground: bool) -> None:
    labels, masks = scenes()
    values = adjusted_rand_index_by_scene(one_hot(labels, 4), torch.as_tensor(masks), foreground=foreground)
    for value, label, mask in zip(values, labels, masks, strict=True):
        counted = label < 3 if foreground else label < 4
        assert value == pytest.approx(adjusted_rand_score(label[counted], mask.argmax(axis=0)[counted]))
    score = adjusted_rand_index(one_hot(labels, 4), masks, foreground=foreground)
    assert score.value == pytest.approx(values.mean())
    assert (score.chance, score.ceiling, score.num) == (0.0, 1.0, 20)


def test_names_of_groups_and_components_do_not_matter() -> None:
    labels, masks = scenes()
    truth = one_hot(labels, 4)
    expected = adjusted_rand_index_by_scene(truth, masks)
    assert adjusted_rand_index_by_scene(truth[:, [2, 0, 1, 3]], masks) == pytest.approx(expected)
    assert adjusted_rand_index_by_scene(truth, masks[:, [1, 2, 0]]) == pytest.approx(expected)
    assert adjusted_rand_index(truth, truth[:, [1, 2, 0]]).value == 1.0


def test_a_rand_index_by_hand() -> None:
    truth = one_hot(np.array([[[0, 0, 0, 1, 1, 1]]]), 3)
    masks = one_hot(np.array([[[0, 0, 1, 1, 2, 2]]]), 3)
    # 2 of 15 pairs together in both, 6 in truth, 3 in masks: (2 - 6 * 3 / 15) / ((6 + 3) / 2 - 6 * 3 / 15)
    assert adjusted_rand_index(truth, masks).value == pytest.approx((2 - 1.2) / (4.5 - 1.2))


def test_one_component_for_everything_scores_nothing() -> None:
    labels, masks = scenes()
    assert adjusted_rand_index(one_hot(labels, 4), masks[:, :1]).value == 0.0


def test_scenes_of_one_group_are_left_out_unless_asked_for() -> None:
    labels = np.array([[[0, 0, 2, 2]], [[0, 0, 1, 2]], [[2, 2, 2, 2]]])
    masks = one_hot(np.array([[[0, 1, 1, 1]], [[0, 0, 1, 1]], [[0, 0, 0, 0]]]), 2)
    values = adjusted_rand_index_by_scene(one_hot(labels, 3), masks)
    assert values[1] == 1.0
    assert np.isnan(values[[0, 2]]).all()
    assert adjusted_rand_index(one_hot(labels, 3), masks).num == 1
    with_one = adjusted_rand_index_by_scene(one_hot(labels, 3), masks, min_groups=1)
    assert with_one[:2].tolist() == [adjusted_rand_score([0, 0], [0, 1]), 1.0]
    assert np.isnan(with_one[2])  # an empty foreground has no index
    with pytest.raises(ValueError, match="must hold scenes of at least 2 groups, got none"):
        adjusted_rand_index(one_hot(labels[:1], 3), masks[:1])


def test_overlap_is_that_of_scikit_learn() -> None:
    labels, masks = scenes()
    scores = mask_iou(one_hot(labels, 4), masks, ("a", "b", "c"), foreground=False)
    owned = masks.argmax(axis=1)
    for number, name in enumerate(("a", "b", "c")):
        expected = [
            jaccard_score((x == number).ravel(), (y == number).ravel()) for x, y in zip(labels, owned, strict=True)
        ]
        assert scores[name].value == pytest.approx(np.mean(expected))


def test_overlap_by_hand_where_a_type_is_there() -> None:
    truth = one_hot(np.array([[[0, 0, 1, 2]], [[1, 1, 2, 2]]]), 3)
    masks = one_hot(np.array([[[0, 1, 1, 0]], [[1, 1, 0, 1]]]), 2)
    scores = mask_iou(truth, masks, ("a", "b"))
    assert {name: (score.value, score.num) for name, score in scores.items()} == {"a": (0.5, 1), "b": (0.75, 2)}
    assert scores["a"].chance == pytest.approx(1 / 2.5)  # of 3 counted pixels 2 are a's: 1 common of 2 + 0.5
    everywhere = mask_iou(truth, masks, ("a", "b"), foreground=False)
    assert {name: score.value for name, score in everywhere.items()} == {
        "a": pytest.approx(1 / 3),
        "b": pytest.approx((1 / 2 + 2 / 3) / 2),
    }


def test_chance_of_overlap_is_that_of_random_owners() -> None:
    labels = scenes(400)[0]
    random = np.random.default_rng(1).random((400, 3, 8, 8))
    for score in mask_iou(one_hot(labels, 4), random, ("a", "b", "c")).values():
        assert score.chance == pytest.approx(score.value, abs=0.02)


def test_owners_by_hand() -> None:
    items = one_hot(np.array([[[0, 0, 1, 2]], [[0, 1, 1, 2]], [[0, 2, 2, 2]]]), 3)
    masks = np.zeros((3, 2, 1, 4))
    masks[:, 0, 0] = [[0.9, 0.2, 0.4, 0.0], [0.9, 0.1, 0.8, 1.0], [0.2, 1.0, 1.0, 1.0]]
    masks[:, 1] = 1 - masks[:, 0]
    # mass of component 0 on the items: 1.1 of 2 and .4 of 1; .9 of 1 and .9 of 2; .2 of 1 and no pixel
    score = owner_accuracy(items, masks, np.array([[0, 1], [0, 0], [1, 0]]))
    assert (score.value, score.num, score.chance) == (0.8, 5, 0.5)
    unseen = owner_accuracy(items, torch.as_tensor(masks), np.array([[0, 7], [-1, 0], [1, 0]]))
    assert (unseen.value, unseen.num) == (pytest.approx(2 / 3), 3)


TRUTH, MASKS = one_hot(scenes(2)[0], 4), scenes(2)[1]
TYPES = np.zeros((2, 3), dtype=int)


@pytest.mark.parametrize(
    ("act", "error", "part"),
    [
        (lambda: adjusted_rand_index(TRUTH.astype(float), MASKS), TypeError, "true_masks must hold booleans"),
        (lambda: adjusted_rand_index(TRUTH[:, None], MASKS), ValueError, "true_masks must have shape (N, M + 1, H, W)"),
        (
            lambda: adjusted_rand_index(TRUTH, MASKS[..., :4]),
            ValueError,
            "of the same scenes and size, got (2, 4, 8, 8)",
        ),
        (lambda: adjusted_rand_index(TRUTH, MASKS[:1]), ValueError, "of the same scenes and size"),
        (lambda: adjusted_rand_index(TRUTH, MASKS * np.nan), ValueError, "predicted_masks must be finite"),
        (lambda: adjusted_rand_index(TRUTH[:, :1], MASKS), ValueError, "must hold the background as its last mask"),
        (lambda: adjusted_rand_index(np.ones_like(TRUTH), MASKS), ValueError, "must not overlap"),
        (lambda: adjusted_rand_index(TRUTH, MASKS, min_groups=0), ValueError, "min_groups must be at least 1, got 0"),
        (lambda: adjusted_rand_index(TRUTH[:0], MASKS[:0]), ValueError, "true_masks must hold at least one item"),
        (lambda: mask_iou(TRUTH, MASKS[:, :2], ("a", "b")), ValueError, "each of the 2 components"),
        (lambda: mask_iou(TRUTH, MASKS, ("a", "b", "b")), ValueError, "type_names must be 3 different names"),
        (lambda: mask_iou(TRUTH & False, MASKS, ("a", "b", "c")), ValueError, "got none of 'a'"),
        (lambda: owner_accuracy(TRUTH, MASKS - 1, TYPES), ValueError, "predicted_masks must be 0 or more"),
        (lambda: owner_accuracy(TRUTH, MASKS, TYPES * 1.0), TypeError, "types must hold integers, got dtype float64"),
        (lambda: owner_accuracy(TRUTH, MASKS, TYPES[:, :2]), ValueError, "background, (2, 3), got (2, 2)"),
        (lambda: owner_accuracy(TRUTH, MASKS, TYPES - 1), ValueError, "types must name a component, 0 to 2"),
    ],
)
def test_bad_input(act: Callable[[], Any], error: type[Exception], part: str) -> None:
    with pytest.raises(error) as caught:
        act()
    assert part in str(caught.value)
