"""Supervised controls: both directions, repeatable, stoppable, and bad input."""

from __future__ import annotations

import signal
from typing import Any

import pytest
import torch
from torch import nn

from pyrodis.infer import fit_supervised
from pyrodis.infer.interruption import TrainingInterrupted
from pyrodis.nn import BroadcastDecoder, ConvEncoder


def spots(num: int = 64, num_frames: int = 2) -> list[dict[str, torch.Tensor]]:
    """Clips of a soft spot; its row and column in [0, 1] are the factors."""
    generator, steps = torch.Generator().manual_seed(0), torch.linspace(0, 1, 8)
    factors = torch.rand(num, num_frames, 2, generator=generator)
    distance = (factors[..., 0, None, None] - steps[:, None]) ** 2 + (factors[..., 1, None, None] - steps) ** 2
    frames = (-distance / 0.05).exp()[:, :, None]
    return [{"x": x, "factors": f} for x, f in zip(frames, factors)]


def encoder(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(ConvEncoder((1, 8, 8), 16, base_channels=4, batch_norm=False), nn.Linear(16, 2))


def test_an_encoder_learns_the_factors() -> None:
    network, lines = encoder(), []
    history = fit_supervised(network, spots(), num_steps=140, batch_size=32, learning_rate=1e-2, report=lines.append)
    errors = history.column("train_squared_error")
    assert len(errors) == len(lines) == 20
    assert errors[-1] < 5e-3 < 0.03 < errors[0]
    assert history.column("step")[-1] == 140
    assert history.column("epoch")[-1] == 70
    assert lines[-1].startswith("supervised: step 140 of 140, squared error")
    assert not network.training


def test_a_decoder_learns_the_frames() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(BroadcastDecoder(2, (1, 8, 8), channels=8, num_layers=1, output_bias=-2.0), nn.Sigmoid())
    history = fit_supervised(network, spots(), "factors", "x", num_steps=300, batch_size=32, learning_rate=1e-2, seed=1)
    assert history.column("train_squared_error")[-1] < 5e-3


def test_first_row_is_the_mean_squared_error() -> None:
    items = [{"x": torch.tensor([1.0, 2.0]), "factors": torch.tensor([3, 0])}]
    network = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.eye(2))
    history = fit_supervised(network, items, num_steps=1, learning_rate=1e-9)
    assert history.column("train_squared_error") == [pytest.approx((4 + 4) / 2)]


def test_the_seed_orders_the_batches() -> None:
    networks = [encoder() for _ in range(3)]
    for network, seed in zip(networks, (3, 3, 4)):
        fit_supervised(network, spots(), num_steps=5, batch_size=8, seed=seed)
    first, same, other = [network[1].weight for network in networks]
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_stops_after_a_whole_step_when_asked() -> None:
    network = encoder()

    class Items(list):
        def __getitem__(self, index: Any) -> Any:
            if index == 7:
                signal.raise_signal(signal.SIGINT)
            return super().__getitem__(index)

    with pytest.raises(TrainingInterrupted, match="stopped at epoch 1"):
        fit_supervised(network, Items(spots()), num_steps=1000, batch_size=8)
    assert not network.training


def test_names_an_error_that_is_not_finite() -> None:
    items = [{"x": torch.tensor([float("inf")]), "factors": torch.zeros(1)}]
    with pytest.raises(FloatingPointError, match=r"squared error became (inf|nan) by step 1; lower"):
        fit_supervised(nn.Linear(1, 1), items, num_steps=20)


@pytest.mark.parametrize(
    ("rest", "error", "match"),
    [
        ({"inputs": "y"}, ValueError, r"inputs must name a tensor of the items, got 'y' where an item has \['factors'"),
        ({"targets": "y"}, ValueError, "targets must name a tensor of the items, got 'y'"),
        ({"train": 3}, TypeError, "train must be a data set with a length, got int"),
        ({"train": []}, ValueError, "the training set is empty"),
        ({"num_steps": 0}, ValueError, "num_steps must be a positive"),
        ({"batch_size": 0}, ValueError, "batch_size must be a positive"),
        ({"learning_rate": 0.0}, ValueError, "learning_rate must be"),
        ({"network": nn.Identity()}, ValueError, "network must have a parameter to train"),
        (
            {"network": ConvEncoder((1, 8, 8), 3, base_channels=2)},
            ValueError,
            r"must return the shape of 'factors', \(4, 2, 2\), got \(4, 2, 3\); end it",
        ),
    ],
)
def test_refuses(rest: dict[str, Any], error: type[Exception], match: str) -> None:
    arguments = {"network": encoder(), "train": spots(4), "num_steps": 1, **rest}
    with pytest.raises(error, match=match):
        fit_supervised(**arguments)
