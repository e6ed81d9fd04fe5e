"""Regularizers of components: of the masks by which they share an image, and of what they say where they must not."""

from __future__ import annotations

import math

import torch

from pyrodis.ops import check_positive_number
from pyrodis.ops.checks import check_floating


def mask_entropy_penalty(masks: torch.Tensor, floor: float = 1e-6) -> torch.Tensor:
    r"""Return the price of confident masks: zero where all components share every pixel alike.

    $$R(m) = -\log \max\Bigl(\mathrm{floor},\; \frac{1}{H W \log K} \sum_i \sum_{k=1}^{K} -m_{ki} \log m_{ki}\Bigr)$$

    The entropy of a pixel is averaged over pixels inside the logarithm, so that there is one number a datum, at most
    -log(floor). Where one component has taken all pixels, the others get no gradient from the likelihood; the logarithm
    makes sure that they get one from here, of about the same size however confident the masks are, down to the floor.

    Args:
        masks: Part of each component in each pixel; they sum to 1 over K.
        floor: Least entropy that is told from none, as a part of the largest.

    Shape:
        masks: (..., K, H, W) to (...).

    Returns:
        The penalty of each datum in nats, 0 or more.

    Raises:
        TypeError: If the floor is not a number.
        ValueError: If there are fewer than two components, or the floor is not in (0, 1).

    Source:
        Stavarache, Multi-model disentanglement of object representations (2019), the last term of its loss, which does
        not say where the mean over pixels is taken; the floor is added.

    Example:
        >>> mask_entropy_penalty(torch.full((2, 4, 8, 8), 0.25))
        tensor([0., 0.])
        >>> import pyrodis
        >>> model = torch.nn.Identity()  # any model that returns "masks" beside its sites
        >>> penalty = lambda output: mask_entropy_penalty(output["masks"])
        >>> model = pyrodis.add_penalty(model, "entropy", penalty, 0.009, side="model")
    """
    if not check_positive_number("floor", floor) < 1:
        raise ValueError(f"floor must be above 0 and below 1, a part of the largest entropy, got {floor}; try 1e-6")
    check_floating("masks", masks)
    if masks.ndim < 3:
        raise ValueError(f"masks must have shape (..., K, H, W), got {tuple(masks.shape)}")
    num_components = masks.shape[-3]
    if num_components < 2:
        raise ValueError(
            f"masks must be of at least two components, got K = {num_components} in shape {tuple(masks.shape)}; "
            "leave the penalty out for one component, whose mask is always 1"
        )
    log_masks = masks.clamp_min(torch.finfo(masks.dtype).tiny).log()  # at 0 finite, and times 0: no other value changes
    entropy = -(masks * log_masks).sum(-3).mean((-2, -1)) / math.log(num_components)
    return entropy.clamp(floor, 1.0).reciprocal().log()


