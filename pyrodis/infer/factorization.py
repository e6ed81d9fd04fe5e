"""What every factor of a guide depends on, by derivatives: a check of what the guide declares."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from pyro import poutine
from torch import nn

from pyrodis.guides import Factorization
from pyrodis.infer.penalties import innermost
from pyrodis.infer.sampler import seeded
from pyrodis.infer.sites import get_trace, latent_sites
from pyrodis.ops import check_frames

__all__ = ["measure_factorization"]

SMALLEST = 1e-9  # of the largest derivative of a factor's parameters: what double precision leaves of a true zero
COMPONENTS = "components"


def measure_factorization(guide: nn.Module, x: torch.Tensor, seed: int = 0) -> Factorization:
    """Return what the parameters of every factor of a guide depend on, by their Jacobian.

    The mean and the standard deviation of every code, given the codes that are drawn before it, are differentiated by
    the frames and by those codes, in double precision, at one draw of the codes. A normal distribution over all frames
    is taken apart into factors frame by frame, each given the frames before. A derivative that is not zero at the
    clips given is a proof of dependence; one that is zero there need not be zero elsewhere, so give several clips.

    The guide runs in eval mode, as a copy; its random views show one fixed draw, and a view that hides a frame makes
    factors depend on less than the guide declares.

    Args:
        guide: An inference program over sites of a code a clip, of a code a frame, or of a code a component.
        x: Clips.
        seed: Seed of the draw of the codes.

    Shape:
        x: (B, T, C, H, W) in [0, 1].

    Returns:
        Name of a code to the names of what its parameters depend on, as `pyrodis.guides.Factorization` says.

    Raises:
        TypeError: If x is not a floating-point tensor.
        ValueError: If x has another shape or is out of range.
        NotImplementedError: If a site has an event shape that is neither (D) nor (T, D).

    Source:
        An idea of our own: a factorization is a sparsity pattern of a Jacobian.

    Example:
        >>> from pyrodis.guides import FramewiseGuide
        >>> from pyrodis.nn import ConvEncoder
        >>> guide = FramewiseGuide(ConvEncoder((1, 8, 8), 4, base_channels=2), 3, 2, hidden_dim=8)
        >>> measure_factorization(guide, torch.rand(2, 2, 1, 8, 8))
        {'f': ('x_1', 'x_2'), 'z_1': ('x_1',), 'z_2': ('x_2',)}
    """
    x = check_frames(x).detach().double().requires_grad_()
    guide = copy.deepcopy(innermost(guide)).double().eval()
    with seeded(x.device, seed), torch.enable_grad():
        drawn = latent_sites(get_trace(guide, x))
        codes = {name: site["value"].detach().requires_grad_() for name, site in drawn.items()}
        with poutine.condition(data=codes):
            sites = get_trace(guide, x).nodes
        found: Factorization = {}
        for name, value in codes.items():
            places = _places(name, drawn[name], x.shape[1])
            parameters = _parameters(sites[name]["fn"], value)
            for place, index in places.items():
                found[place] = _sources(parameters[index], x, codes, drawn)
    return found


def _places(name: str, site: Any, num_frames: int) -> dict[str, Any]:
    """Names of a site's codes, and where each stands in the site's value."""
    event_shape = site["fn"].event_shape
    stack = {frame.name: frame for frame in site["cond_indep_stack"]}
    if len(event_shape) == 1 and COMPONENTS in stack:
        return {f"{name}^{k + 1}": (k,) for k in range(stack[COMPONENTS].size)}
    if len(event_shape) == 1:
        return {name: (...,)}
    if len(event_shape) == 2 and event_shape[0] in (num_frames, num_frames - 1):
        first = 1 + num_frames - event_shape[0]  # a site of transitions starts at the second frame
        return {f"{name}_{first + t}": (..., t, slice(None)) for t in range(event_shape[0])}
    raise NotImplementedError(
        f"site {name!r} must have an event shape (D) or (T, D) with T = {num_frames}, got {tuple(event_shape)}"
    )


def _parameters(fn: Any, value: torch.Tensor) -> torch.Tensor:
    """Mean and standard deviation of every code given those before it, side by side in the last dimension."""
    if hasattr(fn, "covariance_matrix") and len(fn.event_shape) == 2:
        return _given_before(fn, value)
    if hasattr(fn, "conditional"):
        fn = fn.conditional(value)
    return torch.cat([fn.mean, fn.variance.expand_as(fn.mean)], -1)


def _given_before(fn: Any, value: torch.Tensor) -> torch.Tensor:
    """The normals of the frames given the frames before, of one normal over all of them: mean and Cholesky factor."""
    num_frames, dim = fn.event_shape
    factor = torch.linalg.cholesky(fn.covariance_matrix)
    frame = torch.arange(num_frames).repeat_interleave(dim)
    before = factor * (frame[:, None] > frame).to(factor)
    white = torch.linalg.solve_triangular(factor, (value - fn.mean).flatten(-2).unsqueeze(-1), upper=False)
    mean = fn.mean + (before @ white).squeeze(-1).unflatten(-1, fn.event_shape)
    blocks = factor.unflatten(-2, (num_frames, dim)).unflatten(-1, (num_frames, dim))
    scale = blocks.diagonal(dim1=-4, dim2=-2).movedim(-1, -3).flatten(-2)
    return torch.cat([mean, scale.expand(*mean.shape[:-1], -1)], -1)


def _sources(
    parameters: torch.Tensor, x: torch.Tensor, codes: Mapping[str, torch.Tensor], drawn: Mapping[str, Any]
) -> tuple[str, ...]:
    """Names of the codes and frames that parameters depend on, codes first."""
    if not parameters.requires_grad:
        return ()
    inputs = [*codes.values(), x]
    sizes = [torch.zeros_like(value) for value in inputs]
    for part in parameters.reshape(-1, parameters.shape[-1]).sum(0):  # clips do not mix, so their sum keeps them apart
        gradients = torch.autograd.grad(part, inputs, retain_graph=True, allow_unused=True)
        sizes = [size if g is None else torch.maximum(size, g.abs()) for size, g in zip(sizes, gradients)]
    largest = max(float(size.max()) for size in sizes if size.numel())
    named: dict[str, float] = {}
    for name, size in zip(codes, sizes):
        named |= {key: float(size[index].max()) for key, index in _places(name, drawn[name], x.shape[1]).items()}
    named |= {f"x_{t + 1}": float(size.max()) for t, size in enumerate(sizes[-1].unbind(1))}
    return tuple(name for name, size in named.items() if size > SMALLEST * largest)
