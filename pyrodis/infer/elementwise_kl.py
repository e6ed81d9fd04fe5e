"""The KL of two distributions of codes, split over their dimensions and frames."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch
from torch.distributions import Independent, kl_divergence

from pyrodis.distributions import BlockTridiagonalNormal, GaussMarkovNormal, LaplaceTransition, MixtureStart
from pyrodis.distributions.laplace_transition import mean_absolute
from pyrodis.distributions.sequence_checks import independent_normal
from pyrodis.infer.elbo import _conditional

__all__ = ["elementwise_kl"]

STRUCTURED = (BlockTridiagonalNormal, GaussMarkovNormal)


def elementwise_kl(q: Any, p: Any, value: torch.Tensor) -> tuple[torch.Tensor, bool]:
    r"""Return the KL of two distributions of codes, element by element, in the order of frames and dimensions.

    $$\mathrm{KL}(q \,\|\, p) = \sum_i \mathbb E_q\,
    \mathrm{KL}\bigl(q(z_i \mid z_{<i}) \,\|\, p(z_i \mid z_{<i})\bigr)$$

    i runs through the dimensions of the first frame, then of the second, and so on. Where q and p are both normal,
    every term has a closed form, from the Cholesky factors of the two covariances; where they are normal frame by
    frame, given the frames before, it is taken at the frames of `value`; a Laplace step is in closed form too. Else the
    term is log q(z_i | z_<i) - log p(z_i | z_<i) at `value`. The sum is the KL term of `NamedELBO` at the same draw.

    The split depends on the order only where the dimensions of one frame depend on each other.

    Args:
        q: Distribution of the guide's site.
        p: Distribution of the model's site.
        value: A draw of q.

    Shape:
        value: batch shape + event shape.

    Returns:
        Terms of the shape of `value`, in nats, and whether they are all exact at any draw.

    Raises:
        NotImplementedError: If a density cannot be taken apart.

    Source:
        The chain rule of relative entropy.

    Example:
        >>> from pyro.distributions import Normal
        >>> q, p = (Normal(torch.zeros(5, 2), scale).to_event(2) for scale in (1.0, 2.0))
        >>> terms, exact = elementwise_kl(q, p, torch.zeros(5, 2))
        >>> terms.shape, exact, bool(torch.isclose(terms.sum(), kl_divergence(q, p)))
        (torch.Size([5, 2]), True, True)
    """
    with suppress(NotImplementedError):
        return kl_divergence(*(_elements(fn) for fn in (q, p))), True
    with suppress(NotImplementedError):
        return _joint_normals(q, p), True
    if isinstance(p, LaplaceTransition):
        with suppress(NotImplementedError):
            return _to_laplace(q, p, value)
    with suppress(NotImplementedError):
        return _given_past(q, p, value), False
    return _log_density(q, value) - _log_density(p, value), False


def _elements(fn: Any) -> Any:
    """The distribution of single elements, of which the whole is an independent product."""
    base = fn
    while isinstance(base, Independent):
        base = base.base_dist
    if base is fn or base.event_shape:
        raise NotImplementedError
    return base


def _covariance(fn: Any) -> torch.Tensor:
    if isinstance(fn, STRUCTURED):
        return fn.covariance_matrix.double()
    return independent_normal(fn).variance.flatten(-2).double().diag_embed()


def _joint_normals(q: Any, p: Any) -> torch.Tensor:
    """Closed form of two normals over (T, D), at least one of which has memory."""
    if not isinstance(q, STRUCTURED) and not isinstance(p, STRUCTURED):
        raise NotImplementedError
    ours, theirs = (torch.linalg.cholesky(_covariance(fn)) for fn in (q, p))
    spread = torch.linalg.solve_triangular(theirs, ours, upper=False)
    shift = (q.mean - p.mean).flatten(-2).double().unsqueeze(-1)
    shift = torch.linalg.solve_triangular(theirs, shift, upper=False).squeeze(-1)
    terms = 0.5 * (spread.square().sum(-1) + shift.square() - 1) - spread.diagonal(dim1=-2, dim2=-1).log()
    return terms.unflatten(-1, tuple(q.event_shape)).to(q.mean.dtype)


def _to_laplace(q: Any, p: LaplaceTransition, value: torch.Tensor) -> tuple[torch.Tensor, bool]:
    """Of frames that are normal given those before, from a standard normal start and Laplace steps."""
    exact = isinstance(q, Independent)
    normal = independent_normal(_conditional(q, value))
    before = normal.loc[..., :-1, :] if exact else value[..., :-1, :]
    scale = normal.scale[..., 1:, :]
    scale = (scale.square() + normal.scale[..., :-1, :].square()).sqrt() if exact else scale
    first = 0.5 * (normal.loc.square() + normal.scale.square() - 1)[..., :1, :] - normal.scale[..., :1, :].log()
    steps = p.rate * mean_absolute(normal.loc[..., 1:, :] - before, scale) - (p.rate / 2).log()
    return torch.cat([first, steps - normal.entropy()[..., 1:, :]], dim=-2), exact


def _given_past(q: Any, p: Any, value: torch.Tensor) -> torch.Tensor:
    """Of frames that are independent given those before, in both."""
    ours = _elements(_conditional(q, value))
    if isinstance(p, MixtureStart):
        later = kl_divergence(ours, _elements(p.base.conditional(value)))[..., 1:, :]
        first = -ours.entropy()[..., :1, :] - _mixture(p, value)
        return torch.cat([first.expand(*later.shape[:-2], *first.shape[-2:]), later], dim=-2)
    return kl_divergence(ours, _elements(_conditional(p, value)))


def _mixture(p: MixtureStart, value: torch.Tensor) -> torch.Tensor:
    """Log-density of the first frame, dimension by dimension given those before, (..., 1, D)."""
    start = p.start
    parts = start.component_distribution.base_dist.log_prob(value[..., 0, None, :]).cumsum(-1)
    joint = (start.mixture_distribution.logits.unsqueeze(-1) + parts).logsumexp(-2)
    return torch.cat([joint[..., :1], joint.diff(dim=-1)], dim=-1).unsqueeze(-2)


def _log_density(fn: Any, value: torch.Tensor) -> torch.Tensor:
    """Log-density of every element given those before it in the order of frames and dimensions."""
    if isinstance(fn, LaplaceTransition):
        steps = (fn.rate / 2).log() - fn.rate * value.diff(dim=-2).abs()
        start = torch.distributions.Normal(torch.zeros_like(fn.rate), 1.0).log_prob(value[..., :1, :])
        return torch.cat([start, steps], dim=-2)
    if isinstance(fn, MixtureStart):
        later = fn.base.conditional(value).base_dist.log_prob(value)[..., 1:, :]
        return torch.cat([_mixture(fn, value), later], dim=-2)
    with suppress(NotImplementedError):
        return _elements(_conditional(fn, value)).log_prob(value)
    if isinstance(fn, STRUCTURED):
        factor = torch.linalg.cholesky(fn.covariance_matrix.double())
        distance = (value - fn.mean).flatten(-2).double().unsqueeze(-1)
        noise = torch.linalg.solve_triangular(factor, distance, upper=False).squeeze(-1)
        scale = factor.diagonal(dim1=-2, dim2=-1)
        terms = torch.distributions.Normal(torch.zeros_like(noise), 1.0).log_prob(noise) - scale.log()
        return terms.unflatten(-1, tuple(fn.event_shape)).to(value.dtype)
    raise NotImplementedError(
        f"the density of {type(fn).__name__} cannot be split over dimensions; make it an Independent of elements or "
        "give it a method conditional"
    )
