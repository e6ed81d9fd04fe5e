"""The discriminator of frames: shapes, spectral norms, and a frame that is judged alone."""

from __future__ import annotations

import pytest
import torch

from pyrodis.nn import FrameDiscriminator


def make(size: int = 16, **arguments: int) -> FrameDiscriminator:
    torch.manual_seed(0)
    return FrameDiscriminator((2, size, size), base_channels=4, **arguments)


@pytest.mark.parametrize(
    ("size", "layer", "shape"), [(16, 1, (4, 8, 8)), (16, 2, (8, 4, 4)), (16, None, (4, 8, 8)), (8, None, (4, 4, 4))]
)
def test_shapes(size: int, layer: int | None, shape: tuple[int, ...]) -> None:
    discriminator = make(size, feature_layer=layer)
    logits, features = discriminator(torch.rand(3, 5, 2, size, size))
    assert logits.shape == (3, 5)
    assert features.shape == (3, 5, *shape)
    assert discriminator(torch.rand(2, size, size))[0].shape == ()


def test_a_convolution_at_most_doubles_a_distance_however_large_its_weights_become() -> None:
    discriminator = make(feature_layer=2)
    for parameter in discriminator.parameters():
        parameter.data *= 100
    frames = torch.rand(64, 2, 16, 16)
    for _ in range(20):  # power iterations
        discriminator(frames)
    _, features = discriminator.eval()(frames)
    ratio = torch.pdist(features.flatten(1)) / torch.pdist(frames.flatten(1))
    assert ratio.max() < 4
    for module in (discriminator.below[0][0], discriminator.below[1][0], discriminator.above[0][1]):
        assert torch.linalg.matrix_norm(module.weight.flatten(1), 2).item() == pytest.approx(1, rel=0.05)


def test_a_frame_is_judged_alone_and_the_same_twice_in_eval_mode() -> None:
    discriminator = make().eval()
    frames = torch.rand(3, 2, 16, 16)
    state = {name: value.clone() for name, value in discriminator.state_dict().items()}
    logits, features = discriminator(frames)
    torch.testing.assert_close(discriminator(frames[1])[0], logits[1])
    torch.testing.assert_close(discriminator(frames[1])[1], features[1])
    assert all(torch.equal(value, state[name]) for name, value in discriminator.state_dict().items())


def test_half_precision_inside_full_precision_outside() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, features = make()(torch.rand(3, 2, 16, 16))
    assert (logits.dtype, features.dtype) == (torch.float32, torch.float32)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="feature_layer must be one of the 2 convolutions of this frame_shape, got 3"):
        make(feature_layer=3)
    with pytest.raises(ValueError, match="feature_layer must be a positive whole number, got 0"):
        make(feature_layer=0)
    with pytest.raises(ValueError, match=r"\(\.\.\., 2, 16, 16\), got \(3, 2, 8, 8\); resize"):
        make()(torch.rand(3, 2, 8, 8))
    with pytest.raises(TypeError, match=r"frames must be torch\.float32"):
        make()(torch.rand(3, 2, 16, 16).double())
    with pytest.raises(ValueError, match="a power of two of at least 8"):
        FrameDiscriminator((3, 48, 48))
