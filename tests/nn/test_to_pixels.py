"""The last layer of a decoder against torch's transposed convolution, whose parameters it has."""

from __future__ import annotations

from pathlib import Path

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


def test_pixels_of_many_weights_and_along_a_tangent_are_those_of_torch() -> None:
    ours, theirs = make_layers(4, 3)
    maps, tangent = torch.randn(2, 2, 4, 3, 3, dtype=torch.float64)
    weights = torch.randn(5, 4, 3, 4, 4, dtype=torch.float64)

    def pixels_of(layer: nn.Module) -> list[torch.Tensor]:
        many = torch.vmap(lambda weight: torch.func.functional_call(layer, {"weight": weight}, (maps,)))(weights)
        return [many, *torch.func.jvp(lambda x: layer(x).sin(), (maps,), (tangent,))]

    torch.testing.assert_close(pixels_of(ours), pixels_of(theirs))


def test_pixels_may_be_changed_in_place() -> None:
    ours, theirs = make_layers(4, 3)
    maps = torch.randn(2, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    gradients = [torch.autograd.grad(layer(maps).sigmoid_().square().sum(), maps)[0] for layer in (ours, theirs)]
    torch.testing.assert_close(*gradients)


def test_what_is_not_plain_is_left_to_torch(tmp_path: Path) -> None:
    ours, theirs = make_layers(4, 3)
    maps = torch.randn(2, 4, 3, 3, dtype=torch.float64)
    torch.testing.assert_close(ours(maps[0]), theirs(maps[0]))
    torch.testing.assert_close(ours(maps, [7, 6]), theirs(maps, [7, 6]))
    torch.jit.save(torch.jit.trace(ours.eval(), maps), tmp_path / "layer.pt")
    torch.testing.assert_close(torch.jit.load(tmp_path / "layer.pt")(maps), theirs(maps))
    ours.bias = theirs.bias = None
    torch.testing.assert_close(ours(maps), theirs(maps))
    elsewhere = ours.to("meta")(maps.to("meta"))  # the format of torch's own result is not channels last
    assert (elsewhere.shape, elsewhere.is_contiguous()) == ((2, 3, 6, 6), True)


def test_pixels_in_half_precision_are_as_near_as_those_of_torch() -> None:
    ours, theirs = make_layers(24, 3, torch.float32)
    maps = torch.randn(8, 24, 8, 8)
    exact = theirs.double()(maps.double())
    with torch.autocast("cpu", torch.bfloat16):
        error = [float((layer(maps).detach() - exact).square().mean()) for layer in (ours, theirs.float())]
    assert error[0] < 1.05 * error[1]
    with torch.autocast("cpu", torch.bfloat16):
        ours(maps).sum().backward()
    with torch.autocast("cpu", torch.bfloat16):
        theirs(maps).sum().backward()
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, rtol=0.02, atol=0.02)


def test_a_decoder_has_the_parameters_that_it_had() -> None:
    decoder = ConvDecoder(4, (3, 16, 16), base_channels=2)
    last = decoder.convolutions[-1]
    assert isinstance(last, ToPixels)
    assert {name: value.shape for name, value in last.state_dict().items()} == {"weight": (2, 3, 4, 4), "bias": (3,)}
    assert "convolutions.5.weight" in decoder.state_dict()
