"""Every guide with every prior, at sizes that run in milliseconds."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pyrodis.guides import (
    BasisTransition,
    DenseTransition,
    DiagonalTransition,
    FactorizedGuide,
    FramewiseGuide,
    FullGuide,
    GridGuide,
    InertialGuide,
    InformationGuide,
    MeanFieldGuide,
    RotationTransition,
    SmoothingGuide,
    StructuredGuide,
)
from pyrodis.models import (
    DSVAE,
    BetaVAE,
    DelayedVAE,
    DynamicsPrior,
    LinearDynamicsPrior,
    LinearGaussianDynamics,
    LSTMPrior,
    NormalPixels,
    StandardPrior,
)
from pyrodis.nn import (
    ConvDecoder,
    ConvEncoder,
    Downsample,
    GridDecoder,
    GridEncoder,
    MedianFrame,
    Motion,
    PatchShuffle,
    RandomTones,
)

FRAME = (1, 8, 8)
T, S, D = 4, 3, 2

GUIDES = (FactorizedGuide, FramewiseGuide, FullGuide, SmoothingGuide)
PRIORS = (StandardPrior, LSTMPrior)

every_guide = pytest.mark.parametrize("guide_class", GUIDES, ids=lambda cls: cls.__name__)
every_pair = pytest.mark.parametrize(
    ("guide_class", "prior_class"),
    [(guide, prior) for guide in GUIDES for prior in PRIORS],
    ids=[f"{guide.__name__}-{prior.__name__}" for guide in GUIDES for prior in PRIORS],
)


def _encoder() -> ConvEncoder:
    return ConvEncoder(FRAME, 4, base_channels=2)


def _of_frames(model_class: Any = BetaVAE, prior_class: Any = DynamicsPrior) -> Any:
    return model_class(ConvDecoder(D, FRAME, base_channels=2), prior_class(D), NormalPixels(), D, T)


def _linear() -> LinearGaussianDynamics:
    emission = 0.1 * torch.randn(64, D, generator=torch.Generator().manual_seed(0))
    turn = torch.tensor([[0.8, -0.4], [0.4, 0.8]])
    return LinearGaussianDynamics(turn, emission, scale=0.3, offset=0.5, frame_shape=FRAME, num_frames=T)


def _sequence() -> DSVAE:
    return DSVAE(ConvDecoder(S + D, FRAME, base_channels=2), DynamicsPrior(D), NormalPixels(), S, D, num_frames=T)


def _structured(transition_class: Any, static_dim: int | None = None) -> StructuredGuide:
    transition = transition_class(4, D, hidden_dim=3)
    return StructuredGuide(_encoder(), D, hidden_dim=4, transition=transition, static_dim=static_dim)


def _on_grids() -> tuple[DSVAE, GridGuide]:
    """Codes of 2 and 1 latents in each of four cells."""
    encoders = [GridEncoder(FRAME, channels, grid=2, widths=(2, 4)) for channels in (2, 1)]
    guide = GridGuide(*encoders, static_view=MedianFrame(), dynamic_view=Motion())
    decoder = GridDecoder(2 + 1, FRAME, grid=2, widths=(4, 2))
    return DSVAE(decoder, LSTMPrior(4, hidden_dim=4), NormalPixels(), 8, 4, num_frames=T), guide


TRANSITIONS = (DiagonalTransition, BasisTransition, RotationTransition, DenseTransition)

# Pairs of models and guides that are not a DSVAE and one of its four guides: fresh, float32, in training mode.
DYNAMIC_PAIRS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "BetaVAE-MeanFieldGuide": lambda: (_of_frames(), MeanFieldGuide(_encoder(), D)),
    "BetaVAE-InertialGuide": lambda: (_of_frames(), InertialGuide(_encoder(), D, learn_alpha=True)),
    "BetaVAE-InformationGuide": lambda: (_of_frames(), InformationGuide(_encoder(), D)),
    "BetaVAE-LinearDynamicsPrior": lambda: (_of_frames(BetaVAE, LinearDynamicsPrior), _structured(DiagonalTransition)),
    "BetaVAE-LSTMPrior": lambda: (_of_frames(BetaVAE, LSTMPrior), _structured(DiagonalTransition)),
    "DelayedVAE-InertialGuide": lambda: (_of_frames(DelayedVAE, StandardPrior), InertialGuide(_encoder(), D)),
    "LinearGaussianDynamics-InformationGuide": lambda: (_linear(), InformationGuide(_encoder(), D)),
    "LinearGaussianDynamics-MeanFieldGuide": lambda: (_linear(), MeanFieldGuide(_encoder(), D)),
    **{
        f"BetaVAE-{guide.__name__}": lambda guide=guide: (_of_frames(), guide(_encoder(), None, D, hidden_dim=4))
        for guide in GUIDES
    },
    **{
        f"BetaVAE-{kind.__name__}": lambda kind=kind: (_of_frames(BetaVAE, StandardPrior), _structured(kind))
        for kind in TRANSITIONS
    },
    "DSVAE-GridGuide": _on_grids,
    **{f"DSVAE-{kind.__name__}": lambda kind=kind: (_sequence(), _structured(kind, S)) for kind in TRANSITIONS},
}
every_dynamic_pair = pytest.mark.parametrize("make", DYNAMIC_PAIRS.values(), ids=DYNAMIC_PAIRS.keys())


def make_model(prior_class: Any = LSTMPrior, likelihood: nn.Module | None = None, seed: int = 0) -> DSVAE:
    """A DSVAE in eval mode, float64, whose codes have a say in its frames."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        prior = LSTMPrior(D, hidden_dim=4) if prior_class is LSTMPrior else prior_class(D)
        likelihood = NormalPixels(0.3) if likelihood is None else likelihood
        model = DSVAE(ConvDecoder(S + D, FRAME, base_channels=2), prior, likelihood, S, D, num_frames=T)
        return _liven(model)


