"""The equations of the networks, and of the judge, against plain torch."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import conv1d

from pyrodis.guides.static_posterior import StaticPosterior
from pyrodis.infer.judge import Judge
from pyrodis.infer.supervised import fit_supervised
from pyrodis.nn import (
    BidirectionalLSTM,
    BroadcastDecoder,
    GridLocScale,
    LocScale,
    MeanReader,
    PatchEncoder,
    RecurrentTransition,
)
from tests.equations import by_hand


@pytest.mark.parametrize("initial_scale", [1.0, 0.1])
def test_loc_scale_is_linear_and_softplus_with_a_floor(initial_scale: float) -> None:
    torch.manual_seed(0)
    layer, h = LocScale(5, 3, initial_scale).double(), 3 * torch.randn(7, 5, dtype=torch.float64)
    constant = math.log(math.exp(initial_scale) - 1)
    weight, bias = layer.linear.weight, layer.linear.bias
    loc, scale = layer(h)
    torch.testing.assert_close(loc, h @ weight[:3].T + bias[:3])
    torch.testing.assert_close(scale, 1e-4 + (1 + (h @ weight[3:].T + bias[3:] + constant).exp()).log())
    layer.linear.bias.data.zero_()
    at_zero = layer(torch.zeros(1, 5, dtype=torch.float64))[1]
    torch.testing.assert_close(at_zero, torch.full_like(at_zero, initial_scale + 1e-4))
    layer.linear.bias.data.sub_(1e6)
    torch.testing.assert_close(layer(h)[1], torch.full((7, 3), 1e-4, dtype=torch.float64))


@pytest.mark.parametrize("initial_scale", [1.0, 0.1])
def test_grid_loc_scale_splits_its_features(initial_scale: float) -> None:
    head, h = GridLocScale(initial_scale), 3 * torch.randn(7, 6, dtype=torch.float64)
    constant = math.log(math.exp(initial_scale) - 1)
    loc, scale = head(h)
    torch.testing.assert_close(loc, h[:, :3])
    torch.testing.assert_close(scale, 1e-4 + (1 + (h[:, 3:] + constant).exp()).log())
    at_zero = head(0 * h)[1]
    torch.testing.assert_close(at_zero, torch.full_like(at_zero, initial_scale + 1e-4))
    assert not [*head.parameters()]


def test_bidirectional_lstm_reads_the_past_and_the_future() -> None:
    torch.manual_seed(0)
    reader, features = BidirectionalLSTM(3, 4).double(), torch.randn(2, 5, 3, dtype=torch.float64)
    forth, back = by_hand.read_both_ways(reader.lstm, features)
    torch.testing.assert_close(reader(features), torch.cat([forth, back], -1))
    torch.testing.assert_close(reader(features[None, :, None])[0, :, 0], reader(features))


def test_recurrent_transition_sees_the_frames_before_and_its_context() -> None:
    torch.manual_seed(0)
    transition, z = RecurrentTransition(2, 3, 4).double(), torch.randn(2, 5, 2, dtype=torch.float64)
    context = torch.randn(2, 5, 3, dtype=torch.float64)
    previous = torch.cat([torch.zeros(2, 1, 2, dtype=torch.float64), z[:, :-1]], 1)
    expected = by_hand.autoregression(transition, z, context)
    for ours, theirs in zip(transition(previous, context), expected):
        torch.testing.assert_close(ours, theirs)
    state = None
    for t in range(5):
        loc, scale, state = transition.step(previous[:, t], context[:, t], state)
        torch.testing.assert_close((loc, scale), (expected[0][:, t], expected[1][:, t]))


def test_static_posterior_is_normal_from_the_last_states() -> None:
    torch.manual_seed(0)
    static, features = StaticPosterior(3, 2, 4).double(), torch.randn(5, 6, 3, dtype=torch.float64)
    f = torch.randn(5, 2, dtype=torch.float64)
    loc, scale = by_hand.static_parameters(static, features)
    torch.testing.assert_close(static(features).log_prob(f), by_hand.total(by_hand.normal_log_prob(f, loc, scale)))


def test_mean_reader_is_a_network_on_the_mean() -> None:
    torch.manual_seed(0)
    reader, features = MeanReader(3, 4).double(), torch.randn(5, 6, 3, dtype=torch.float64)
    h = sum(features[:, t] for t in range(6)) / 6
    for layer in (reader.layers[0], reader.layers[2]):
        h = h @ layer.weight.T + layer.bias
        h = torch.where(h > 0, h, 0.2 * h)
    torch.testing.assert_close(reader.summary(features), h)


def test_patch_encoder_is_the_maximum_over_patches() -> None:
    torch.manual_seed(0)
    encoder = PatchEncoder((1, 8, 8), feature_dim=3, base_channels=2, patch_size=4).double()
    frames = torch.rand(5, 1, 8, 8, dtype=torch.float64)
    # In a batch of all patches, in any order, phi is three linear layers, two of them normalized over that batch.
    patches = torch.stack([frames[:, :, i : i + 4, j : j + 4].reshape(5, 16) for i in (0, 4) for j in (0, 4)], 1)
    h = patches.reshape(20, 16)
    for number in (0, 2, 5):
        layer = encoder.patches[number]
        h = h @ layer.weight.flatten(1).T + (0 if layer.bias is None else layer.bias)
        if number:
            h = (h - h.mean(0)) / (h.var(0, correction=0) + 1e-5).sqrt()
        h = torch.where(h > 0, h, 0.2 * h)
    pooled = h.reshape(5, 4, 3).max(1).values
    expected = (pooled - pooled.mean(0)) / (pooled.var(0, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(encoder(frames), expected)
    weights = [encoder.patches[number].weight for number in (0, 2, 5)]
    gradients = [torch.autograd.grad(features.pow(3).sum(), weights) for features in (encoder(frames), expected)]
    torch.testing.assert_close(*gradients)
    # where there is no CPU the maximum is another function, whose gradient needs its result as it was
    away = PatchEncoder((1, 8, 8), feature_dim=3, base_channels=2, patch_size=4).to("meta")
    away(torch.zeros(5, 1, 8, 8, device="meta")).sum().backward()


def test_judge_averages_a_temporal_convolution() -> None:
    torch.manual_seed(0)
    judge = Judge((1, 8, 8), (3, 2), base_channels=2).double().eval()
    x = torch.rand(4, 5, 1, 8, 8, dtype=torch.float64)
    h = torch.stack([judge.encoder(x[:, t]) for t in range(5)], -1)
    g = conv1d(h, judge.temporal.weight, judge.temporal.bias, padding=1).clamp(min=0).sum(-1) / 5
    logits = g @ judge.heads.weight.T + judge.heads.bias
    action, color = judge(x)
    torch.testing.assert_close((action, color), (logits[:, :3], logits[:, 3:]))
    classes, probabilities = judge.predict(x)
    torch.testing.assert_close(probabilities, logits[:, :3].exp() / logits[:, :3].exp().sum(1, keepdim=True))
    assert torch.equal(classes, torch.stack([action.argmax(1), color.argmax(1)], 1))


def test_watters_broadcast_is_a_convolution_of_the_tiled_code() -> None:
    torch.manual_seed(0)
    decoder, codes = BroadcastDecoder(3, (2, 8, 8), channels=4, num_layers=2).double(), torch.randn(5, 3).double()
    steps = torch.linspace(-1, 1, 8).double()
    rows, columns = steps[:, None].expand(8, 8), steps[None, :].expand(8, 8)
    tiled = torch.stack([torch.stack([*(c.expand(8, 8) for c in code), rows, columns]) for code in codes])
    weight = torch.cat([decoder.code_layer.weight, decoder.coordinate_layer.weight[:, :, 0, 0]], 1)[..., None, None]
    h = torch.nn.functional.conv2d(tiled, weight, decoder.code_layer.bias)
    for layer in (decoder.convolutions[1], decoder.convolutions[3]):
        h = torch.nn.functional.conv2d(torch.where(h > 0, h, 0.2 * h), layer.weight, layer.bias, padding=1)
    h = torch.where(h > 0, h, 0.2 * h)
    last = decoder.convolutions[5]
    torch.testing.assert_close(decoder(codes), torch.nn.functional.conv2d(h, last.weight, last.bias))


def test_supervised_error_is_a_mean_of_squares() -> None:
    torch.manual_seed(0)
    network, a, c = torch.nn.Linear(3, 2).double(), torch.randn(4, 5, 3).double(), torch.randn(4, 5, 2).double()
    with torch.no_grad():
        expected = sum(float(v) ** 2 for v in (network(a) - c).flatten()) / (4 * 5 * 2)
    items = [{"x": x, "factors": f} for x, f in zip(a, c)]
    history = fit_supervised(network, items, num_steps=1, batch_size=4, learning_rate=1e-9)
    assert history.column("train_squared_error") == [pytest.approx(expected, rel=1e-6)]
