"""Guides of models of one code a frame: without f, z reads the frames alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from pyrodis.infer.describe import build, describe
from pyrodis.models import BetaVAE, NormalPixels, StandardPrior
from pyrodis.nn import ConvDecoder, ConvEncoder, GaussianBlur, MeanReader
from pyrodis.testing import check_model_guide
from tests.pairs import FRAME, D, T, every_guide, make_clips


def make(guide_class: Any, **rest: Any) -> Any:
    return guide_class(ConvEncoder(FRAME, 4, base_channels=2), None, D, hidden_dim=4, **rest)


@every_guide
def test_guides_without_f_keep_the_contract(guide_class: type) -> None:
    def pair() -> tuple[nn.Module, nn.Module]:
        model = BetaVAE(ConvDecoder(D, FRAME, base_channels=2), StandardPrior(D), NormalPixels(), D, T)
        return model, make(guide_class, dynamic_view=GaussianBlur(1.0))

    torch.manual_seed(0)
    check_model_guide(pair, make_clips(3).float())


@every_guide
def test_a_guide_without_f_is_built_from_its_description(guide_class: type) -> None:
    guide = make(guide_class).eval()
    assert "f" not in guide(make_clips(2).float())
    again = build(describe(guide)).eval()
    again.load_state_dict(guide.state_dict())
    torch.manual_seed(0)
    expected = guide(make_clips(2).float())["z"]
    torch.manual_seed(0)
    torch.testing.assert_close(again(make_clips(2).float())["z"], expected)


@every_guide
@pytest.mark.parametrize(
    "argument",
    [
        {"static_view": GaussianBlur(1.0)},
        {"static_reader": MeanReader(4, 3)},
        {"dynamic_encoder": ConvEncoder(FRAME, 4, base_channels=2)},
    ],
    ids=lambda argument: next(iter(argument)),
)
def test_what_is_for_f_alone_is_refused_without_f(guide_class: type, argument: dict[str, nn.Module]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(argument))} must be None without a static code"):
        make(guide_class, **argument)
