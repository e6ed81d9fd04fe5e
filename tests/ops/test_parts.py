"""A network on a batch in parts: the same values, and only where nothing is kept for a backward pass."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pyrodis.infer.digit_judge import DigitJudge
from pyrodis.nn import (
    BroadcastDecoder,
    ConvDecoder,
    ConvEncoder,
    PlaceBlindEncoder,
    PooledEncoder,
    StridedDecoder,
    StridedEncoder,
    UpsampleDecoder,
)
from pyrodis.ops import in_parts


class Counted(nn.Module):
    """Doubles rows, and notes how many it was given at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(rows))
        return 2 * rows


def test_parts_are_of_64_rows_and_in_order() -> None:
    network, batch = Counted().eval(), torch.arange(150.0).unsqueeze(1)
    with torch.no_grad():
        assert torch.equal(in_parts(network, batch), 2 * batch)
    assert network.seen == [64, 64, 22]


@pytest.mark.parametrize(("training", "grad"), [(True, False), (False, True)])
def test_a_batch_is_whole_in_training_and_where_gradients_are_recorded(training: bool, grad: bool) -> None:
    network = Counted().train(training)
    with torch.set_grad_enabled(grad):
        in_parts(network, torch.zeros(150, 1))
    assert network.seen == [150]


@pytest.mark.parametrize("num", [0, 1, 64])
def test_a_small_batch_is_whole(num: int) -> None:
    network = Counted().eval()
    with torch.no_grad():
        assert in_parts(network, torch.zeros(num, 1)).shape == (num, 1)
    assert network.seen == [num]


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (PooledEncoder((1, 16, 16), widths=(4, 8)), (5, 30, 1, 16, 16)),
        (PlaceBlindEncoder((1, 16, 16), feature_dim=8, widths=(4, 8)), (5, 30, 1, 16, 16)),
        (UpsampleDecoder(6, (1, 16, 16), widths=(8, 4)), (5, 30, 6)),
        (ConvEncoder((1, 16, 16), 8, base_channels=4), (5, 30, 1, 16, 16)),
        (ConvDecoder(6, (1, 16, 16), base_channels=4), (5, 30, 6)),
        (StridedEncoder((1, 16, 16), (4, 8)), (5, 30, 1, 16, 16)),
        (StridedDecoder(6, (1, 16, 16), (8, 4)), (5, 30, 6)),
        (BroadcastDecoder(6, (1, 16, 16)), (5, 30, 6)),
        (DigitJudge((1, 32, 32), base_channels=2), (5, 30, 1, 32, 32)),
    ],
)
def test_networks_say_in_parts_what_they_say_of_the_whole(network: nn.Module, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    for part in network.modules():  # as after some training, so that a batch's own statistics would show
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean, part.running_var = torch.rand(part.num_features), 1 + torch.rand(part.num_features)
    network.eval()
    batch, seen = torch.rand(shape), []
    for part in network.modules():
        if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)):
            part.register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    whole = network(batch)  # gradients are recorded
    assert {*seen} - {1} == {150}, "the coordinates of a broadcast decoder are one row"
    seen.clear()
    with torch.no_grad():
        parts = network(batch)
    assert {*seen} - {1} == {64, 22}
    for one, other in zip(*(value if isinstance(value, tuple) else (value,) for value in (whole, parts))):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("tracked", [True, False])
def test_a_normalization_by_the_batch_has_all_of_it(tracked: bool) -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2, track_running_stats=tracked)).eval()
    if tracked:
        network[1].train()
    batch = torch.arange(150.0).reshape(150, 1, 1, 1)
    whole = network(batch)
    with torch.no_grad():
        assert torch.equal(in_parts(network, batch), whole)
    assert not tracked or int(network[1].num_batches_tracked) == 2


@pytest.mark.filterwarnings("ignore")  # tracing is deprecated
def test_a_traced_network_takes_other_batches() -> None:
    network = ConvEncoder((1, 16, 16), 8, base_channels=2).eval()
    with torch.no_grad():
        traced = torch.jit.trace(network, torch.rand(150, 1, 16, 16))
        frames = torch.rand(100, 1, 16, 16)
        torch.testing.assert_close(traced(frames), network(frames))


def test_what_is_no_network_or_no_tensor_is_refused() -> None:
    with pytest.raises(TypeError, match="network must be a torch module, got function"):
        in_parts(lambda x: x, torch.zeros(1))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="batch must be a torch tensor, got list"):
        in_parts(nn.Identity(), [0.0])  # type: ignore[arg-type]
