r"""Divergences of normal sequences from each other, in closed form.

Importing this module registers them with `torch.distributions.kl_divergence`, for `GaussMarkovNormal`,
`BlockTridiagonalNormal` and `Normal(...).to_event(2)` in any order, except that torch has the last against itself.

Between chains that are diagonal, with v_t the chain of q in units of p,

$$v_t = a_t + b_t u_t, \qquad a_t = \frac{\mathrm{loc}_t - \mathrm{loc}^p_t}{\mathrm{scale}^p_t}, \qquad
b_t = \frac{\mathrm{scale}_t}{\mathrm{scale}^p_t},$$

the divergence is elementwise, with eigenvalues $\lambda$ of q and $\phi$ of p, both zero at the first frame:

$$\mathrm{KL} = \frac12 \sum_t \biggl[ \frac{(a_t - \phi_t a_{t-1})^2 + (b_t - \phi_t \lambda_t b_{t-1})^2
+ \phi_t^2 b_{t-1}^2 (1 - \lambda_t^2)}{1 - \phi_t^2} - 1
+ \log \frac{1 - \phi_t^2}{1 - \lambda_t^2} - 2 \log b_t \biggr]$$

Else it takes the frames' covariances $V_t$ and lag covariances $W_t$ of q, and the precision's blocks of p:

$$\mathrm{KL} = \frac12 \Bigl[ \sum_t \operatorname{tr} (D_t V_t) + 2 \sum_{t \ge 2} \operatorname{tr} (B_t^\top W_t)
+ \Delta^\top J_p \Delta - T n \Bigr] + \frac12 \log \frac{|J_q|}{|J_p|}, \quad \Delta = \mathrm{loc} - \mathrm{loc}^p$$
"""

from __future__ import annotations

import torch
from torch.distributions import Independent
from torch.distributions.kl import register_kl
from torch.nn.functional import pad

from pyrodis.distributions.block_tridiagonal_normal import BlockTridiagonalNormal
from pyrodis.distributions.gauss_markov_normal import GaussMarkovNormal
from pyrodis.distributions.sequence_checks import independent_normal
from pyrodis.distributions.unit_chains import DiagonalChain

# A normal sequence of which every method of the two is known: loc, precision blocks, covariances.
StructuredNormal = GaussMarkovNormal | BlockTridiagonalNormal


@register_kl(GaussMarkovNormal, GaussMarkovNormal)
def _kl_chains(q: GaussMarkovNormal, p: GaussMarkovNormal) -> torch.Tensor:
    _check_events(q, p)
    chain_q, chain_p = q._chain, p._chain
    if isinstance(chain_q, DiagonalChain) and isinstance(chain_p, DiagonalChain):
        return _kl_diagonal(q, p, chain_q, chain_p)
    return _kl_blocks(q, p)


@register_kl(GaussMarkovNormal, BlockTridiagonalNormal)
@register_kl(BlockTridiagonalNormal, GaussMarkovNormal)
@register_kl(BlockTridiagonalNormal, BlockTridiagonalNormal)
def _kl_blocks(q: StructuredNormal, p: StructuredNormal) -> torch.Tensor:
    _check_events(q, p)
    (diagonal, lower), (covariances, lags) = p.precision_blocks, q._covariance_blocks()
    trace = (diagonal * covariances).sum((-3, -2, -1)) + 2 * (lower * lags).sum((-3, -2, -1))
    square = p._whiten(q.loc).square().sum((-2, -1))  # not by the precision, whose large blocks would cancel
    return 0.5 * (trace + square - q.event_shape.numel()) + p._log_volume() - q._log_volume()


@register_kl(Independent, GaussMarkovNormal)
@register_kl(Independent, BlockTridiagonalNormal)
def _kl_from_independent(q: Independent, p: StructuredNormal) -> torch.Tensor:
    chain = _without_memory(q)
    return _kl_chains(chain, p) if isinstance(p, GaussMarkovNormal) else _kl_blocks(chain, p)


@register_kl(GaussMarkovNormal, Independent)
@register_kl(BlockTridiagonalNormal, Independent)
def _kl_to_independent(q: StructuredNormal, p: Independent) -> torch.Tensor:
    chain = _without_memory(p)
    return _kl_chains(q, chain) if isinstance(q, GaussMarkovNormal) else _kl_blocks(q, chain)


def _kl_diagonal(
    q: GaussMarkovNormal, p: GaussMarkovNormal, chain_q: DiagonalChain, chain_p: DiagonalChain
) -> torch.Tensor:
    loc, scale = (q.loc - p.loc) / p.scale, q.scale / p.scale
    ours, theirs = chain_q.eigenvalues, chain_p.eigenvalues
    loc_before, scale_before = (pad(value[..., :-1, :], (0, 0, 1, 0)) for value in (loc, scale))
    # A sum of squares: nothing cancels where both eigenvalues are close to one.
    square = (loc - theirs * loc_before).square() + (scale - theirs * ours * scale_before).square()
    square = square + (theirs * scale_before * chain_q.noise_scale).square()
    terms = square / chain_p.noise_scale.square() - 1 - 2 * scale.log()
    return 0.5 * terms.sum((-2, -1)) + chain_p.log_noise() - chain_q.log_noise()


def _without_memory(normal: Independent) -> GaussMarkovNormal:
    """The independent normal over frames and dimensions as a chain whose eigenvalues are zero."""
    base = independent_normal(normal)
    return GaussMarkovNormal(base.loc, base.scale, torch.zeros_like(base.loc[..., 1:, :]), validate_args=False)


def _check_events(q: StructuredNormal, p: StructuredNormal) -> None:
    if q.event_shape != p.event_shape:
        raise ValueError(
            f"both sequences must have the same event shape (T, n), got {tuple(q.event_shape)} and "
            f"{tuple(p.event_shape)}"
        )
