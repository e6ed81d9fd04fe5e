"""What the output of a decoder means: distributions of pixels."""

from __future__ import annotations

import math
from typing import Any

import torch
from pyro.distributions import Bernoulli, Independent, Normal
from torch import nn

from pyrodis.ops import check_positive_number


class _SumOfSquares(torch.autograd.Function):
    """The sum of squares over the last dimensions, with one pass over the values in the gradient."""

    generate_vmap_rule = True

    @staticmethod
    def forward(values: torch.Tensor, num_dims: int) -> torch.Tensor:
        # a norm would need no tensor of squares, but its sum on a CPU errs by ten times as much
        return values.square().sum(tuple(range(-num_dims, 0)))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor, int], output: torch.Tensor) -> None:
        values, ctx.num_dims = inputs
        ctx.save_for_backward(values)
        ctx.save_for_forward(values)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (values,) = ctx.saved_tensors
        return values * (2 * gradient)[(...,) + (None,) * ctx.num_dims], None

    @staticmethod
    def jvp(ctx: Any, tangent: torch.Tensor, _: None) -> torch.Tensor:
        (values,) = ctx.saved_tensors
        return 2 * (values * tangent).sum(tuple(range(-ctx.num_dims, 0)))


class _SharedScaleEvent(Independent):
    """A `SharedScaleNormal` whose last dimensions are one event: the scale enters once an event, not once a pixel."""

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        base, num_dims = self.base_dist, self.reinterpreted_batch_ndims
        if base._validate_args:
            base._validate_sample(value)
        # loc first, so that its gradient is that of the difference and not another tensor with the sign changed
        difference = base.loc - value
        if torch.jit.is_tracing() or torch.compiler.is_compiling():  # a graph cannot hold a function of Python
            squares = difference.square().sum(tuple(range(-num_dims, 0)))
        else:
            squares = _SumOfSquares.apply(difference, num_dims)
        scale, num_elements = base.shared_scale, difference.shape[-num_dims:].numel()
        return squares * (-0.5 / scale.square()) - num_elements * (scale.log() + 0.5 * math.log(2 * math.pi))

    def to_event(self, reinterpreted_batch_ndims: int | None = None) -> Normal | Independent:
        num = len(self.batch_shape) if reinterpreted_batch_ndims is None else reinterpreted_batch_ndims
        event: Normal | Independent = self.base_dist.to_event(self.reinterpreted_batch_ndims + num)
        return event


class SharedScaleNormal(Normal):
    r"""Independent normal distributions with one scale, whose density takes half as many passes over the pixels.

    $$\log p(x) = -\frac{(x - \mathrm{loc})^2}{2\, \mathrm{scale}^2} - \log \mathrm{scale} - \frac12 \log 2 \pi$$

    A normal distribution of pyro takes logarithm and square of the scale of every pixel anew. After `to_event` squares
    are summed first, which takes half as many passes again; with a mask in between they are not.

    Args:
        loc: Means.
        shared_scale: Standard deviation of all.
        validate_args: Whether to check the arguments.

    Shape:
        loc: (...); shared_scale: (). Batch shape (...), event shape ().

    Raises:
        ValueError: If the scale is not a scalar.

    Example:
        >>> SharedScaleNormal(torch.zeros(3), torch.tensor(2.0)).log_prob(torch.zeros(3)).shape
        torch.Size([3])
    """

    def __init__(self, loc: torch.Tensor, shared_scale: torch.Tensor, validate_args: bool | None = None) -> None:
        if shared_scale.ndim:
            raise ValueError(f"shared_scale must be one number, a tensor of shape (), got {tuple(shared_scale.shape)}")
        self.shared_scale = shared_scale
        super().__init__(loc, shared_scale, validate_args=validate_args)

    def expand(self, batch_shape: torch.Size | list[int] | tuple[int, ...], _instance: Any = None) -> SharedScaleNormal:
        """Return the same distribution of a larger batch shape.

        Args:
            batch_shape: The new batch shape.

        Returns:
            A new distribution.
        """
        new = self._get_checked_instance(SharedScaleNormal, _instance)
        new.shared_scale = self.shared_scale
        expanded: SharedScaleNormal = super().expand(torch.Size(batch_shape), _instance=new)
        return expanded

    def to_event(self, reinterpreted_batch_ndims: int | None = None) -> Normal | Independent:
        """Return the distribution whose event is all elements of the last dimensions.

        Args:
            reinterpreted_batch_ndims: How many of them; None for all.

        Returns:
            A distribution whose log-density is the sum over the event's elements.
        """
        num = len(self.batch_shape) if reinterpreted_batch_ndims is None else reinterpreted_batch_ndims
        return _SharedScaleEvent(self, num) if num > 0 else super().to_event(num)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """Return the log-density of each element.

        Args:
            value: Tensor that broadcasts with the batch shape.

        Returns:
            Log-densities in nats.
        """
        if self._validate_args:
            self._validate_sample(value)
        scale = self.shared_scale
        constant = scale.log() + 0.5 * math.log(2 * math.pi)
        return (value - self.loc).square() * (-0.5 / scale.square()) - constant


