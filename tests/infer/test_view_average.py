"""Posterior means averaged over draws of a guide's views."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pyrodis.datasets import ClipSubset, ProceduralSprites
from pyrodis.guides import FullGuide
from pyrodis.infer import Judge, decode_exchanges
from pyrodis.infer.handlers import scale_latents
from pyrodis.infer.queries import encode
from pyrodis.models import DSVAE, NormalPixels, StandardPrior
from pyrodis.nn import ConvDecoder, ConvEncoder, Downsample, GaussianBlur, PatchShuffle, RandomTones, SubsetFrames
from tests.pairs import every_guide, make_clips, make_guide, make_views


def views_of_seeds(shift: int) -> dict[str, Any]:
    """Views of tests.pairs, of other seeds, in a sequence within a sequence."""
    tones = nn.Sequential(nn.Sequential(RandomTones(seed=5 + shift)), Downsample(2))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        encoder = make_views()["dynamic_encoder"]
    return {"static_view": PatchShuffle(2, seed=9 + shift), "dynamic_view": tones, "dynamic_encoder": encoder}


@every_guide
def test_is_the_average_over_seeds(guide_class: type) -> None:
    guide, x = make_guide(guide_class, **views_of_seeds(0)), make_clips(3)
    one, three = encode(guide, x, num_views=1), encode(guide, x, num_views=3)
    draws = [encode(make_guide(guide_class, **views_of_seeds(shift)), x) for shift in range(3)]
    for name in ("f", "z"):
        assert torch.equal(one[name], draws[0][name])
        assert not torch.equal(draws[0][name], draws[1][name])
        torch.testing.assert_close(three[name], sum(draw[name] for draw in draws) / 3)
    assert (guide.static_view.seed, guide.dynamic_view[0][0].seed) == (9, 5)


@every_guide
def test_is_a_function_of_the_clip(guide_class: type) -> None:
    guide, x = make_guide(guide_class, **views_of_seeds(0)).train(), make_clips(3)
    state = torch.get_rng_state()
    means = encode(guide, x, num_views=4)
    assert torch.equal(torch.get_rng_state(), state)
    assert guide.training
    torch.manual_seed(1)
    for name, value in encode(guide, x[1:2], num_views=4).items():
        torch.testing.assert_close(value, means[name][1:2])


def test_a_view_of_both_codes_moves_on_once() -> None:
    view, x = PatchShuffle(2), make_clips(2)
    both = make_guide(FullGuide, static_view=view, dynamic_view=view)
    next_view = PatchShuffle(2, seed=1)
    after = encode(make_guide(FullGuide, static_view=next_view, dynamic_view=next_view), x)
    for name, value in encode(both, x, num_views=2).items():
        torch.testing.assert_close(value, (encode(both, x)[name] + after[name]) / 2)


def test_finds_the_views_of_a_wrapped_guide() -> None:
    guide, x = make_guide(FullGuide, **views_of_seeds(0)), make_clips(2)
    wrapped = scale_latents(guide, {"f": 0.0, "z": 2.0})
    for name, value in encode(wrapped, x, num_views=3).items():
        assert torch.equal(value, encode(guide, x, num_views=3)[name])


class Failing(nn.Module):
    """A random view that breaks at its second seed."""

    seed = 0

    def forward(self, frames: Tensor) -> Tensor:
        if self.seed == 1:
            raise RuntimeError("broken")
        return frames


def test_seeds_are_restored_after_an_error() -> None:
    guide = make_guide(FullGuide, static_view=Failing(), dynamic_view=RandomTones(seed=4))
    with pytest.raises(RuntimeError, match="broken"):
        encode(guide, make_clips(2), num_views=2)
    assert (guide.static_view.seed, guide.dynamic_view.seed) == (0, 4)


@pytest.mark.parametrize(
    "views",
    [{}, {"static_view": GaussianBlur(1.0)}, {"static_view": SubsetFrames(2)}],
    ids=["none", "fixed", "all in eval"],
)
def test_refuses_guides_without_random_views(views: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="num_views needs a guide with random views, got FullGuide without any"):
        encode(make_guide(FullGuide, **views), make_clips(2), num_views=2)


def test_refuses_bad_numbers() -> None:
    guide, x = make_guide(FullGuide, static_view=SubsetFrames(2)), make_clips(2)
    with pytest.raises(ValueError, match="num_views must be a positive whole number, got 0"):
        encode(guide, x, num_views=0)
    with pytest.raises(ValueError, match="num_views averages posterior means, so it takes no num_samples"):
        encode(guide, x, num_samples=2, num_views=2)


def test_exchanges_take_averaged_codes() -> None:
    torch.manual_seed(0)
    data = ClipSubset(ProceduralSprites(split="test"), range(18))
    encoder = ConvEncoder(data.frame_shape, 4, base_channels=1, growth=1)
    guide = FullGuide(encoder, 3, 2, 4, static_view=PatchShuffle(8))
    for parameter in guide.parameters():  # so that the views make a difference
        parameter.data.mul_(4)
    decoder = ConvDecoder(5, data.frame_shape, base_channels=1, growth=1)
    model = DSVAE(decoder, StandardPrior(2), NormalPixels(), 3, 2, data.num_frames)
    judge = Judge(data.frame_shape, data.factor_sizes, base_channels=1).eval()
    x = torch.stack([item["x"] for item in data.__getitems__(list(range(18)))])
    codes = decode_exchanges(model, guide, judge, data, num_views=2).codes
    for name, value in encode(guide, x, num_views=2).items():
        torch.testing.assert_close(codes[name], value, rtol=0, atol=1e-5)
        assert float((encode(guide, x)[name] - value).abs().max()) > 1e-3
