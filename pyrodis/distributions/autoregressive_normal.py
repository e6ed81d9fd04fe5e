"""A distribution over sequences whose frames are normal given the frames before."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from pyro.distributions import Independent, Normal, TorchDistribution
from torch.distributions import constraints

from pyrodis.ops import check_positive_int


class Transition(Protocol):
    """What `AutoregressiveNormal` needs of a network: the same mapping, a whole sequence or one step at a time."""

    dim: int

    def __call__(self, previous: torch.Tensor, context: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Map z_0 .. z_{T-1} (N, T, D), with z_0 = 0, and the context (N, T, C) to loc and scale (N, T, D)."""
        ...

    def step(
        self, previous: torch.Tensor, context: torch.Tensor | None, state: Any
    ) -> tuple[torch.Tensor, torch.Tensor, Any]:
        """Map z_{t-1} (N, D), the context of frame t (N, C) and the state to loc, scale (N, D) and the next state."""
        ...

    def parameters(self) -> Any:
        """Return an iterator over parameters, which tells device and dtype."""
        ...


class AutoregressiveNormal(TorchDistribution):
    r"""A sequence whose frames are normal given all frames before, with loc and scale from a recurrent network.

    $$p(z_{1:T} \mid c) = \prod_{t=1}^{T} \mathcal N\bigl(z_t; \mathrm{loc}(z_{<t}, c_t),
    \operatorname{diag} \mathrm{scale}(z_{<t}, c_t)^2\bigr)$$

    Sampling feeds each drawn frame back (T steps of the network); `log_prob` feeds the frames of the value (teacher
    forcing), one call of the network for the whole sequence. The last draw keeps its conditional parameters, so that
    evaluating it costs nothing more.

    Args:
        transition: The recurrent network, for example `pyrodis.nn.RecurrentTransition`.
        num_frames: T, the number of frames.
        context: What the network sees beside the frames before, or None.
        validate_args: As in torch.

    Shape:
        context: (batch, T, C). Event shape (T, D); batch shape that of the context without its last two dimensions.

    Raises:
        TypeError: If `num_frames` is not an int.
        ValueError: If `num_frames` is not positive, or the context does not have that many frames.

    Source:
        Li and Mandt, Disentangled Sequential Autoencoder (2018), for the prior over z; here one distribution serves the
        prior and the autoregressive guides.

    Example:
        >>> from pyrodis.nn import RecurrentTransition
        >>> prior = AutoregressiveNormal(RecurrentTransition(dim=2, hidden_dim=4), num_frames=5)
        >>> z = prior.expand([3]).rsample()
        >>> z.shape, prior.log_prob(z).shape
        (torch.Size([3, 5, 2]), torch.Size([3]))
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    support = constraints.independent(constraints.real, 2)
    has_rsample = True

    def __init__(
        self,
        transition: Transition,
        num_frames: int,
        context: torch.Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        check_positive_int("num_frames", num_frames)
        if context is not None and (context.ndim < 2 or context.shape[-2] != num_frames):
            raise ValueError(
                f"context must have shape (..., T, C) with T = {num_frames}, got {tuple(context.shape)}; "
                "give one context vector for each frame"
            )
        self.transition = transition
        self.num_frames = num_frames
        self.context = context
        self._last: tuple[torch.Tensor, Independent, bool] | None = None
        batch_shape = torch.Size() if context is None else context.shape[:-2]
        super().__init__(batch_shape, torch.Size((num_frames, transition.dim)), validate_args=validate_args)

    def expand(
        self, batch_shape: torch.Size | list[int] | tuple[int, ...], _instance: AutoregressiveNormal | None = None
    ) -> AutoregressiveNormal:
        """Return the same distribution with a larger batch shape; the context is a view, not a copy.

        Args:
            batch_shape: The new batch shape, to which the old one broadcasts.

        Returns:
            A distribution of that batch shape.
        """
        new = self._get_checked_instance(AutoregressiveNormal, _instance)
        new.transition = self.transition
        new.num_frames = self.num_frames
        new.context = None if self.context is None else self.context.expand(*batch_shape, *self.context.shape[-2:])
        new._last = None
        super(AutoregressiveNormal, new).__init__(torch.Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = torch.Size()) -> torch.Tensor:
        """Draw sequences, differentiably, frame by frame.

        Args:
            sample_shape: Leading shape of the draws.

        Returns:
            Draws of shape sample_shape + batch_shape + (T, D).
        """
        value, loc, scale = self._unroll(torch.Size(sample_shape), draw=True)
        self._last = (value, Normal(loc, scale, validate_args=False).to_event(2), torch.is_grad_enabled())
        return value

    @property
    def mean_path(self) -> torch.Tensor:
        """The path on which every frame is the mean given the path before, batch_shape + (T, D).

        It is the mean of the sequence only where loc is linear in the frames before; `pyrodis.encode` returns it.
        """
        return self._unroll(torch.Size(), draw=False)[0]

    def continue_from(self, start: torch.Tensor, draw: bool = True) -> torch.Tensor:
        """Return sequences that go on from given first frames: draws, or the path of conditional means.

        Args:
            start: First frames.
            draw: Whether the other frames are drawn, or each the mean given those before.

        Shape:
            start: (..., D), whose leading dimensions end with the batch shape.

        Returns:
            Sequences (..., T, D) with the first frames as given.
        """
        sample_shape = start.shape[: start.ndim - 1 - len(self.batch_shape)]
        return self._unroll(sample_shape, draw=draw, start=start)[0]

    def conditional(self, value: torch.Tensor) -> Independent:
        """Return the product of the frames' normals given the frames before them, as one normal over (T, D).

        Args:
            value: Sequences of shape (..., T, D).

        Returns:
            The independent normal whose log-density at `value` is that of this distribution at `value`.

        Raises:
            ValueError: If the last two dimensions of `value` are not (T, D).
        """
        if self._last is not None and self._last[0] is value:
            # Parameters that were computed without gradients would silently leave the network untrained.
            _, known, has_gradient = self._last
            if has_gradient or not torch.is_grad_enabled():
                return known
        if value.shape[-2:] != self.event_shape:
            raise ValueError(
                f"value must have shape (..., T, D) = (..., {self.num_frames}, {self.transition.dim}), "
                f"got {tuple(value.shape)}"
            )
        shape = torch.broadcast_shapes(value.shape[:-2], self.batch_shape)
        value = value.expand(*shape, *self.event_shape)
        previous = torch.cat([torch.zeros_like(value[..., :1, :]), value[..., :-1, :]], dim=-2)
        loc, scale = self.transition(previous.reshape(-1, *self.event_shape), self._flat_context(shape))
        return Normal(loc.reshape(value.shape), scale.reshape(value.shape), validate_args=False).to_event(2)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """Return the log-density of sequences, teacher-forced.

        Args:
            value: Sequences of shape (..., T, D).

        Returns:
            Log-densities in nats, summed over frames and dimensions, shape (...).
        """
        if self._validate_args:
            self._validate_sample(value)
        return self.conditional(value).log_prob(value)

    def _flat_context(self, shape: torch.Size) -> torch.Tensor | None:
        if self.context is None:
            return None
        return self.context.expand(*shape, *self.context.shape[-2:]).reshape(-1, *self.context.shape[-2:])

    def _unroll(
        self, sample_shape: torch.Size, draw: bool, start: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        shape = sample_shape + self.batch_shape
        context = self._flat_context(shape)
        like = next(self.transition.parameters())
        num, dim = shape.numel(), self.transition.dim
        # One draw of the noise for all frames: the loop below then only feeds back.
        noise = torch.randn(num, self.num_frames, dim, dtype=like.dtype, device=like.device) if draw else None
        z, state = torch.zeros(num, dim, dtype=like.dtype, device=like.device), None
        steps = []
        for t in range(self.num_frames):
            loc, scale, state = self.transition.step(z, None if context is None else context[:, t], state)
            z = loc if noise is None else loc + scale * noise[:, t]
            if t == 0 and start is not None:
                z = start.expand(*shape, dim).reshape(num, dim)
            steps.append((z, loc, scale))
        value, loc, scale = (torch.stack(part, dim=1).reshape(shape + self.event_shape) for part in zip(*steps))
        return value, loc, scale