class NormalPixels(nn.Module):
    r"""Independent normal pixels around a sigmoid of the decoder's output.

    $$p(x \mid h) = \prod_i \mathcal N(x_i; \sigma(h_i), \mathrm{scale}^2)$$

    A squared-error loss is scale = sqrt(1/2). The smaller the scale, the more a wrong pixel costs against the KL terms,
    so the sooner a model cares for details of few pixels. A learned scale is one parameter for all pixels, whose
    optimum is the root mean squared error of the reconstruction.

    Args:
        scale: Standard deviation of a pixel, in units of pixels in [0, 1]; the starting value if it is learned.
        learn_scale: Whether the scale is a parameter.

    Shape:
        output (...) to a distribution of batch shape (...).

    Raises:
        TypeError: If `learn_scale` is neither True nor False.
        ValueError: If the scale is not above 0.

    Source:
        Rybkin et al., Simple and Effective VAE Training with Calibrated Decoders (2021), for the learned scale.

    Example:
        >>> NormalPixels(scale=0.1)(torch.zeros(3)).mean
        tensor([0.5000, 0.5000, 0.5000])
    """

    def __init__(self, scale: float = 0.1, learn_scale: bool = False) -> None:
        super().__init__()
        self.scale = check_positive_number("scale", scale)
        if not isinstance(learn_scale, bool):
            raise TypeError(f"learn_scale must be True or False, got {learn_scale!r}")
        self.learn_scale = learn_scale
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)), requires_grad=learn_scale)

    def forward(self, output: torch.Tensor) -> Normal:
        """Return the distribution of the pixels.

        Args:
            output: The decoder's output, any shape.

        Returns:
            A normal distribution of the same batch shape.
        """
        return SharedScaleNormal(output.sigmoid(), self.log_scale.exp(), validate_args=False)


class BernoulliPixels(nn.Module):
    r"""Independent Bernoulli pixels with the decoder's output as logits.

    $$\log p(x \mid h) = \sum_i x_i \log \sigma(h_i) + (1 - x_i) \log (1 - \sigma(h_i))$$

    Pixels between 0 and 1 are accepted, as is common; the value is then a cross-entropy and no longer a log-probability
    of the data.

    Shape:
        output (...) to a distribution of batch shape (...).

    Example:
        >>> BernoulliPixels()(torch.zeros(2)).mean
        tensor([0.5000, 0.5000])
    """

    def forward(self, output: torch.Tensor) -> Bernoulli:
        """Return the distribution of the pixels.

        Args:
            output: The decoder's output, any shape.

        Returns:
            A Bernoulli distribution of the same batch shape.
        """
        return Bernoulli(logits=output, validate_args=False)
