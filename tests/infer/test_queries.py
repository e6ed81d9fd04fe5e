"""Queries: shapes, means by hand, and that they leave no trace."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import SigmoidTransform

from pyrodis.guides import FullGuide, SmoothingGuide
from pyrodis.infer.handlers import scale_latents
from pyrodis.infer.queries import decode, encode, reconstruct, sample_prior, swap
from pyrodis.nn import ConvEncoder
from tests.equations import by_hand
from tests.pairs import D, S, T, every_guide, every_pair, make_clips, make_guide, make_latents, make_model, make_pair


@every_pair
def test_shapes(guide_class: type, prior_class: type) -> None:
    (model, guide), x = make_pair(guide_class, prior_class), make_clips(3)
    means, draws = encode(guide, x), encode(guide, x, num_samples=6)
    assert {name: tuple(v.shape) for name, v in means.items()} == {"f": (3, S), "z": (3, T, D)}
    assert {name: tuple(v.shape) for name, v in draws.items()} == {"f": (6, 3, S), "z": (6, 3, T, D)}
    assert decode(model, means).shape == reconstruct(model, guide, x).shape == swap(model, guide, x, x, ["f"]).shape
    assert decode(model, means).shape == x.shape
    assert decode(model, draws).shape == (6, *x.shape)
    assert {name: tuple(v.shape) for name, v in sample_prior(model, 5).items()} == {"f": (5, S), "z": (5, T, D)}


@every_pair
@pytest.mark.parametrize("num_frames", [1, 2 * T])
def test_clips_of_another_length(guide_class: type, prior_class: type, num_frames: int) -> None:
    (model, guide), x = make_pair(guide_class, prior_class), make_clips(2, num_frames)
    assert encode(guide, x)["z"].shape == (2, num_frames, D)
    assert reconstruct(model, guide, x).shape == x.shape
    assert model(x)["z"].shape == (2, num_frames, D)


def test_frames_decode_alike_at_any_length() -> None:
    model, latents = make_model(), make_latents(2, num_frames=7)
    whole = decode(model, latents)
    part = decode(model, {"f": latents["f"], "z": latents["z"][:, 2:4]})
    torch.testing.assert_close(part, whole[:, 2:4])
    torch.testing.assert_close(whole, by_hand.decoded(model, latents["f"], latents["z"]).sigmoid().detach())


@torch.no_grad()
def test_encode_of_the_full_guide_is_the_path_of_means() -> None:
    guide, x = make_guide(FullGuide), make_clips(3)
    features = by_hand.features_of(guide, x)
    f, _ = by_hand.static_parameters(guide.static, features)
    context, z = by_hand.context_of(guide, features, f), torch.zeros(3, T, D, dtype=x.dtype)
    for t in range(T):
        z[:, t] = by_hand.autoregression(guide.transition, z, context)[0][:, t]
    means = encode(guide, x)
    torch.testing.assert_close(means["f"], f)
    torch.testing.assert_close(means["z"], z)


@torch.no_grad()
def test_encode_of_the_smoothing_guide_reads_the_mean_of_f() -> None:
    guide, x = make_guide(SmoothingGuide), make_clips(3)
    means = encode(guide, x)
    features = by_hand.features_of(guide, x)
    torch.testing.assert_close(means["f"], by_hand.static_parameters(guide.static, features)[0])
    summary, _ = guide.recurrence(by_hand.context_of(guide, features, means["f"]))
    torch.testing.assert_close(means["z"], by_hand.head(guide.head, summary)[0])


@every_guide
def test_draws_scatter_about_the_mean_of_f(guide_class: type) -> None:
    guide, x = make_guide(guide_class), make_clips(2)
    torch.manual_seed(0)
    draws = encode(guide, x, num_samples=2000)["f"]
    loc, scale = by_hand.static_parameters(guide.static, by_hand.features_of(guide, x))
    error = (draws.mean(0) - loc) / (scale / 2000**0.5)
    assert error.abs().max() < 4.5
    torch.testing.assert_close(draws.std(0), scale, rtol=0.1, atol=0)
    assert (draws[0] != draws[1]).all()


def test_swap_takes_what_it_says() -> None:
    (model, guide), x_a, x_b = make_pair(), make_clips(3, seed=5), make_clips(3, seed=6)
    a, b = encode(guide, x_a), encode(guide, x_b)
    assert torch.equal(swap(model, guide, x_a, x_b, take=["f"]), decode(model, {"f": b["f"], "z": a["z"]}))
    assert torch.equal(swap(model, guide, x_a, x_b, take=["z"]), decode(model, {"f": a["f"], "z": b["z"]}))
    assert torch.equal(swap(model, guide, x_a, x_b, take=[]), reconstruct(model, guide, x_a))
    assert torch.equal(swap(model, guide, x_a, x_b, take=("f", "z")), reconstruct(model, guide, x_b))
    assert (swap(model, guide, x_a, x_b, take=["f"]) != swap(model, guide, x_a, x_b, take=["z"])).any()


class _Moded(nn.Module):
    """Modes as people set them: training, with one part frozen in eval mode."""

    def __init__(self, program: nn.Module) -> None:
        super().__init__()
        self.program = program

    def modes(self) -> list[bool]:
        return [module.training for module in self.program.modules()]


@every_pair
def test_queries_restore_modes_weights_and_generators(guide_class: type, prior_class: type) -> None:
    (model, guide), x = make_pair(guide_class, prior_class), make_clips(3)
    for program in (model.train(), guide.train()):
        next(iter(program.children())).eval()
    before = [_Moded(p).modes() for p in (model, guide)]
    state = [{k: v.clone() for k, v in p.state_dict().items()} for p in (model, guide)]
    random = torch.get_rng_state()
    first = encode(guide, x)
    assert torch.equal(torch.get_rng_state(), random), "posterior means draw no noise"
    swap(model, guide, x, x.flip(0), take=["f"])
    encode(guide, x, num_samples=2)
    decode(model, sample_prior(model, 2))
    assert [_Moded(p).modes() for p in (model, guide)] == before
    for program, old in zip((model, guide), state):
        assert all(torch.equal(old[name], value) for name, value in program.state_dict().items())
    again = encode(guide, x)
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_modes_are_restored_after_an_error() -> None:
    model, guide = make_pair()
    guide.train()
    with pytest.raises(ValueError, match="frames of shape"):
        encode(guide, torch.rand(1, T, 3, 8, 8, dtype=torch.float64))
    assert all(module.training for module in guide.modules())
    model.train()
    with pytest.raises(ValueError, match="latents must hold"):
        decode(model, {})
    assert all(module.training for module in model.modules())


def test_batch_norm_is_used_as_in_eval_mode() -> None:
    """In training mode a clip's codes and frames would depend on the other clips of the batch."""
    torch.manual_seed(0)
    guide = FullGuide(ConvEncoder((1, 16, 16), 4, base_channels=2), S, D, hidden_dim=4).train()
    assert any(isinstance(part, nn.BatchNorm2d) for part in guide.modules())
    x = torch.rand(3, T, 1, 16, 16)
    whole, alone = encode(guide, x), encode(guide, x[:1])
    torch.testing.assert_close(whole["z"][:1], alone["z"])
    torch.testing.assert_close(whole["f"][:1], alone["f"])
    model, latents = make_model().train(), make_latents(3)
    first = {name: value[:1] for name, value in latents.items()}
    torch.testing.assert_close(decode(model, latents)[:1], decode(model, first))


