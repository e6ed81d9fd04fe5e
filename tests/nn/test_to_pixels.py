"""The last layer of a decoder against torch's transposed convolution, whose parameters it has."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pyrodis.nn import ConvDecoder
from pyrodis.nn._to_pixels import ToPixels


def make_layers(inputs: int, outputs: int, dtype: torch.dtype = torch.float64) -> tuple[ToPixels, nn.ConvTranspose2d]:
    torch.manual_seed(0)
    ours, theirs = ToPixels(inputs, outputs).to(dtype), nn.ConvTranspose2d(inputs, outputs, 4, 2, 1).to(dtype)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.mark.parametrize(
    ("outputs", "size"), [(1, (1, 1)), (3, (4, 6)), (4, (5, 2)), (5, (3, 3))], ids=["1", "3", "4", "5"]
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_pixels_and_their_gradients_are_those_of_torch(
    outputs: int, size: tuple[int, int], layout: torch.memory_format
) -> None:
    ours, theirs = make_layers(6, outputs)
    maps = torch.randn(2, 6, *size, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    found = []
    for layer in (ours, theirs):
        pixels = layer(maps)
        variables = (maps, layer.weight, layer.bias)
        first = torch.autograd.grad(pixels.sin().square().sum(), variables, create_graph=True)
        second = torch.autograd.grad(sum(each.square().sum() for each in first), variables)
        found.append([pixels, *first, *second])
    torch.testing.assert_close(*found)


def test_pixels_under_vmap_are_those_of_torch() -> None:
    ours, theirs = make_layers(4, 3)
    maps = torch.randn(5, 2, 4, 3, 3, dtype=torch.float64)
    torch.testing.assert_close(torch.vmap(ours)(maps), theirs(maps.flatten(0, 1)).unflatten(0, (5, 2)))
    gradients = torch.vmap(torch.func.grad(lambda x: ours(x).square().sum()))(maps)
    maps.requires_grad_()
    torch.testing.assert_close(gradients, torch.autograd.grad(theirs(maps.flatten(0, 1)).square().sum(), maps)[0])


def test_pixels_in_half_precision_are_as_near_as_those_of_torch() -> None:
    ours, theirs = make_layers(24, 3, torch.float32)
    maps = torch.randn(8, 24, 8, 8)
    exact = theirs.double()(maps.double())
    with torch.autocast("cpu", torch.bfloat16):
        error = [float((layer(maps).detach() - exact).square().mean()) for layer in (ours, theirs.float())]
    assert error[0] < 1.05 * error[1]
    with torch.autocast("cpu", torch.bfloat16):
        ours(maps).sum().backward()
    assert ours.weight.grad is not None
    assert ours.weight.grad.dtype == torch.float32


def test_a_decoder_has_the_parameters_that_it_had() -> None:
    decoder = ConvDecoder(4, (3, 16, 16), base_channels=2)
    last = decoder.convolutions[-1]
    assert isinstance(last, ToPixels)
    assert {name: value.shape for name, value in last.state_dict().items()} == {"weight": (2, 3, 4, 4), "bias": (3,)}
    assert "convolutions.5.weight" in decoder.state_dict()
