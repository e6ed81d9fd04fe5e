"""Hamming distance of binary frames: how many pixels are on the wrong side of the threshold."""

from __future__ import annotations

import math

import numpy as np

from pyrodis.metrics._arrays import Array, finite, to_numpy
from pyrodis.metrics.score import Score, mean_score


def hamming_distance(frames: Array, predictions: Array, shown: Array | None = None, threshold: float = 0.5) -> Score:
    r"""Mean number of pixels of a frame that a prediction puts on the wrong side of the threshold.

    :math:`\frac1N \sum_i \frac{1}{|h_i|} \sum_{t \in h_i} \#\{p : 1[x_{itp} > \tau] \ne 1[\hat x_{itp} > \tau]\}`,
    where h_i are the frames of item i that were hidden from the method, or all of them. Chance is the best frame that
    is the same for all: a pixel is lit where it is in more than half of the frames that are scored.

    Args:
        frames: true frames.
        predictions: predicted frames, or the probabilities of their pixels.
        shown: which frames the method saw; they are left out. None scores all.
        threshold: value above which a pixel is lit.

    Shape:
        frames, predictions: (N, T, C, H, W); shown: (T) or (N, T), bool.

    Returns:
        Pixels a frame, with the interval over the items that have a hidden frame; the ceiling is 0, since less is
        better.

    Raises:
        TypeError: no arrays of real numbers, or ``shown`` is not boolean.
        ValueError: shapes that do not fit, NaN, no frame that was hidden, or a threshold that is not finite.

    Source:
        Hamming distance on the imputed frames of the bouncing box, as in Fraccaro et al., "A disentangled recognition
        and nonlinear dynamics model for unsupervised learning", 2017.

    Example:
        >>> frames = np.zeros((2, 3, 1, 4, 4))
        >>> frames[:, 1:, 0, 0] = 1.0
        >>> hamming_distance(frames, 0 * frames, np.array([True, True, False])).value
        4.0
    """
    x, y = finite(frames, "frames"), finite(predictions, "predictions")
    if x.ndim != 5 or x.shape != y.shape:
        raise ValueError(
            f"frames and predictions must have the same shape (N, T, C, H, W), got {x.shape} and {y.shape}; "
            "pass one prediction for each item"
        )
    if not math.isfinite(threshold):
        raise ValueError(f"threshold must be finite, got {threshold}; pixels in [0, 1] have 0.5")
    hidden = _hidden(shown, x.shape[:2])
    lit = x > threshold
    wrong = (lit != (y > threshold)).sum(axis=(2, 3, 4))
    counts = hidden.sum(axis=1)
    scored = counts > 0
    weights = hidden[scored] / counts[scored, None] / scored.sum()  # every item counts the same, as in the score
    constant = np.tensordot(weights, lit[scored], axes=2)
    chance = float(np.minimum(constant, 1 - constant).sum())
    return mean_score((wrong * hidden).sum(axis=1)[scored] / counts[scored], chance=chance, ceiling=0.0)


def _hidden(shown: Array | None, shape: tuple[int, ...]) -> np.ndarray:
    """Return which frames (N, T) are scored."""
    if shown is None:
        return np.ones(shape, dtype=bool)
    mask = to_numpy(shown, "shown")
    if mask.dtype != np.bool_:
        raise TypeError(f"shown must hold booleans, True where a frame was seen, got dtype {mask.dtype}; compare first")
    if mask.shape not in (shape, shape[1:]):
        raise ValueError(f"shown must have shape (T) or (N, T) = {shape}, got {mask.shape}; pass one entry a frame")
    hidden = np.broadcast_to(~mask, shape)
    if not hidden.any():
        raise ValueError("shown must leave a frame to predict, got all frames shown; pass None to score every frame")
    return hidden