def test_queries_record_no_gradients() -> None:
    (model, guide), x = make_pair(), make_clips(2).requires_grad_()
    assert not reconstruct(model, guide, x).requires_grad
    assert not encode(guide, x, num_samples=2)["z"].requires_grad


def test_queries_see_through_weights() -> None:
    (model, guide), x = make_pair(), make_clips(2)
    weights = {"f": 0.0, "z": 2.0}
    scaled = scale_latents(model, weights), scale_latents(guide, weights)
    assert torch.equal(reconstruct(*scaled, x), reconstruct(model, guide, x))
    assert set(sample_prior(scaled[0], 2)) == {"f", "z"}
    assert encode(scaled[1], x, num_samples=3)["z"].shape == (3, 2, T, D)


def test_prior_draws_are_of_the_prior() -> None:
    torch.manual_seed(0)
    f: Tensor = sample_prior(make_model(), 4000)["f"]
    assert f.mean(0).abs().max() < 4 / 4000**0.5
    assert (f.var(0) - 1).abs().max() < 4 * (2 / 4000) ** 0.5


class CountedNormal(dist.Normal):
    """Counts the pixels that are drawn of it."""

    drawn = 0

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        value: Tensor = super().rsample(sample_shape)
        type(self).drawn += value.numel()
        return value


