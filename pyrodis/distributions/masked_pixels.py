"""Distributions of images that several components explain together, each under its mask."""

from __future__ import annotations

import math
from typing import Any

import torch
from pyro.distributions import TorchDistribution
from torch.distributions import constraints

from pyrodis.ops import check_positive_number
from pyrodis.ops.checks import check_floating


class MaskWeightedNormal(TorchDistribution):
    r"""Pixels whose log-density is that of the components, averaged over the mask.

    $$\log p(x) = \sum_{k=1}^{K} \sum_i m_{ki} \log \mathcal N(x_i; \mathrm{loc}_{ki}, \mathrm{scale}^2), \qquad
    m_i = \operatorname{softmax}_k(\mathrm{logits}_{ki})$$

    It is a squared error, weighted by masks, in nats: with scale = sqrt(1/2), -log p is the weighted squared error plus
    a constant, log(pi)/2 a pixel and channel. It is the expected log-likelihood if a component is drawn from the mask
    for every pixel, so a lower bound of `PixelMixture`, and **no normalized density**: where components that share a
    pixel disagree, it integrates to less than 1, to exp(-Var_m(loc) / (2 scale^2)). Normalized, it is the normal
    around the mixed image, from which it draws.

    Args:
        loc: Images of the components.
        logits: Confidence of each component in each pixel, up to a constant a pixel.
        scale: Standard deviation of a pixel.
        validate_args: As in torch.

    Shape:
        loc: (..., K, C, H, W); logits: (..., K, H, W). Batch shape (...), event shape (1, C, H, W): one frame.

    Raises:
        TypeError: If the scale is not a number.
        ValueError: If the scale is not positive or the shapes do not fit.

    Source:
        Stavarache, Multi-model disentanglement of object representations (2019), the first term of its loss.

    Example:
        >>> pixels = MaskWeightedNormal(torch.zeros(2, 3, 1, 8, 8), torch.zeros(2, 3, 8, 8))
        >>> pixels.log_prob(torch.zeros(2, 1, 1, 8, 8)) / 64
        tensor([-0.5724, -0.5724])
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    support = constraints.independent(constraints.real, 4)
    has_rsample = True

    def __init__(
        self, loc: torch.Tensor, logits: torch.Tensor, scale: float = math.sqrt(0.5), validate_args: bool | None = None
    ) -> None:
        _check_shapes(loc, logits)
        self.loc, self.log_masks = loc, logits.log_softmax(-3)
        self.scale = check_positive_number("scale", scale)
        super().__init__(loc.shape[:-4], torch.Size((1, *loc.shape[-3:])), validate_args=validate_args)

    def expand(
        self, batch_shape: torch.Size | list[int] | tuple[int, ...], _instance: Any = None
    ) -> MaskWeightedNormal:
        """Return the same distribution with a larger batch shape.

        Args:
            batch_shape: The new batch shape, to which the old one broadcasts.

        Returns:
            A distribution of that batch shape.
        """
        new: MaskWeightedNormal = _expand(self, self._get_checked_instance(MaskWeightedNormal, _instance), batch_shape)
        super(MaskWeightedNormal, new).__init__(torch.Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def masks(self) -> torch.Tensor:
        """Part of each component in each pixel, (..., K, H, W); they sum to 1 over K."""
        return self.log_masks.exp()

    @property
    def mean(self) -> torch.Tensor:
        """The components mixed by their masks, (..., 1, C, H, W)."""
        return _mixed(self.masks, self.loc)

    @property
    def variance(self) -> torch.Tensor:
        """The variance of a draw, (..., 1, C, H, W)."""
        return torch.full_like(self.mean, self.scale**2)

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = torch.Size()) -> torch.Tensor:
        """Draw images around the mixed image.

        Args:
            sample_shape: Leading shape of the draws.

        Returns:
            Draws of shape sample_shape + batch_shape + (1, C, H, W).
        """
        mean = self.mean.expand(torch.Size(sample_shape) + self.batch_shape + self.event_shape)
        return mean + self.scale * torch.randn_like(mean)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """Return the expected log-density over the masks.

        Args:
            value: Images of shape (..., 1, C, H, W).

        Returns:
            Nats, shape (...).

        Raises:
            TypeError: If images are not a floating-point tensor.
            ValueError: If images have another shape.
        """
        _check_value(value, self.batch_shape, self.event_shape)
        error = self.masks.unsqueeze(-3) * (value - self.loc).square()
        return error.sum((-4, -3, -2, -1)) * (-0.5 / self.scale**2) - _constant(self.scale, self.event_shape.numel())


class PixelMixture(TorchDistribution):
    r"""Pixels that are each of one component, which one being unknown.

    $$\log p(x) = \sum_i \log \sum_{k=1}^{K} m_{ki} \prod_c \mathcal N(x_{ci}; \mathrm{loc}_{kci}, \mathrm{scale}^2),
    \qquad m_i = \operatorname{softmax}_k(\mathrm{logits}_{ki})$$

    A proper density of images: all channels of a pixel i are of the same component.

    Args:
        loc: Images of the components.
        logits: Confidence of each component in each pixel, up to a constant a pixel.
        scale: Standard deviation of a pixel around its component.
        validate_args: As in torch.

    Shape:
        loc: (..., K, C, H, W); logits: (..., K, H, W). Batch shape (...), event shape (1, C, H, W): one frame.

    Raises:
        TypeError: If the scale is not a number.
        ValueError: If the scale is not positive or the shapes do not fit.

    Source:
        The likelihood of Burgess et al., MONet (2019), and Greff et al., IODINE (2019).

    Example:
        >>> pixels = PixelMixture(torch.zeros(2, 3, 1, 8, 8), torch.zeros(2, 3, 8, 8), scale=0.1)
        >>> pixels.sample().shape, pixels.log_prob(torch.zeros(2, 1, 1, 8, 8)) / 64
        (torch.Size([2, 1, 1, 8, 8]), tensor([1.3836, 1.3836]))
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    support = constraints.independent(constraints.real, 4)
    has_rsample = False

    def __init__(
        self, loc: torch.Tensor, logits: torch.Tensor, scale: float = 0.1, validate_args: bool | None = None
    ) -> None:
        _check_shapes(loc, logits)
        self.loc, self.log_masks = loc, logits.log_softmax(-3)
        self.scale = check_positive_number("scale", scale)
        super().__init__(loc.shape[:-4], torch.Size((1, *loc.shape[-3:])), validate_args=validate_args)

    def expand(self, batch_shape: torch.Size | list[int] | tuple[int, ...], _instance: Any = None) -> PixelMixture:
        """Return the same distribution with a larger batch shape.

        Args:
            batch_shape: The new batch shape, to which the old one broadcasts.

        Returns:
            A distribution of that batch shape.
        """
        new: PixelMixture = _expand(self, self._get_checked_instance(PixelMixture, _instance), batch_shape)
        super(PixelMixture, new).__init__(torch.Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def masks(self) -> torch.Tensor:
        """Probability of each component in each pixel, (..., K, H, W)."""
        return self.log_masks.exp()

    @property
    def mean(self) -> torch.Tensor:
        """The components mixed by their masks, (..., 1, C, H, W)."""
        return _mixed(self.masks, self.loc)

    @property
    def variance(self) -> torch.Tensor:
        """The variance of a pixel, (..., 1, C, H, W): around its component, and of the components."""
        return self.scale**2 + _mixed(self.masks, (self.loc - self.mean).square())

    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = torch.Size()) -> torch.Tensor:
        """Draw a component for every pixel, then the pixel; the draw is not differentiable.

        Args:
            sample_shape: Leading shape of the draws.

        Returns:
            Draws of shape sample_shape + batch_shape + (1, C, H, W).
        """
        shape = torch.Size(sample_shape)
        with torch.no_grad():
            log_masks = self.log_masks.expand(shape + self.log_masks.shape)
            race = log_masks - torch.empty_like(log_masks).exponential_().log()  # its maximum is k with probability m_k
            owner = race.argmax(-3, keepdim=True).unsqueeze(-3)
            loc = torch.take_along_dim(self.loc.expand(shape + self.loc.shape), owner, dim=-4)
            return loc + self.scale * torch.randn_like(loc)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """Return the log-density.

        Args:
            value: Images of shape (..., 1, C, H, W).

        Returns:
            Nats, shape (...).

        Raises:
            TypeError: If images are not a floating-point tensor.
            ValueError: If images have another shape.
        """
        pixels = self._weighted(value).logsumexp(-3)
        return pixels.sum((-2, -1)) - _constant(self.scale, self.event_shape.numel())

    def posterior(self, value: torch.Tensor) -> torch.Tensor:
        r"""Return how probable each component is in each pixel of an image that has been seen.

        $$p(k_i = k \mid x) = \frac{m_{ki} \prod_c \mathcal N(x_{ci}; \mathrm{loc}_{kci}, \mathrm{scale}^2)}
        {\sum_j m_{ji} \prod_c \mathcal N(x_{ci}; \mathrm{loc}_{jci}, \mathrm{scale}^2)}$$

        `masks` is the same before the image is seen. Where components draw a pixel alike, the two are equal.

        Args:
            value: Images of shape (..., 1, C, H, W).

        Returns:
            Probabilities of shape (..., K, H, W), which sum to 1 over K.

        Raises:
            TypeError: If images are not a floating-point tensor.
            ValueError: If images have another shape, or hold NaN or infinity.
        """
        weighted = self._weighted(value)
        if not value.isfinite().all():
            raise ValueError("images must be finite, got NaN or infinity; leave broken images out")
        return weighted.softmax(-3)

    def _weighted(self, value: torch.Tensor) -> torch.Tensor:
        """Log of mask times density of each component in each pixel, up to a constant, (..., K, H, W)."""
        _check_value(value, self.batch_shape, self.event_shape)
        return self.log_masks + (value - self.loc).square().sum(-3) * (-0.5 / self.scale**2)