def silence_penalty(kl: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    r"""Return what components say of images that hold nothing of theirs, in nats.

    $$R(x) = \sum_{k=1}^{K} (1 - \mathrm{present}_k(x)) \,
    \mathrm{KL}\bigl(q(z_k \mid x) \,\|\, \mathcal N(0, I)\bigr)$$

    A component that was trained on images of its own type alone has no reason to be silent about other types, and where
    its network can draw these as well it will. Labels of whole images, which types are in them, are enough to teach it:
    weighted, this price makes it tell its type from the others.

    Args:
        kl: Nats that each component spends on each image.
        present: Whether an image holds anything of a component's type.

    Shape:
        kl, present: (..., K) to (...).

    Returns:
        The penalty of each datum in nats, 0 or more.

    Raises:
        TypeError: If present is not a tensor of bools.
        ValueError: If the shapes differ.

    Source:
        Ours. Stavarache, Multi-model disentanglement of object representations (2019), uses the same labels to choose
        the images of a stage.

    Example:
        >>> silence_penalty(torch.tensor([[3.0, 4.0]]), torch.tensor([[True, False]]))
        tensor([4.])
        >>> import pyrodis
        >>> guide = torch.nn.Identity()  # a guide that returns "kl" and "present", such as ParallelGuide
        >>> penalty = lambda output: silence_penalty(output["kl"], output["present"])
        >>> guide = pyrodis.add_penalty(guide, "silence", penalty, 50.0, side="guide")
    """
    check_floating("kl", kl)
    _check_bools(present)
    if kl.shape != present.shape or not kl.ndim:
        raise ValueError(
            f"kl and present must have one shape (..., K), got {tuple(kl.shape)} and {tuple(present.shape)}"
        )
    return (kl * ~present).sum(-1)


def claim_penalty(
    x: torch.Tensor, components: torch.Tensor, confidence: torch.Tensor, scale: float = math.sqrt(0.5)
) -> torch.Tensor:
    r"""Return what components lose by the pixels that they claim, in nats: confidences learn from it, images do not.

    $$R(x) = \frac{1}{2 r^2} \sum_i \sum_{k=1}^{K} m_{ki}\, \lVert x_i - x_{ki} \rVert^2, \qquad
    m_i = \operatorname{softmax}_k(c_{ki})$$

    Labels of whole images keep components whose type is missing from all pixels, and so from learning how confident to
    be where they are silent: once labels are gone they claim pixels that others draw. This is the error of
    `MaskedNormal` under the masks of all components, whatever is present, with their images held fixed: no gradient
    goes to `components`. So components learn to draw with labels, and their confidence also without, as it will be
    used. Since it is linear in the masks, it makes the masks of a mixture confident as well.

    Args:
        x: Images.
        components: Image of each component.
        confidence: Confidence of each component in each pixel, up to a constant a pixel.
        scale: r, the standard deviation of a pixel.

    Shape:
        x: (B, 1, C, H, W); components: (..., B, K, C, H, W); confidence: (..., B, K, H, W); to (..., B).

    Returns:
        The penalty of each datum in nats, 0 or more.

    Raises:
        TypeError: If a tensor is not one of floating-point numbers, or the scale is not a number.
        ValueError: If the shapes do not fit, or the scale is not positive.

    Source:
        Ours. The error is that of Stavarache, Multi-model disentanglement of object representations (2019).

    Example:
        >>> white, drawn = torch.ones(1, 1, 1, 1, 1), torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1, 1)  # one pixel
        >>> claim_penalty(white, drawn, torch.zeros(1, 2, 1, 1))  # half of it is the second's, which draws it black
        tensor([0.5000])
        >>> import pyrodis
        >>> model = torch.nn.Identity()  # a model that returns all of these, such as ParallelVAE
        >>> penalty = lambda output: claim_penalty(output["x"], output["components"], output["confidence"])
        >>> model = pyrodis.add_penalty(model, "claims", penalty, 1.0, side="model")
    """
    for name, value in (("x", x), ("components", components), ("confidence", confidence)):
        check_floating(name, value)
    precision = 1 / check_positive_number("scale", scale) ** 2
    fits = (
        confidence.ndim > 3
        and components.ndim == confidence.ndim + 1
        and components.shape[:-3] == confidence.shape[:-2]
    )
    fits = fits and components.shape[-2:] == confidence.shape[-2:]
    if not fits or x.shape[-5:] != (confidence.shape[-4], 1, *components.shape[-3:]):
        shapes = [str(tuple(value.shape)) for value in (x, components, confidence)]
        raise ValueError(
            "x, components and confidence must have shapes (B, 1, C, H, W), (B, K, C, H, W) and (B, K, H, W), got "
            f"{', '.join(shapes[:2])} and {shapes[2]}"
        )
    error = (x - components.detach()).square().sum(-3)
    return 0.5 * precision * (confidence.softmax(-3) * error).sum((-3, -2, -1))


def _check_bools(present: torch.Tensor) -> None:
    if not isinstance(present, torch.Tensor) or present.dtype != torch.bool:
        got = present.dtype if isinstance(present, torch.Tensor) else type(present).__name__
        raise TypeError(f"present must be a tensor of bools, got {got}")