class Switching(nn.Module):
    """A model whose latents have means that are no values: classes, a direction, tails without a mean."""

    def forward(self, x: Tensor | None = None, batch_size: int | None = None) -> dict[str, Tensor]:
        with pyro.plate("data", batch_size if x is None else len(x), dim=-1):
            c = pyro.sample("c", dist.Categorical(torch.ones(T, 4)).to_event(1))
            f = pyro.sample("f", dist.Normal(torch.zeros(D), 1.0).to_event(1))
            tail = pyro.sample("tail", dist.Cauchy(f / f.norm(dim=-1, keepdim=True), f.abs()).to_event(1))
            level = torch.arange(4.0)[c] + tail.mean(-1, keepdim=True)
            frames = level[..., None, None, None].expand(*level.shape, 1, 8, 8)
            pyro.sample("x", CountedNormal(frames, 1.0).to_event(4), obs=x)
        return {"c": c, "f": f, "tail": tail, "reconstruction": frames}


def test_decode_draws_no_pixels_and_takes_any_latent() -> None:
    torch.manual_seed(0)
    latents = sample_prior(Switching(), 5)
    CountedNormal.drawn = 0
    frames = decode(Switching(), latents)
    assert CountedNormal.drawn == T * 64, "those of one clip, to find the sites"
    assert torch.equal(frames[:, :, 0, 0, 0], torch.arange(4.0)[latents["c"]] + latents["tail"].mean(-1, keepdim=True))


class WithoutMean(nn.Module):
    """A model whose pixels are of a distribution that tells no mean."""

    def forward(self, x: Tensor | None = None, batch_size: int | None = None) -> dict[str, Tensor]:
        with pyro.plate("data", batch_size if x is None else len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(torch.zeros(T, D), 1.0).to_event(2))
            logits = z.mean(-1)[..., None, None, None].expand(*z.shape[:-1], 1, 8, 8)
            pixels = dist.TransformedDistribution(dist.Normal(logits, 1.0), [SigmoidTransform()])
            pyro.sample("x", pixels.to_event(4), obs=x)
        return {"z": z, "reconstruction": logits.sigmoid()}


class NoMean(dist.Distribution):
    """A distribution of one's own, with the least that Pyro asks for."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        return self.logits.sigmoid()

    def log_prob(self, x: Tensor) -> Tensor:
        return torch.zeros(x.shape[:1])


class OfOwnPixels(nn.Module):
    def forward(self, x: Tensor | None = None, batch_size: int | None = None) -> dict[str, Tensor]:
        z = pyro.sample("z", dist.Normal(torch.zeros(batch_size or 1, T, D), 1.0).to_event(2))
        return {"z": z, "reconstruction": pyro.sample("x", NoMean(z.mean(-1)[..., None, None, None]), obs=x)}


def test_decode_of_pixels_without_a_mean() -> None:
    z = torch.randn(2, T, D)
    assert torch.equal(decode(OfOwnPixels(), {"z": z})[:, :, 0, 0, 0], z.mean(-1).sigmoid())
    assert torch.equal(decode(WithoutMean(), {"z": z})[:, :, 0, 0, 0], z.mean(-1).sigmoid())


@pytest.mark.parametrize(
    ("latents", "match"),
    [
        ({"f": torch.zeros(2, S)}, r"each of the model's sites \['f', 'z'\], got \['f'\]"),
        ({"f": torch.zeros(2, S), "z": torch.zeros(2, T, D), "w": torch.zeros(2)}, r"got \['f', 'w', 'z'\]"),
        ({"f": torch.zeros(2, S + 1), "z": torch.zeros(2, T, D)}, r"'f' must have shape \(..., B, 3\), got \(2, 4\)"),
        ({"f": torch.zeros(S), "z": torch.zeros(2, T, D)}, r"'f' must have shape"),
        ({"f": torch.zeros(2, S), "z": torch.zeros(3, T, D)}, "same batch size"),
        ({"f": [0.0] * S, "z": torch.zeros(2, T, D)}, "'f' must be a torch tensor, got list"),
    ],
)
def test_decode_refuses_what_does_not_fit(latents: dict[str, Tensor], match: str) -> None:
    with pytest.raises((ValueError, TypeError), match=match):
        decode(make_model(), latents)