def _check_shapes(loc: torch.Tensor, logits: torch.Tensor) -> None:
    check_floating("loc", loc)
    check_floating("logits", logits)
    if loc.ndim < 4 or logits.shape != loc.shape[:-3] + loc.shape[-2:]:
        raise ValueError(
            f"loc must have shape (..., K, C, H, W) and logits (..., K, H, W), got {tuple(loc.shape)} and "
            f"{tuple(logits.shape)}; give every component one image and one map of its confidence"
        )
    if not loc.shape[-4]:
        raise ValueError(f"loc must hold at least one component, got K = 0 in shape {tuple(loc.shape)}")


def _check_value(value: torch.Tensor, batch_shape: torch.Size, event_shape: torch.Size) -> None:
    check_floating("images", value)
    if value.shape[-4:] != event_shape:
        raise ValueError(
            f"images must have shape (..., 1, C, H, W) = (..., {', '.join(map(str, event_shape))}), got "
            f"{tuple(value.shape)}; resize them or build the components for their shape"
        )
    given = value.shape[:-4]
    if any(a != b and 1 not in (a, b) for a, b in zip(reversed(given), reversed(batch_shape), strict=False)):
        raise ValueError(
            f"images must have a batch shape that broadcasts with {tuple(batch_shape)}, that of the components, got "
            f"{tuple(given)}; give as many images as there are codes"
        )


def _expand(old: Any, new: Any, batch_shape: Any) -> Any:
    new.loc = old.loc.expand(*batch_shape, *old.loc.shape[-4:])
    new.log_masks = old.log_masks.expand(*batch_shape, *old.log_masks.shape[-3:])
    new.scale = old.scale
    return new


def _mixed(masks: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    return (masks.unsqueeze(-3) * images).sum(-4, keepdim=True)


def _constant(scale: float, num_values: int) -> float:
    return num_values * (math.log(scale) + 0.5 * math.log(2 * math.pi))
