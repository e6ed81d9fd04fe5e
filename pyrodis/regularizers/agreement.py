"""Losses of codes that should agree from frame to frame, and of pixels on the scale that they are weighed against."""

from __future__ import annotations

import math

import torch

from pyrodis.ops import check_positive_int, check_positive_number, full_precision, without_autocast
from pyrodis.ops.checks import check_floating, check_same_dtype

_VARIANCE_FLOOR = 1e-12  # far below the rounding of codes of size 1


def pixel_error(reconstruction: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    r"""Return the squared error of a pixel, averaged over all pixels of a clip.

    $$L_R = \frac{1}{T C H W} \sum_{t, c, h, w} (\hat x_{tchw} - x_{tchw})^2$$

    One value per datum, from that datum alone: the mean over a batch does not depend on its size.

    Args:
        reconstruction: Decoded frames; those alone that are to be scored.
        x: The frames.

    Shape:
        reconstruction, x: (..., T, C, H, W) to (...).

    Returns:
        The error of each clip, 0 or more.

    Raises:
        ValueError: If the shapes differ or are not those of clips.

    Source:
        Mantel, Disentangling Motion from Identity with Barlow Twins Autoencoders (2021), equation 3, there of the first
        of two frames, with the mean over pixels of which the text speaks.

    Example:
        >>> pixel_error(torch.full((2, 1, 1, 4, 4), 0.5), torch.zeros(2, 1, 1, 4, 4))
        tensor([0.2500, 0.2500])
    """
    check_floating("reconstruction", reconstruction)
    check_floating("x", x)
    if x.ndim < 4 or reconstruction.shape != x.shape:
        raise ValueError(
            f"reconstruction and x must have one shape (..., T, C, H, W), got {tuple(reconstruction.shape)} and "
            f"{tuple(x.shape)}"
        )
    return (reconstruction - x).square().mean(dim=(-4, -3, -2, -1))


def mixing_weight(mixing: float, num_pixels: int, scale: float = math.sqrt(0.5)) -> float:
    r"""Return the weight of a penalty that stands to the likelihood as a mixing term does to the error of a pixel.

    $$-\log p(x \mid \mathrm{latents}) + w L = v\, (L_R + \lambda L) + \mathrm{const}, \qquad
    v = \frac{N}{2\, \mathrm{scale}^2}, \quad w = v \lambda$$

    N is the number of scored pixels of a clip, `scale` that of `NormalPixels`, not learned, and L_R `pixel_error`. So
    `add_penalty(guide, name, penalty, mixing_weight(0.1, 64 * 64, 0.1), side="guide")` trains the total loss with
    lambda = 0.1, for codes without noise and KL weights of 0, up to the factor v and the constant N (log scale + log(2
    pi) / 2). Adam does not see the factor; of SGD, divide the rate by it. With scale sqrt(1/2) it is N.

    Args:
        mixing: lambda, 0 or more.
        num_pixels: N: T C H W, or C H W where the first frame alone is scored.
        scale: Standard deviation of a pixel.

    Returns:
        The weight w for `pyrodis.add_penalty`.

    Raises:
        TypeError: If an argument is no number, or `num_pixels` no int.
        ValueError: If `mixing` is negative or not finite, or another argument is not positive.

    Source:
        Mantel, Disentangling Motion from Identity with Barlow Twins Autoencoders (2021), equations 4 and 7.

    Example:
        >>> mixing_weight(0.1, 64 * 64, scale=0.5)
        819.2
    """
    if isinstance(mixing, bool) or not isinstance(mixing, (int, float)):
        raise TypeError(f"mixing must be a number of 0 or more, got {mixing!r} of type {type(mixing).__name__}")
    if not math.isfinite(mixing) or mixing < 0:
        raise ValueError(f"mixing must be a finite number of 0 or more, got {mixing}")
    num_pixels = check_positive_int("num_pixels", num_pixels)
    return mixing * num_pixels / (2 * check_positive_number("scale", scale) ** 2)


def inertial_loss(codes: torch.Tensor) -> torch.Tensor:
    r"""Return the squared distance of the codes of adjacent frames, averaged over the pairs of a clip.

    $$L_I = \frac{1}{T - 1} \sum_{t=2}^{T} \lVert c_t - c_{t-1} \rVert^2$$

    One value per datum, from that datum alone: its mean over a batch is the source's mean over n, whatever the batch's
    size. It is 0 where a code stays, and where all codes of all clips are the same: give codes that are normalized over
    the batch, as those of `DeltaWhatWhereGuide` are. `temporal_difference` is the same without the mean over pairs.

    Args:
        codes: The code of every frame, "what_frames" of a guide.

    Shape:
        codes: (..., T, S) to (...).

    Returns:
        The penalty of each clip, 0 or more.

    Raises:
        ValueError: If there are fewer than two frames.

    Source:
        Mantel, Disentangling Motion from Identity with Barlow Twins Autoencoders (2021), equation 2, for any number of
        frames.

    Example:
        >>> inertial_loss(torch.tensor([[[0.0], [1.0], [3.0]]]))
        tensor([2.5000])
    """
    check_floating("codes", codes)
    if codes.ndim < 2 or codes.shape[-2] < 2:
        raise ValueError(
            f"codes must have shape (..., T, S) with T of 2 or more, got {tuple(codes.shape)}; "
            "one frame has nothing to agree with"
        )
    return codes.diff(dim=-2).square().sum(-1).mean(-1)


def barlow_twins(first: torch.Tensor, second: torch.Tensor, redundancy_weight: float = 0.05) -> torch.Tensor:
    r"""Return how far the correlation of two codes of the same clips, over the batch, is from the identity.

    $$L_{BT} = \sum_i (1 - C_{ii})^2 + \alpha \sum_i \sum_{j \ne i} C_{ij}^2$$

    $$C_{ij} = \frac{\sum_b (z^A_{bi} - \bar z^A_i)(z^B_{bj} - \bar z^B_j)}
    {\sqrt{\sum_b (z^A_{bi} - \bar z^A_i)^2} \sqrt{\sum_b (z^B_{bj} - \bar z^B_j)^2}}$$

    alpha is `redundancy_weight`, a bar the mean over the batch. The source does not subtract the means: its C is this
    one where codes have mean 0 over the batch, hence after a batch normalization that is not shifted.

    The loss couples the clips of a batch: it is one number, which is given to each clip, so that the sum over the batch
    is B times as much and the loss per datum that number, whatever the batch's size. A batch that is repeated has the
    same loss; small batches overestimate it, as independent codes correlate by chance, by about alpha S^2 / B in the
    second sum.

    A dimension that is the same for all clips has correlation 0, and costs 1 in the first sum: 1e-12 is added to
    variances.

    Args:
        first: Codes of clips, z^A: those of one frame.
        second: Codes of the same clips, z^B: those of the next.
        redundancy_weight: Weight of the second sum, 0 or more.

    Shape:
        first, second: (..., B, S) to (..., B).

    Returns:
        The penalty, 0 or more, the same for every clip.

    Raises:
        TypeError: If the weight is not a number.
        ValueError: If the weight is negative or not finite, the shapes differ, or the batch has one clip.

    Source:
        Mantel, Disentangling Motion from Identity with Barlow Twins Autoencoders (2021), equations 5 and 6; Zbontar et
        al., Barlow Twins (2021).

    Example:
        >>> codes = torch.randn(8, 3, 2)  # of three frames
        >>> barlow_twins(codes[:, 0], codes[:, 1]).shape
        torch.Size([8])
        >>> by_pair = codes.transpose(0, 1)  # over all adjacent pairs of frames, the mean
        >>> barlow_twins(by_pair[:-1], by_pair[1:]).mean(0).shape
        torch.Size([8])
    """
    _check_twins(first, second, redundancy_weight)
    with without_autocast(first):
        first, second = (_standardize(full_precision(part)) for part in (first, second))
        correlation = first.mT @ second / first.shape[-2]
        diagonal = correlation.diagonal(dim1=-2, dim2=-1)
        invariance = (1 - diagonal).square().sum(-1)
        other = correlation - torch.diag_embed(diagonal)
        loss = invariance + redundancy_weight * other.square().sum(dim=(-2, -1))
        return loss.unsqueeze(-1).expand(first.shape[:-1])


def _standardize(codes: torch.Tensor) -> torch.Tensor:
    """The codes with mean 0 and mean square 1 over the batch."""
    centered = codes - codes.mean(-2, keepdim=True)
    return centered / (centered.square().mean(-2, keepdim=True) + _VARIANCE_FLOOR).sqrt()


def _check_twins(first: torch.Tensor, second: torch.Tensor, weight: float) -> None:
    if isinstance(weight, bool) or not isinstance(weight, (int, float)):
        raise TypeError(f"redundancy_weight must be a number, got {weight!r} of type {type(weight).__name__}")
    if not math.isfinite(weight) or weight < 0:
        raise ValueError(f"redundancy_weight must be a finite number of 0 or more, got {weight}")
    check_same_dtype("first", check_floating("first", first), "second", check_floating("second", second))
    if first.ndim < 2 or first.shape != second.shape:
        raise ValueError(
            f"first and second must be codes (..., B, S) of the same clips, got {tuple(first.shape)} and "
            f"{tuple(second.shape)}"
        )
    if first.shape[-2] < 2:
        raise ValueError(
            "a batch must have at least two clips to correlate their codes, got 1; "
            "take a batch size that leaves no rest of one clip"
        )
