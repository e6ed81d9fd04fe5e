"""Queries that are written once, against site names, and work for every model and guide."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.poutine.messenger import Messenger
from torch import nn

from pyrodis.infer.handlers import SubstituteLatents
from pyrodis.infer.penalties import innermost
from pyrodis.infer.sites import OBSERVED, get_trace, is_factor, latent_sites, sample_sites
from pyrodis.ops import check_frames, check_positive_int

Latents = dict[str, torch.Tensor]

_SHOWS = ("static_view", "dynamic_view", "what_view", "where_view", "what_reader")  # parts of guides that may draw


def encode(
    guide: nn.Module, x: torch.Tensor, num_samples: int | None = None, *, num_views: int | None = None
) -> Latents:
    r"""Return the latents of a batch of clips: posterior means, or draws.

    Without `num_samples`, every latent site takes the mean of its distribution given that its ancestors took theirs; of
    a sequence with feedback, every frame takes its mean given the frames before. With it, the guide draws from q.

    Random views of the guide are drawn once, from their own seeds. With `num_views` = K, the posterior means are
    averaged over K draws of them, the k-th (from 0) with k added to every view's seed: less depends on what one draw
    happens to show, at K times the cost.

    Args:
        guide: An inference program.
        x: Clips.
        num_samples: N, or None for posterior means.
        num_views: K, or None for one draw of the guide's views. Not with `num_samples`.

    Shape:
        x: (B, T, C, H, W) in [0, 1].

    Returns:
        Site name to tensor: batch and event shape of the site (f (B, S), z (B, T, D)), with a leading N for draws.

    Raises:
        TypeError: If x is not a floating-point tensor, or a number is not an int.
        ValueError: If x has another shape, is not within [0, 1], or a number is not positive; if given a model; if
            given `num_views` beside `num_samples`, or for a guide without random views.

    Example:
        >>> from pyrodis.guides import FullGuide
        >>> from pyrodis.nn import ConvEncoder
        >>> guide = FullGuide(ConvEncoder((1, 8, 8), 4, base_channels=2), static_dim=3, dynamic_dim=2, hidden_dim=8)
        >>> encode(guide, torch.zeros(2, 5, 1, 8, 8))["z"].shape
        torch.Size([2, 5, 2])
        >>> encode(guide, torch.zeros(2, 5, 1, 8, 8), num_samples=10)["f"].shape
        torch.Size([10, 2, 3])
    """
    check_frames(x)
    guide = innermost(guide)  # penalties would only cost time and change the draws
    if num_views is not None:
        if num_samples is not None:
            raise ValueError("num_views averages posterior means, so it takes no num_samples; leave out one of the two")
        return _mean_over_views(guide, x, check_positive_int("num_views", num_views))
    with _evaluating(guide), SubstituteLatents(_central_value):
        means = get_trace(guide, x)
    if any(site["is_observed"] and not is_factor(site) for site in sample_sites(means).values()):
        raise ValueError(
            "encode takes the guide, got a program that observes data; pass the guide instead of the model"
        )
    if num_samples is None:
        return _latents(means)
    num_samples = check_positive_int("num_samples", num_samples)
    depth = max((-frame.dim for site in latent_sites(means).values() for frame in site["cond_indep_stack"]), default=0)
    with _evaluating(guide), pyro.plate("num_samples", num_samples, dim=-1 - depth):
        return _latents(get_trace(guide, x))


def decode(model: nn.Module, latents: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return the frames that latents stand for: the mean of x given them, without noise.

    Args:
        model: A generative program.
        latents: A value for every latent site, as `encode` and `sample_prior` give them.

    Shape:
        Each latent: batch and event shape of its site; leading dimensions N are allowed.

    Returns:
        Frames (B, T, C, H, W), or images (B, C, H, W) for models of images, with a leading N if the latents have it.

    Raises:
        TypeError: If a value is not a tensor.
        ValueError: If a site of the model has no value, a value has no site, or a shape or a batch size is wrong.

    Example:
        >>> from pyrodis.models import DSVAE, NormalPixels, StandardPrior
        >>> from pyrodis.nn import ConvDecoder
        >>> model = DSVAE(ConvDecoder(6, (1, 8, 8), base_channels=2), StandardPrior(2), NormalPixels(), 4, 2)
        >>> decode(model, {"f": torch.zeros(3, 4), "z": torch.zeros(3, 8, 2)}).shape
        torch.Size([3, 8, 1, 8, 8])
    """
    if "x" in _required_arguments(model):
        raise ValueError(
            "decode takes the model, got a program that cannot run without x; pass the model, not the guide"
        )
    with _evaluating(model):
        sites = latent_sites(get_trace(model, batch_size=1))
        batch_size = _check_latents(sites, latents)
        with _WithoutNoise(), poutine.condition(data=dict(latents)):
            return model(batch_size=batch_size)["reconstruction"]


