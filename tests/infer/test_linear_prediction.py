"""Linear prediction of posterior means, as a penalty of a guide."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from pyrodis.guides import FactorizedGuide, FramewiseGuide, FullGuide
from pyrodis.infer import LinearPrediction, NamedELBO, add_guide_penalty
from pyrodis.infer.penalties import penalty_modules, wrappers
from pyrodis.infer.queries import encode
from pyrodis.regularizers import linear_prediction_error
from tests.pairs import make_clips, make_pair


def value_of(pair: Any, penalty: nn.Module, num: int = 1) -> torch.Tensor:
    guide = add_guide_penalty(pair[1], "prediction", penalty, 0.5)
    return NamedELBO().terms(pair[0], guide, make_clips(num)).values["prediction"]


@pytest.mark.parametrize("guide_class", [FramewiseGuide, FactorizedGuide])
def test_is_the_error_of_what_encode_returns(guide_class: type) -> None:
    """Of the means, so it has no noise; of a guide with feedback, of the path of means."""
    pair = make_pair(guide_class)
    means = encode(pair[1], make_clips(3))["z"]
    expected = 0.5 * linear_prediction_error(means, 0.7).mean()
    torch.testing.assert_close(value_of(pair, LinearPrediction(alpha=0.7), 3), expected, rtol=1e-6, atol=1e-8)


def test_alpha_is_trained_only_if_learned() -> None:
    for learn in (False, True):
        penalty = LinearPrediction(learn_alpha=learn)
        guide = add_guide_penalty(make_pair(FramewiseGuide)[1], "prediction", penalty, 0.5)
        assert penalty_modules(guide) == {"prediction": penalty}
        value = value_of(make_pair(FramewiseGuide), penalty, 2)
        value.backward()
        assert (penalty.coefficient.grad is not None) is learn
    assert wrappers(guide)[0]["settings"]["arguments"] == {"site": "z", "alpha": 1.0, "learn_alpha": True}


def test_bad_input() -> None:
    with pytest.raises(TypeError, match="alpha must be a number, got '1'"):
        LinearPrediction(alpha="1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="alpha must be finite, got nan"):
        LinearPrediction(alpha=float("nan"))
    with pytest.raises(ValueError, match=r"a penalty names the site 'what', the guide has \['f', 'z'\]"):
        value_of(make_pair(FullGuide), LinearPrediction("what"))
    guide = add_guide_penalty(make_pair(FramewiseGuide)[1], "p", LinearPrediction(), 1.0)
    with pytest.raises(ValueError, match="T of 3 or more"):
        guide(make_clips(2, num_frames=2))