def make_guide(guide_class: Any = FullGuide, seed: int = 1, **views: Any) -> Any:
    """A guide in eval mode, float64, whose locs and scales vary."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _liven(guide_class(ConvEncoder(FRAME, 4, base_channels=2), S, D, hidden_dim=4, **views))


def make_views() -> dict[str, Any]:
    """Arguments of a guide: two different views, and an encoder of other features for z."""
    dynamic_view = nn.Sequential(RandomTones(), Downsample(2))
    dynamic_encoder = ConvEncoder(FRAME, 5, base_channels=2)
    return {"static_view": PatchShuffle(4), "dynamic_view": dynamic_view, "dynamic_encoder": dynamic_encoder}


def make_pair(guide_class: Any = FullGuide, prior_class: Any = LSTMPrior, seed: int = 0) -> tuple[DSVAE, Any]:
    """Model and guide in eval mode, float64, with the same weights each time."""
    return make_model(prior_class, seed=seed), make_guide(guide_class, seed + 1)


def make_clips(num: int = 3, num_frames: int = T, seed: int = 2) -> Tensor:
    """Clips (num, num_frames, 1, 8, 8) in [0, 1], float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(num, num_frames, *FRAME, generator=generator, dtype=torch.float64)


def make_latents(num: int = 3, num_frames: int = T, seed: int = 3) -> dict[str, Tensor]:
    """Codes f (num, S) and z (num, num_frames, D), float64."""
    generator = torch.Generator().manual_seed(seed)
    f = torch.randn(num, S, generator=generator, dtype=torch.float64)
    return {"f": f, "z": torch.randn(num, num_frames, D, generator=generator, dtype=torch.float64)}


def gradients(modules: Iterable[nn.Module], loss: Tensor) -> dict[str, Tensor]:
    """The gradient of every trainable parameter, by module number and name, zeros where there is none."""
    named = {f"{i}.{k}": p for i, m in enumerate(modules) for k, p in m.named_parameters() if p.requires_grad}
    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return {k: torch.zeros_like(p) if g is None else g for (k, p), g in zip(named.items(), found)}


def assert_same_gradients(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    """Equal up to rounding, and not all zero."""
    assert a.keys() == b.keys()
    assert any(bool((g != 0).any()) for g in a.values())
    for name in a:
        torch.testing.assert_close(
            a[name], b[name], rtol=1e-8, atol=1e-10, msg=lambda text, name=name: f"{name}: {text}"
        )


def clone(*modules: Any) -> tuple[Any, ...]:
    """Independent copies."""
    return tuple(copy.deepcopy(module) for module in modules)


def _liven(module: nn.Module) -> Any:
    """Make weights three times as large, except in LSTMs, so that a wrong term is far from a right one."""
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Linear):
                part.weight.mul_(3.0)
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.uniform_(-0.2, 0.2)
                part.running_var.uniform_(0.5, 1.5)
    return module.double().eval()
