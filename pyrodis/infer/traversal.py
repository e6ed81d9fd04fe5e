"""What single dimensions of a latent draw: change them one at a time, or take them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from pyrodis.infer.queries import _check_latents, _evaluating, decode
from pyrodis.infer.sites import get_trace, latent_sites

NUM_VALUES = 7
RANGE = 2.0  # standard deviations of a standard normal prior


def traverse(
    model: nn.Module,
    latents: Mapping[str, torch.Tensor],
    site: str = "z",
    dims: Sequence[int] | None = None,
    values: Sequence[float] | torch.Tensor | None = None,
    frame: int | None = None,
    component: int | None = None,
) -> torch.Tensor:
    r"""Decode latents in which one dimension of one site takes given values, all others stay.

    Where the site is a sequence, the dimension takes the value in all its frames alike, or in one frame; where it has a
    plate of components, in the codes of all of them, or of one. A dimension that draws one thing changes that thing
    alone, and one that is dead changes nothing.

    Args:
        model: A generative program.
        latents: A value for every latent site, as `encode` and `sample_prior` give them.
        site: The site to change.
        dims: Dimensions to change, one after the other; None for all.
        values: Values that each of them takes; None for seven from -2 to 2.
        frame: The frame to change, from 0; None for all frames.
        component: The component to change, from 0, of a site with batch (K, B); None for all components.

    Shape:
        Each latent: batch and event shape of its site.

    Returns:
        Frames (dims, values, B, T, C, H, W); images (dims, values, B, C, H, W) for models of images.

    Raises:
        TypeError: If a value is not a tensor, or `dims`, `frame` or `component` are not whole numbers.
        ValueError: If the model has no such site, dimension, frame or component, there is no value or dimension, a
            value is not finite, or the latents do not fit the model.

    Source:
        Higgins et al., beta-VAE (2017), whose traversals are of images.

    Example:
        >>> from pyrodis.testing import tiny_dsvae
        >>> model, guide = tiny_dsvae()
        >>> latents = {"f": torch.zeros(4, 3), "z": torch.zeros(4, 5, 2)}
        >>> traverse(model, latents, dims=[1], values=[-1.0, 0.0, 1.0]).shape
        torch.Size([1, 3, 4, 5, 1, 8, 8])
        >>> traverse(model, latents, site="f").shape
        torch.Size([3, 7, 4, 5, 1, 8, 8])
    """
    event_shape, latents = _check_site(model, latents, site)
    dims = range(event_shape[-1]) if dims is None else _check_dims(dims, event_shape[-1], site)
    value = latents[site]
    levels = _check_values(values, value)
    rows = []
    for dim in dims:
        changed = value.expand(len(levels), *value.shape).clone()
        part = changed if component is None else _component_of(changed, component, len(event_shape), value.ndim, site)
        part = (part if frame is None else _frame_of(part, frame, len(event_shape), site))[..., dim]
        part.copy_(levels.reshape(-1, *[1] * (part.ndim - 1)))
        rows.append(decode(model, _repeat({**latents, site: changed}, site, len(levels))))
    return torch.stack(rows)


def remove_latents(
    model: nn.Module,
    latents: Mapping[str, torch.Tensor],
    dims: Sequence[int],
    site: str = "z",
    donors: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Decode latents without some dimensions of a site: what do the others draw alone?

    Without `donors` the dimensions are 0, the mean of a standard prior. For a position that is one more position: the
    object is drawn in the middle, not left out. With `donors` they are taken from each of K other clips in turn, and
    the median over the K decodings is returned, pixel by pixel. What the dimensions draw at ever other places is then
    gone, and what lies behind it is filled in from the decodings that show it: the background, if the dimensions hold
    the position of an object that covers less than half of the decodings at every pixel.

    Args:
        model: A generative program.
        latents: A value for every latent site, as `encode` and `sample_prior` give them.
        dims: Dimensions of the site to take out.
        site: The site.
        donors: Values of the site from other clips, `encode(guide, others)["z"]`, or draws, `sample_prior(model,
            K)["z"]`; None for 0.

    Shape:
        Each latent: batch and event shape of its site. donors: K and the event shape of the site.

    Returns:
        Frames (B, T, C, H, W); images (B, C, H, W) for models of images.

    Raises:
        TypeError: If a value is not a tensor, or `dims` are not whole numbers.
        ValueError: If the model has no such site or dimension, `donors` have another shape or are not finite, or the
            latents do not fit the model.

    Example:
        >>> from pyrodis.testing import tiny_dsvae
        >>> model, guide = tiny_dsvae()
        >>> latents = {"f": torch.zeros(4, 3), "z": torch.ones(4, 5, 2)}
        >>> remove_latents(model, latents, dims=[0], donors=torch.randn(9, 5, 2)).shape
        torch.Size([4, 5, 1, 8, 8])
    """
    event_shape, latents = _check_site(model, latents, site)
    dims = _check_dims(dims, event_shape[-1], site)
    value = latents[site]
    if donors is None:
        changed = value.clone()
        changed[..., dims] = 0.0
        return decode(model, {**latents, site: changed})
    wanted = value.shape[value.ndim - len(event_shape) :]
    if not isinstance(donors, torch.Tensor):
        raise TypeError(f"donors must be a torch tensor, got {type(donors).__name__}; take encode(guide, x)['{site}']")
    if donors.ndim != len(wanted) + 1 or donors.shape[1:] != wanted or not len(donors):
        shape = ", ".join(map(str, wanted))
        raise ValueError(f"donors must have shape (K, {shape}), got {tuple(donors.shape)}; encode clips of this length")
    changed = value.expand(len(donors), *value.shape).clone()
    spread = donors.to(value).reshape(len(donors), *[1] * (value.ndim - len(wanted)), *wanted)
    changed[..., dims] = spread[..., dims]
    frames = decode(model, _repeat({**latents, site: changed}, site, len(donors))).sort(dim=0).values
    return (frames[(len(donors) - 1) // 2] + frames[len(donors) // 2]) / 2  # torch's median is the lower of two


def _check_site(
    model: nn.Module, latents: Mapping[str, torch.Tensor], site: str
) -> tuple[tuple[int, ...], dict[str, torch.Tensor]]:
    """Return the event shape of a site of the model, and the latents if they are one clip batch."""
    with _evaluating(model):
        sites = latent_sites(get_trace(model, batch_size=1))
    if site not in sites:
        raise ValueError(f"site must be one of the model's sites {sorted(sites)}, got {site!r}")
    _check_latents(sites, latents)
    event_shape = tuple(sites[site]["fn"].event_shape)
    plates = len(sites[site]["fn"].batch_shape)
    if latents[site].ndim > len(event_shape) + max(plates, 1):
        raise ValueError(
            f"latent '{site}' must have no leading dimension before its batch, got shape "
            f"{tuple(latents[site].shape)}; take posterior means, or one draw"
        )
    return event_shape, dict(latents)


def _check_dims(dims: Any, size: int, site: str) -> list[int]:
    if isinstance(dims, (int, str)) or not all(type(dim) is int for dim in dims):
        raise TypeError(f"dims must be a list of whole numbers, got {dims!r}; write dims=[0], for example")
    dims = list(dims)
    if not dims or not all(0 <= dim < size for dim in dims):
        raise ValueError(f"dims must name dimensions of '{site}', from 0 to {size - 1}, got {dims}")
    return dims


def _check_values(values: Sequence[float] | torch.Tensor | None, like: torch.Tensor) -> torch.Tensor:
    """Return the values as a vector of the latents' type."""
    if values is None:
        return torch.linspace(-RANGE, RANGE, NUM_VALUES, dtype=like.dtype, device=like.device)
    levels = torch.as_tensor(values, dtype=like.dtype, device=like.device)
    if levels.ndim != 1 or not len(levels) or not bool(levels.isfinite().all()):
        raise ValueError(f"values must be one row of finite numbers, got {values!r}; pass [-1.0, 0.0, 1.0], say")
    return levels


def _frame_of(value: torch.Tensor, frame: Any, num_event_dims: int, site: str) -> torch.Tensor:
    """Return one frame of a sequence, as a view."""
    if isinstance(frame, bool) or not isinstance(frame, int):
        raise TypeError(f"frame must be a whole number or None, got {frame!r}")
    num_frames = value.shape[-2] if num_event_dims > 1 else 0
    if not 0 <= frame < num_frames:
        has = f"frames 0 to {num_frames - 1}" if num_frames else "no frames"
        raise ValueError(f"frame must be a frame of '{site}', which has {has}, got {frame}")
    return value[..., frame, :]


def _component_of(value: torch.Tensor, component: Any, num_event_dims: int, num_dims: int, site: str) -> torch.Tensor:
    """Return the code of one component, as a view; `num_dims` are those of the site's own shape."""
    if isinstance(component, bool) or not isinstance(component, int):
        raise TypeError(f"component must be a whole number or None, got {component!r}")
    place = -2 - num_event_dims  # left of the batch
    num_components = value.shape[place] if num_dims >= -place else 0
    if not 0 <= component < num_components:
        has = f"components 0 to {num_components - 1}" if num_components else "no components"
        raise ValueError(f"component must be a component of '{site}', which has {has}, got {component}")
    return value.select(place, component)


def _repeat(latents: dict[str, torch.Tensor], site: str, num: int) -> dict[str, torch.Tensor]:
    """Give every other site the leading dimension that the changed one has."""
    return {name: value if name == site else value.expand(num, *value.shape) for name, value in latents.items()}
