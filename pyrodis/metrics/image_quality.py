"""How close decoded frames are to the real ones: squared error, PSNR and SSIM."""

from __future__ import annotations

import numpy as np
import torch

from pyrodis.metrics._arrays import Array
from pyrodis.metrics.score import Score, mean_score

SSIM_WINDOW = 11  # side of the Gaussian window, in pixels
SSIM_SCALE = 1.5  # standard deviation of the window, in pixels
SSIM_CHUNK = 8  # frames at once: a larger chunk leaves the cache and is slower


def sequence_quality(reconstruction: Array, x: Array) -> dict[str, np.ndarray]:
    r"""Squared error, PSNR and SSIM of each sequence.

    :math:`MSE_i` is the mean over frames, channels and pixels, :math:`PSNR_i = -10 \log_{10} MSE_i` for frames in
    [0, 1], and :math:`SSIM_i` the mean over frames of the structural similarity in an 11 x 11 Gaussian window of
    scale 1.5, borders mirrored. Values of a large test set are made batch by batch, joined with
    ``numpy.concatenate`` and averaged by :func:`pyrodis.metrics.mean_score`.

    Args:
        reconstruction: decoded frames, finite; neither clamped nor rescaled here.
        x: real frames in [0, 1].

    Shape:
        reconstruction, x: (B, T, C, H, W), equal, H and W at least 11.

    Returns:
        "mse" (squared intensity), "psnr" (decibel), "ssim" (at most 1), each (B,).

    Raises:
        TypeError: no arrays of floats.
        ValueError: empty, wrong or unequal shapes, not finite, x outside [0, 1], or an exact reconstruction, whose
            PSNR is infinite.

    Source:
        Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004. PSNR is of the
        error of the whole sequence, not a mean over frames.

    Example:
        >>> x = torch.zeros(2, 3, 1, 16, 16)
        >>> sequence_quality(x + 0.1, x)["psnr"].round(3).tolist()
        [20.0, 20.0]
    """
    decoded, real = _check_frames(reconstruction, "reconstruction"), _check_frames(x, "x")
    if decoded.shape != real.shape:
        raise ValueError(
            f"reconstruction and x must have the same shape, got {tuple(decoded.shape)} and {tuple(real.shape)}; "
            "decode the same batch"
        )
    if real.min() < 0 or real.max() > 1:
        raise ValueError(
            f"x must be in [0, 1], got values from {real.min():.4g} to {real.max():.4g}; divide bytes by 255"
        )
    # Means of frames in float32, of sequences in float64, which not every device has.
    mse = (decoded - real).square().flatten(2).mean(2).cpu().double().mean(1)
    if (mse == 0).any():
        raise ValueError(
            f"reconstruction equals x exactly in {int((mse == 0).sum())} sequences, so their PSNR is infinite; "
            "check that x itself was not passed twice"
        )
    frames = _frame_ssim(decoded.flatten(0, 1), real.flatten(0, 1))
    structure = frames.cpu().double().reshape(real.shape[:2]).mean(1)
    return {"mse": mse.numpy(), "psnr": (-10 * mse.log10()).numpy(), "ssim": structure.numpy()}


def image_quality(reconstruction: Array, x: Array, baseline: Array | None = None) -> dict[str, Score]:
    r"""Mean squared error, PSNR and SSIM over the sequences.

    The means over i of the values of :func:`sequence_quality`. With a ``baseline``, frames that know nothing of the
    sequence (the mean training sequence, say), the baseline's own values stand as chance.

    Args:
        reconstruction: decoded frames.
        x: real frames in [0, 1].
        baseline: frames that an uninformed method would give for every sequence.

    Shape:
        reconstruction, x: (B, T, C, H, W). baseline: broadcast against x, such as (T, C, H, W).

    Returns:
        "mse" (squared intensity, ceiling 0), "psnr" (decibel, no ceiling), "ssim" (ceiling 1).

    Raises:
        TypeError: no arrays of floats.
        ValueError: as :func:`sequence_quality`, or a baseline that does not broadcast.

    Source:
        As :func:`sequence_quality`.

    Example:
        >>> x = torch.rand(4, 2, 3, 16, 16)
        >>> scores = image_quality(x * 0.9, x, baseline=x.mean(0))
        >>> scores["mse"].value < scores["mse"].chance
        True
    """
    values = sequence_quality(reconstruction, x)
    chance: dict[str, float] = {}
    if baseline is not None:
        constant, shape = torch.as_tensor(baseline), torch.as_tensor(x).shape
        try:
            constant = constant.expand(shape)
        except RuntimeError:
            raise ValueError(
                f"baseline must broadcast against x of shape {tuple(shape)}, got {tuple(constant.shape)}; "
                "pass one sequence (T, C, H, W)"
            ) from None
        chance = {name: float(items.mean()) for name, items in sequence_quality(constant, x).items()}
    ceilings = {"mse": 0.0, "psnr": None, "ssim": 1.0}
    return {name: mean_score(items, chance.get(name), ceilings[name]) for name, items in values.items()}


