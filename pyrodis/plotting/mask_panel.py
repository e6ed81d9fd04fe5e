"""What the components of a parallel VAE make of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pyrodis.plotting._frames import Array
from pyrodis.plotting._numbers import check_names, numbers
from pyrodis.plotting.frame_grid import frame_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def mask_panel(
    images: Array,
    masks: Array,
    components: Array,
    mixture: Array,
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
    scale: int = 2,
) -> Axes:
    """Draw whose pixels are whose: a column an image; input, then mask and picture of each component, then mixture.

    A mask is white where a component has the pixel for itself; the picture beside it is what it would draw everywhere.

    Args:
        images: what was encoded, in [0, 1].
        masks: share of each component in each pixel, "masks" of a :class:`pyrodis.models.ParallelVAE`.
        components: what each component draws, "components" of the model, clamped to [0, 1].
        mixture: their mixture, "reconstruction" of the model without its dimension of frames, clamped to [0, 1].
        names: name of each component; "VAE 0", "VAE 1", ... by default.
        ax: where to draw; without it a figure of the right size is made.
        scale: dots per pixel on a figure of its own.

    Shape:
        images, mixture: (N, C, H, W); masks: (N, K, H, W); components: (N, K, C, H, W).

    Returns:
        The axes, in units of source pixels.

    Raises:
        TypeError: no arrays of numbers.
        ValueError: shapes that do not fit each other, values outside [0, 1], or names of another number.

    Source:
        The figures of Stavarache, "Multi-model disentanglement of object representations", 2019, in spirit.

    Example:
        >>> images, masks = np.zeros((4, 1, 16, 16)), np.full((4, 2, 16, 16), 0.5)
        >>> ax = mask_panel(images, masks, np.zeros((4, 2, 1, 16, 16)), images)
        >>> [label.get_text() for label in ax.get_yticklabels()]
        ['input', 'mask of VAE 0', 'VAE 0', 'mask of VAE 1', 'VAE 1', 'mixture']
    """
    shown, shares = numbers(images, "images", 4), numbers(masks, "masks", 4)
    parts, mixed = numbers(components, "components", 5), numbers(mixture, "mixture", 4)
    (num, channels, *size), num_components = shown.shape, shares.shape[1]
    wanted = {"masks": (num, num_components, *size), "components": (num, num_components, channels, *size)}
    wanted["mixture"] = shown.shape
    for (name, shape), array in zip(wanted.items(), (shares, parts, mixed)):
        if array.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, as images and masks say, got {array.shape}")
    rows, labels = [shown], ["input"]
    for k, name in enumerate(check_names(names, num_components, "names", "VAE")):
        rows += [np.repeat(shares[:, k, None], channels, axis=1), parts[:, k]]
        labels += [f"mask of {name}", name]
    return frame_grid(np.stack([*rows, mixed]), [*labels, "mixture"], ax, scale=scale)