def reconstruct(model: nn.Module, guide: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Return the clips decoded from their own posterior means.

    Args:
        model: A generative program.
        guide: An inference program over the same sites.
        x: Clips.

    Shape:
        x: (B, T, C, H, W) in [0, 1].

    Returns:
        Frames of the shape of x.

    Raises:
        TypeError: If x is not a floating-point tensor.
        ValueError: If x has another shape or the sites do not match.

    Example:
        >>> from pyrodis.testing import tiny_dsvae
        >>> model, guide = tiny_dsvae()
        >>> reconstruct(model, guide, torch.zeros(2, 5, 1, 8, 8)).shape
        torch.Size([2, 5, 1, 8, 8])
    """
    return decode(model, encode(guide, x))


def swap(model: nn.Module, guide: nn.Module, x_a: torch.Tensor, x_b: torch.Tensor, take: Sequence[str]) -> torch.Tensor:
    """Return the clips of `x_a` with the named latents taken from `x_b`.

    Args:
        model: A generative program.
        guide: An inference program over the same sites.
        x_a: Clips that give every other latent.
        x_b: Clips that give the named latents.
        take: Names of the sites that come from x_b, for example ["f"].

    Shape:
        x_a, x_b: (B, T, C, H, W) in [0, 1], the same shape.

    Returns:
        Frames (B, T, C, H, W).

    Raises:
        TypeError: If a batch is not a floating-point tensor, or `take` is a string.
        ValueError: If the shapes differ or a name is not a site of the guide.

    Example:
        >>> from pyrodis.testing import tiny_dsvae
        >>> model, guide = tiny_dsvae()
        >>> x_a, x_b = torch.zeros(2, 5, 1, 8, 8), torch.ones(2, 5, 1, 8, 8)
        >>> swap(model, guide, x_a, x_b, take=["f"]).shape
        torch.Size([2, 5, 1, 8, 8])
    """
    if isinstance(take, str):
        raise TypeError(f'take must be a list of site names, got the string "{take}"; write take=["{take}"]')
    if not isinstance(take, Sequence):
        raise TypeError(f'take must be a list of site names, got {take!r}; write take=["f"], for example')
    check_frames(x_a, name="x_a")
    check_frames(x_b, name="x_b")
    if x_a.shape != x_b.shape:
        raise ValueError(f"x_a and x_b must have the same shape, got {tuple(x_a.shape)} and {tuple(x_b.shape)}")
    latents, other = encode(guide, x_a), encode(guide, x_b)
    unknown = [name for name in take if name not in latents]
    if unknown:
        raise ValueError(f"take must name sites of the guide, {sorted(latents)}, got {unknown}")
    return decode(model, {**latents, **{name: other[name] for name in take}})


def sample_prior(model: nn.Module, num_samples: int) -> Latents:
    """Return draws of all latent sites from the prior.

    Args:
        model: A generative program.
        num_samples: B, how many clips' latents to draw.

    Returns:
        Site name to tensor, batch and event shape of the site.

    Raises:
        ValueError: If `num_samples` is not positive.

    Example:
        >>> from pyrodis.testing import tiny_dsvae
        >>> model, _ = tiny_dsvae()
        >>> sample_prior(model, 4)["z"].shape
        torch.Size([4, 5, 2])
    """
    num_samples = check_positive_int("num_samples", num_samples)
    with _evaluating(model):
        return _latents(get_trace(model, batch_size=num_samples))


def _mean_over_views(guide: nn.Module, x: torch.Tensor, num_views: int) -> Latents:
    """Posterior means averaged over draws of the guide's random views, whose seeds are as before afterwards."""
    views = _random_views(guide)
    if not views:
        raise ValueError(
            f"num_views needs a guide with random views, got {type(guide).__name__} without any; leave num_views out, "
            "or build the guide with a view such as PatchShuffle()"
        )
    seeds, total = [view.seed for view in views], Latents()
    try:
        for k in range(num_views):
            for view, seed in zip(views, seeds):
                view.seed = seed + k
            for name, value in encode(guide, x).items():
                total[name] = total[name] + value if k else value
    finally:
        for view, seed in zip(views, seeds):
            view.seed = seed
    return {name: value / num_views for name, value in total.items()}


def _random_views(guide: nn.Module) -> list[Any]:
    """All parts of a guide's views and readers that draw in eval mode; a part of two views stands there twice."""
    return [
        part
        for module in guide.modules()
        for name in _SHOWS
        if isinstance(view := getattr(module, name, None), nn.Module)
        for part in view.modules()
        if hasattr(part, "seed") and not getattr(part, "all_in_eval", False)
    ]


@contextmanager
def _evaluating(program: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in program.modules()]
    program.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def _central_value(fn: Any) -> torch.Tensor:
    return fn.mean_path if hasattr(fn, "mean_path") else fn.mean


class _WithoutNoise(Messenger):
    """Pixels take their mean, if their distribution tells it: noise that nobody sees takes time."""

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] == OBSERVED and not msg["is_observed"]:
            with suppress(NotImplementedError, AttributeError):
                msg["value"] = msg["fn"].mean
                msg["done"] = True


