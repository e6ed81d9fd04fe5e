"""Networks of convolutions that are built alike, run as one: a layer of all of them is one grouped convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import nn
from torch.nn.functional import batch_norm, conv2d, conv_transpose2d

from pyrodis.nn.grid import GridDecoder, GridEncoder


def check_grouped(name: str, networks: nn.ModuleList, grouped: bool) -> bool:
    """Return whether networks are to run in groups, if they can.

    Args:
        name: Name of the argument that holds the networks, for the message.
        networks: The networks, one a component.
        grouped: Whether they are to.

    Returns:
        The same.

    Raises:
        TypeError: If it is neither True nor False.
        ValueError: If they are to, and one has other layers than convolutions, or they are not all built alike.

    Example:
        >>> check_grouped("encoders", nn.ModuleList(GridEncoder(widths=(2, 4, 8)) for _ in range(3)), True)
        True
    """
    if not isinstance(grouped, bool):
        raise TypeError(f"grouped must be True or False, got {grouped!r}")
    for k, network in enumerate(networks if grouped else ()):
        if type(network) not in (GridEncoder, GridDecoder):
            raise ValueError(
                f"{name} must be GridEncoder or GridDecoder to run in groups, since they have convolutions alone, got "
                f"{type(network).__name__} as {name}[{k}]; pass grouped=False"
            )
        if repr(network) != repr(networks[0]):
            raise ValueError(
                f"{name} must all be built alike to run in groups, but {name}[{k}] is not as {name}[0]; pass "
                "grouped=False"
            )
    return grouped


def run_components(networks: nn.ModuleList, inputs: Sequence[torch.Tensor], grouped: bool) -> list[torch.Tensor]:
    """Return what each of K networks makes of its own input, one after another or all at once.

    In groups, a layer of all networks is one convolution, whose groups do not hear of each other: the same outputs and
    gradients up to rounding, in fewer and larger calls. Hooks of the layers do not run. While some networks are frozen
    and others are not, as in stages that train one component, they run one after another all the same, since one
    convolution computes the gradients of all its groups; so do networks whose layers were replaced, as by normalization
    that is synchronized between processes.

    Args:
        networks: The networks, one a component.
        inputs: The input of each; one and the same tensor for all is read once.
        grouped: Whether to run them in groups; `check_grouped` has found that they can.

    Returns:
        The outputs, in the order of the networks.

    Example:
        >>> decoders = nn.ModuleList(GridDecoder(1, (2, 8, 8), grid=4, widths=(4, 2)) for _ in range(3))
        >>> [tuple(image.shape) for image in run_components(decoders, [torch.zeros(5, 16)] * 3, grouped=True)]
        [(5, 2, 8, 8), (5, 2, 8, 8), (5, 2, 8, 8)]
    """
    if not grouped or not _can_run(networks):
        return [network(value) for network, value in zip(networks, inputs)]
    parts: list[Any] = list(networks)  # GridEncoder or GridDecoder
    shared = all(value is inputs[0] for value in inputs)
    x = torch.cat([part._to_maps(value) for part, value in zip(parts, inputs[:1] if shared else inputs)], 1)
    for number, layers in enumerate(zip(*(part.convolutions for part in parts), strict=True)):
        x = _run(layers, x, 1 if shared and number == 0 and isinstance(layers[0], nn.Conv2d) else len(parts))
    found = x.unflatten(1, (len(parts), -1)).unbind(1)
    return [part._from_maps(maps, value) for part, maps, value in zip(parts, found, inputs)]


def _can_run(networks: nn.ModuleList) -> bool:
    """Whether all have layers that are known here, are in the same mode, and train the same weights."""
    layers: list[list[Any]] = [list(cast("Any", network).convolutions) for network in networks]
    modes = {tuple((layer.training, getattr(layer, "track_running_stats", None)) for layer in own) for own in layers}
    weights = {tuple(weight.requires_grad for weight in network.parameters()) for network in networks}
    return len(modes) == len(weights) == 1 and all(_is_known(layer) for own in layers for layer in own)


def _is_known(layer: nn.Module) -> bool:
    if type(layer) is nn.BatchNorm2d:
        return layer.running_mean is not None and layer.momentum is not None
    return type(layer) in (nn.Conv2d, nn.ConvTranspose2d, nn.LeakyReLU)


def _run(layers: Sequence[Any], x: torch.Tensor, groups: int) -> torch.Tensor:
    """One layer of all networks, on (N, K C, H, W); on (N, C, H, W) that all share if there is one group."""
    layer = layers[0]
    if isinstance(layer, nn.Conv2d):
        return conv2d(x, *_weights(layers), layer.stride, layer.padding, layer.dilation, groups)
    if isinstance(layer, nn.ConvTranspose2d):
        sizes: list[Any] = [layer.stride, layer.padding, layer.output_padding, groups, layer.dilation]
        return conv_transpose2d(x, *_weights(layers), *sizes)
    if isinstance(layer, nn.BatchNorm2d):
        return _normalize(layers, x)
    return layer(x)  # an activation, which has no weights


def _weights(layers: Sequence[Any]) -> tuple[torch.Tensor, torch.Tensor | None]:
    bias = None if layers[0].bias is None else torch.cat([layer.bias for layer in layers])
    return torch.cat([layer.weight for layer in layers]), bias


def _normalize(layers: Sequence[Any], x: torch.Tensor) -> torch.Tensor:
    """Batch normalization: channels do not hear of each other, so there is nothing to keep apart."""
    layer = layers[0]
    if layer.training and not layer.track_running_stats:
        return batch_norm(x, None, None, *_weights(layers), True, layer.momentum, layer.eps)
    mean, var = (torch.cat([getattr(each, name) for each in layers]) for name in ("running_mean", "running_var"))
    x = batch_norm(x, mean, var, *_weights(layers), layer.training, layer.momentum, layer.eps)
    if layer.training:
        for each, new_mean, new_var in zip(layers, mean.chunk(len(layers)), var.chunk(len(layers))):
            each.running_mean.copy_(new_mean)
            each.running_var.copy_(new_var)
            each.num_batches_tracked.add_(1)
    return x