def _frame_ssim(decoded: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Structural similarity of each of N frames (N, C, H, W) in float32, under autocast as well.

    The window is a product of one in each direction, which is a matrix product with a band: several times as fast as
    the grouped 11 x 11 convolution of torchmetrics on frames of 64 x 64 pixels. Second moments are about the mean of
    a frame, where they lose fewer digits.
    """
    c1, c2 = 0.01**2, 0.03**2
    found = []
    with torch.autocast(real.device.type, enabled=False):
        rows, columns = (_window(size, real) for size in real.shape[-2:])
        for a, b in zip(decoded.split(SSIM_CHUNK), real.split(SSIM_CHUNK), strict=True):
            center = b.mean((-2, -1), keepdim=True)
            a, b = a - center, b - center
            mean_a, mean_b, *squares = rows @ (torch.stack([a, b, a * a, b * b, a * b]) @ columns.T)
            variances = (squares[0] - mean_a**2).clamp_min(0) + (squares[1] - mean_b**2).clamp_min(0)
            covariance = squares[2] - mean_a * mean_b
            mean_a, mean_b = mean_a + center, mean_b + center
            bottom = (mean_a**2 + mean_b**2 + c1) * (variances + c2)
            found.append(((2 * mean_a * mean_b + c1) * (2 * covariance + c2) / bottom).mean((1, 2, 3)))
    return torch.cat(found)


def _window(size: int, like: torch.Tensor) -> torch.Tensor:
    """The matrix (size, size) that weighs the pixels of a line around each of them, borders mirrored."""
    half = SSIM_WINDOW // 2
    weights = torch.exp(-((torch.arange(-half, half + 1.0) / SSIM_SCALE) ** 2) / 2)
    mirrored = torch.from_numpy(np.pad(np.arange(size), half, mode="reflect"))
    return ((weights / weights.sum()) * torch.eye(size)[mirrored].unfold(0, SSIM_WINDOW, 1)).sum(-1).to(like)


def _check_frames(frames: Array, name: str) -> torch.Tensor:
    """Return frames as float32 tensor (B, T, C, H, W)."""
    if not isinstance(frames, (np.ndarray, torch.Tensor)):
        raise TypeError(
            f"{name} must be a numpy array or a torch tensor, got {type(frames).__name__}; convert it first"
        )
    tensor = torch.as_tensor(frames).detach()
    if not tensor.is_floating_point():
        raise TypeError(f"{name} must hold floats in [0, 1], got dtype {tensor.dtype}; divide bytes by 255")
    if tensor.ndim != 5 or 0 in tensor.shape:
        raise ValueError(
            f"{name} must have shape (B, T, C, H, W), got {tuple(tensor.shape)}; add missing dimensions with unsqueeze"
        )
    if min(tensor.shape[-2:]) < SSIM_WINDOW:
        raise ValueError(
            f"{name} must be at least {SSIM_WINDOW} x {SSIM_WINDOW} pixels, got {tuple(tensor.shape[-2:])}; "
            "the window of SSIM does not fit"
        )
    if not tensor.isfinite().all():
        raise ValueError(f"{name} must be finite, got NaN or infinity; find what produced it")
    return tensor.float()