def _latents(trace: Any) -> Latents:
    return {name: site["value"] for name, site in latent_sites(trace).items()}


def _required_arguments(program: nn.Module) -> list[str]:
    parameters = inspect.signature(program.forward).parameters.values()
    return [p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]


def _check_latents(sites: Mapping[str, Any], latents: Mapping[str, torch.Tensor]) -> int:
    """Return B if there is a value of the right shape for every site and no other."""
    if set(latents) != set(sites):
        raise ValueError(
            f"latents must hold a value for each of the model's sites {sorted(sites)}, got {sorted(latents)}; "
            "take them from encode or sample_prior"
        )
    sizes = {}
    for name, site in sites.items():
        event_shape, value = site["fn"].event_shape, latents[name]
        if not isinstance(value, torch.Tensor):
            raise TypeError(f"latent '{name}' must be a torch tensor, got {type(value).__name__}")
        if value.ndim <= len(event_shape) or value.shape[-1] != event_shape[-1]:
            expected = ", ".join(["...", "B", *map(str, event_shape)])
            raise ValueError(f"latent '{name}' must have shape ({expected}), got {tuple(value.shape)}")
        for frame in site["cond_indep_stack"]:
            dim = frame.dim - len(event_shape)
            if frame.dim < -1 and (value.ndim < -dim or value.shape[dim] != frame.size):
                raise ValueError(
                    f"latent '{name}' must have {frame.size} {frame.name} along dimension {dim}, got shape "
                    f"{tuple(value.shape)}; take it from a guide of this model"
                )
        if value.device.type != "meta" and not bool(value.isfinite().all()):
            raise ValueError(f"latent '{name}' must be finite, got NaN or infinity; encode clips without NaN")
        sizes[name] = value.shape[-1 - len(event_shape)]
    if len(set(sizes.values())) > 1:
        raise ValueError(f"all latents must have the same batch size, got {sizes}")
    return next(iter(sizes.values()))
