"""An encoder of patches without their places, and a reader of frames without their order."""

from __future__ import annotations

import pytest
import torch

from pyrodis.guides import FactorizedGuide, FramewiseGuide, FullGuide, SmoothingGuide
from pyrodis.nn import ConvEncoder, FrameShuffle, MeanReader, PatchEncoder, PatchShuffle, PlaceBlindEncoder

GUIDES = [FullGuide, FactorizedGuide, FramewiseGuide, SmoothingGuide]


def clips(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def test_shuffled_patches_give_the_same_features() -> None:
    encoder = PatchEncoder((3, 16, 16), feature_dim=8, base_channels=4, patch_size=4).double()
    frames = clips(2, 5, 3, 16, 16).double()
    torch.testing.assert_close(encoder(PatchShuffle(4)(frames)), encoder(frames))
    torch.testing.assert_close(encoder.eval()(PatchShuffle(8)(frames)), encoder(frames))


def test_how_often_a_patch_is_shown_does_not_matter() -> None:
    encoder = PatchEncoder((3, 16, 16), feature_dim=8, base_channels=4, patch_size=4).eval()
    one, other = clips(2, 3, 4, 4)
    rare, often = one.repeat(1, 4, 4), one.repeat(1, 4, 4)
    rare[:, :4, :4] = other
    often[:, :, :8] = other.repeat(1, 4, 2)
    with torch.no_grad():
        torch.testing.assert_close(encoder(often), encoder(rare))
        assert not torch.allclose(encoder(one.repeat(1, 4, 4)), encoder(rare), atol=1e-3)


def test_what_is_inside_a_patch_matters() -> None:
    encoder = PatchEncoder((3, 16, 16), feature_dim=8, base_channels=4, patch_size=4).eval()
    frames = clips(2, 5, 3, 16, 16)
    assert not torch.allclose(encoder(PatchShuffle(2)(frames)), encoder(frames), atol=1e-3)


def test_a_color_of_one_patch_in_many_reaches_the_features() -> None:
    encoder = PatchEncoder((3, 64, 64), feature_dim=32, base_channels=8, patch_size=4)
    frames = clips(32, 1, 1, 1, 1).expand(32, 1, 3, 64, 64).clone()
    frames[:, :, :, 4:, :] = 0
    frames[:, :, :, :, 4:] = 0  # each frame is black but for one patch of its own gray
    features = encoder(frames).squeeze(1)
    gray = frames[:, 0, 0, 0, 0]
    correlation = torch.corrcoef(torch.cat([gray[None], features.T]))[0, 1:].abs()
    assert correlation.nan_to_num().max() > 0.9
    assert features.std(0).max() > 0.5  # normalized: one patch of 256 moves a feature as far as the whole frame would


@pytest.mark.parametrize("guide", GUIDES)
def test_f_from_patches_and_their_mean_knows_neither_place_nor_order(guide: type) -> None:
    encoder = PatchEncoder((3, 16, 16), feature_dim=8, base_channels=4, patch_size=4)
    own = ConvEncoder((3, 16, 16), 8, base_channels=2)
    program = guide(encoder, 3, 2, 8, dynamic_encoder=own, static_reader=MeanReader(8, 8)).eval()
    x = clips(2, 5, 3, 16, 16)
    moved = FrameShuffle()(PatchShuffle(4)(x))
    with torch.no_grad():
        torch.testing.assert_close(
            program.static(encoder(moved)).mean, program.static(encoder(x)).mean, atol=1e-5, rtol=1e-5
        )
        reversed_loc = guide(encoder, 3, 2, 8, dynamic_encoder=own).eval().static(encoder(x.flip(1))).mean
    assert reversed_loc.shape == (2, 3)


def test_a_recurrent_reader_does_see_the_order() -> None:
    guide = FullGuide(ConvEncoder((3, 16, 16), 8, base_channels=2), 3, 2, 8).eval()
    x = clips(2, 5, 3, 16, 16)
    with torch.no_grad():
        there, back = guide.static(guide.encoder(x)).mean, guide.static(guide.encoder(x.flip(1))).mean
    assert not torch.allclose(there, back, atol=1e-4)


def test_the_mean_takes_any_number_of_frames() -> None:
    reader = MeanReader(4, 6)
    features = clips(2, 5, 4)
    torch.testing.assert_close(reader.summary(features.repeat(1, 3, 1)), reader.summary(features))


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="patch_size must divide the frame's side 16, got 5"):
        PatchEncoder((3, 16, 16), patch_size=5)
    with pytest.raises(ValueError, match=r"frames must have shape .* got \(2, 3, 8, 8\)"):
        PatchEncoder((3, 16, 16))(torch.zeros(2, 3, 8, 8))
    with pytest.raises(TypeError, match=r"frames must be torch\.float32"):
        PatchEncoder((3, 16, 16))(torch.zeros(2, 3, 16, 16).double())
    with pytest.raises(ValueError, match=r"input_dim must be .* got 0"):
        MeanReader(0)
    encoder = ConvEncoder((3, 16, 16), 8, base_channels=2)
    with pytest.raises(ValueError, match=r"static_reader.input_dim must be encoder.feature_dim = 8, got 4"):
        FullGuide(encoder, 3, 2, 8, static_reader=MeanReader(4, 8))
    with pytest.raises(TypeError, match="static_reader must be a module with a method summary or None, got Linear"):
        FullGuide(encoder, 3, 2, 8, static_reader=torch.nn.Linear(8, 8))


@pytest.mark.parametrize("encoder", [PatchEncoder((3, 16, 16), 4, 2), PlaceBlindEncoder((3, 16, 16), 4, (2, 2), 3)])
def test_one_frame_in_training_cannot_be_normalized(encoder: torch.nn.Module) -> None:
    frame = torch.rand(1, 1, 3, 16, 16)
    with pytest.raises(ValueError, match="batch normalization needs two frames or more a batch in training, got 1"):
        encoder.train()(frame)
    assert encoder.eval()(frame).shape == (1, 1, 4)
    assert encoder.train()(frame.expand(2, -1, -1, -1, -1)).shape == (2, 1, 4)
