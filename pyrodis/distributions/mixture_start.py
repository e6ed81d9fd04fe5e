"""A distribution over sequences whose first frame is one of several, and whose others are normal given the past."""

from __future__ import annotations

import torch
from pyro.distributions import Categorical, Independent, MixtureSameFamily, Normal, TorchDistribution
from torch.distributions import constraints

from pyrodis.distributions.autoregressive_normal import AutoregressiveNormal
from pyrodis.distributions.sequence_checks import independent_normal


class MixtureStart(TorchDistribution):
    r"""A sequence that starts in one of K normals, and goes on as an autoregressive normal does.

    $$p(z_{1:T}) = \Bigl(\sum_{k=1}^{K} w_k\, \mathcal N(z_1; m_k, \operatorname{diag} s_k^2)\Bigr)
    \prod_{t=2}^{T} \mathcal N\bigl(z_t; \mathrm{loc}(z_{<t}), \operatorname{diag} \mathrm{scale}(z_{<t})^2\bigr)$$

    Where sequences are of several kinds, their first frames lie in clusters. One normal over all of them puts most of
    its mass between clusters, and a sequence that is drawn there begins as none of the kinds.

    It is a prior: it can be drawn from, not differentiably, and scored.

    Args:
        base: Distribution of the frames after the first, without a context; what it says of the first is not used.
        logits: Logarithms of the weights, up to a constant.
        loc: Means of the starts.
        scale: Standard deviations of the starts.
        validate_args: As in torch.

    Shape:
        logits: (K); loc and scale: (K, D). Batch shape that of base, event shape (T, D).

    Raises:
        ValueError: If base has a context, or the shapes do not fit.

    Source:
        The first frame follows the mixture prior of Dilokthanakul et al., Deep Unsupervised Clustering with Gaussian
        Mixture VAEs (2016), summed over components.

    Example:
        >>> from pyrodis.nn import RecurrentTransition
        >>> base = AutoregressiveNormal(RecurrentTransition(dim=2, hidden_dim=4), num_frames=5)
        >>> prior = MixtureStart(base, torch.zeros(3), torch.randn(3, 2), torch.ones(3, 2)).expand([7])
        >>> prior.log_prob(prior.sample()).shape
        torch.Size([7])
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    support = constraints.independent(constraints.real, 2)
    has_rsample = False

    def __init__(
        self,
        base: AutoregressiveNormal,
        logits: torch.Tensor,
        loc: torch.Tensor,
        scale: torch.Tensor,
        validate_args: bool | None = None,
    ) -> None:
        if base.context is not None:
            raise ValueError("base must have no context, got one; a prior sees the frames before and nothing else")
        wanted = (*logits.shape, base.transition.dim)
        if logits.ndim != 1 or loc.shape != wanted or scale.shape != wanted:
            raise ValueError(
                f"logits must have shape (K) and loc and scale (K, D) with D = {base.transition.dim}, got "
                f"{tuple(logits.shape)}, {tuple(loc.shape)} and {tuple(scale.shape)}"
            )
        self.base = base
        self.logits, self.loc, self.scale = logits, loc, scale
        super().__init__(base.batch_shape, base.event_shape, validate_args=validate_args)

    def expand(
        self, batch_shape: torch.Size | list[int] | tuple[int, ...], _instance: MixtureStart | None = None
    ) -> MixtureStart:
        """Return the same distribution with a larger batch shape.

        Args:
            batch_shape: The new batch shape, to which the old one broadcasts.

        Returns:
            A distribution of that batch shape.
        """
        new = self._get_checked_instance(MixtureStart, _instance)
        new.base = self.base.expand(batch_shape)
        new.logits, new.loc, new.scale = self.logits, self.loc, self.scale
        super(MixtureStart, new).__init__(torch.Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def start(self) -> MixtureSameFamily:
        """The distribution of the first frame, of event shape (D)."""
        components = Normal(self.loc, self.scale, validate_args=False).to_event(1)
        return MixtureSameFamily(Categorical(logits=self.logits, validate_args=False), components, validate_args=False)

    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = torch.Size()) -> torch.Tensor:
        """Draw sequences, frame by frame.

        Args:
            sample_shape: Leading shape of the draws.

        Returns:
            Draws of shape sample_shape + batch_shape + (T, D).
        """
        shape = torch.Size(sample_shape) + self.batch_shape
        with torch.no_grad():
            return self.base.continue_from(self.start.sample(shape))

    @property
    def mean_path(self) -> torch.Tensor:
        """The path from the mean of the heaviest start on which every frame is the mean given the path before."""
        start = self.loc[self.logits.argmax()].expand(*self.batch_shape, -1)
        return self.base.continue_from(start, draw=False)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """Return the log-density of sequences, teacher-forced.

        Args:
            value: Sequences of shape (..., T, D).

        Returns:
            Log-densities in nats, shape (...).
        """
        if self._validate_args:
            self._validate_sample(value)
        frames = self.base.conditional(value).base_dist.log_prob(value)
        return self.start.log_prob(value[..., 0, :]) + frames[..., 1:, :].sum((-2, -1))

    def conditional_kl(self, q: Independent, value: torch.Tensor) -> torch.Tensor:
        r"""Estimate the divergence of a product of normals from this, given the frames before at `value`.

        $$\sum_{t=2}^{T} \mathrm{KL}\bigl(q(z_t) \,\|\, p(z_t \mid z_{<t})\bigr) - \mathrm H\bigl(q(z_1)\bigr)
        - \log p(z_1)$$

        All but the last term is in closed form; that one is taken at the draw. So this is no function of the two
        distributions alone, and is not registered as their divergence.

        Args:
            q: Independent normals over (T, D).
            value: A draw of q, shape (..., T, D).

        Returns:
            The estimate in nats, shape (...).

        Raises:
            NotImplementedError: If q is not of independent normals.
        """
        ours = independent_normal(q)
        p = self.base.conditional(value).base_dist
        later = torch.distributions.kl_divergence(ours, p)[..., 1:, :].sum((-2, -1))
        return later - ours.entropy()[..., 0, :].sum(-1) - self.start.log_prob(value[..., 0, :])
