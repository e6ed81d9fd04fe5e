"""The checks of pyrodis.testing fail on planted defects, each with its own sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyro
import pytest
import torch
from pyro.distributions import Normal
from torch import Tensor, nn
from torch.utils.data import Dataset

from pyrodis.datasets import ProceduralSprites
from pyrodis.models import DSVAE
from pyrodis.ops import register_parameters
from pyrodis.testing import (
    check_dataset,
    check_distribution,
    check_metric,
    check_model_guide,
    check_regularizer,
    tiny_dsvae,
)

pytestmark = pytest.mark.filterwarnings("ignore:trying to observe a value outside of inference")

X = torch.rand(3, 5, 1, 8, 8, generator=torch.Generator().manual_seed(0))


class Program(nn.Module):
    """A program around that of a tiny pair, with a defect in `run`."""

    def __init__(self, inner: nn.Module, run: Callable[[nn.Module, Any, Any], Any]) -> None:
        super().__init__()
        self.inner = inner
        self.run = run
        self.unused = nn.Parameter(torch.zeros(1), requires_grad=False)

    def forward(self, x: Tensor | None = None, batch_size: int | None = None) -> Any:
        register_parameters(self)
        return self.run(self.inner, x, batch_size)


def without_f(guide: Any, x: Tensor, batch_size: Any) -> Any:
    with pyro.poutine.block(hide=["f"]):
        return guide(x)


def with_another(guide: Any, x: Tensor, batch_size: Any) -> Any:
    with pyro.plate("more", x.shape[0], dim=-1):
        pyro.sample("w", Normal(torch.zeros(()), 1.0))
    return guide(x)


def without_reconstruction(model: Any, x: Any, batch_size: Any) -> Any:
    return {name: value for name, value in model(x, batch_size).items() if name != "reconstruction"}


def returning_nothing(model: Any, x: Any, batch_size: Any) -> None:
    model(x, batch_size)


def ignoring_data(model: Any, x: Any, batch_size: Any) -> Any:
    return model(batch_size=3 if x is None and batch_size is None else (batch_size if x is None else x.shape[0]))


def mixing_the_batch(model: Any, x: Any, batch_size: Any) -> Any:
    output = model(x, batch_size)
    if x is not None:
        pyro.factor("mixed", -(output["z"].sum() ** 2))
    return output


def test_the_tiny_pair_passes() -> None:
    torch.manual_seed(0)
    check_model_guide(tiny_dsvae, X)


@pytest.mark.parametrize(
    ("where", "run", "match"),
    [
        ("guide", without_f, r"the guide samples \['z'\], the model \['f', 'z'\]"),
        ("guide", with_another, r"the guide samples \['f', 'w', 'z'\], the model \['f', 'z'\]"),
        ("model", without_reconstruction, 'must return a dict with "reconstruction"'),
        ("model", returning_nothing, 'must return a dict with "reconstruction"'),
        ("model", ignoring_data, "must observe x at the site 'x'"),
        ("model", mixing_the_batch, "must be the sum over its items"),
    ],
)
def test_a_broken_program_is_found(where: str, run: Any, match: str) -> None:
    def make() -> tuple[nn.Module, nn.Module]:
        model, guide = tiny_dsvae()
        return (Program(model, run), guide) if where == "model" else (model, Program(guide, run))

    with pytest.raises(AssertionError, match=match):
        check_model_guide(make, X)


def test_a_parameter_that_is_not_trained_is_found() -> None:
    def make() -> tuple[nn.Module, nn.Module]:
        model, guide = tiny_dsvae()
        guide.forgotten = nn.Parameter(torch.zeros(1))
        return model, guide

    with pytest.raises(AssertionError, match=r"parameters without gradient: \['guide.forgotten'\]"):
        check_model_guide(make, X)


def test_a_program_that_svi_does_not_train_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyrodis.models.dsvae.register_parameters", lambda program: None)
    with pytest.raises(AssertionError, match="SVI does not train model"):
        check_model_guide(tiny_dsvae, X)


def test_sizes_that_differ_are_found() -> None:
    def make() -> tuple[nn.Module, nn.Module]:
        model, guide = tiny_dsvae()
        decoder = type(model.decoder)(6, (1, 8, 8), base_channels=2)
        return DSVAE(decoder, model.prior, model.likelihood, 4, 2, 5), guide

    with pytest.raises(AssertionError, match=r"site 'f' has shape .* in the guide, .* in the model"):
        check_model_guide(make, X)


def test_events_that_differ_are_found() -> None:
    def bare(guide: Any, x: Tensor, batch_size: Any) -> Any:
        with pyro.poutine.block():
            codes = guide(x)
        return {name: pyro.sample(name, Normal(value, 1.0)) for name, value in codes.items()}

    def make() -> tuple[nn.Module, nn.Module]:
        model, guide = tiny_dsvae()
        return model, Program(guide, bare)

    with pytest.raises(AssertionError, match=r"site 'f' has event shape \(\) in the guide, \(3,\) in the model"):
        check_model_guide(make, X)


class Offset(Normal):
    """A normal whose log_prob lacks a constant."""

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value) + 0.5

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        return Offset(self.loc.expand(batch_shape), self.scale.expand(batch_shape))


class Shapeless(Normal):
    """A normal that sums its log_prob over the batch."""

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value).sum()


class Infinite(Normal):
    """A normal that denies its own draws."""

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value) - float("inf")


class Forgetful(Normal):
    """A normal that forgets its class when it is expanded."""

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        return Normal(self.loc.expand(batch_shape), self.scale.expand(batch_shape))


class Deaf(Normal):
    """A normal that ignores the shape it is asked for."""

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        return super().rsample()

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        return Deaf(self.loc.expand(batch_shape), self.scale.expand(batch_shape))


@pytest.mark.parametrize(
    ("distribution", "match"),
    [
        (Offset(torch.zeros(3), 1.0), "differs from the entropy by"),
        (Shapeless(torch.zeros(3), 1.0), r"log_prob has shape \(\), expected \(3,\)"),
        (Infinite(torch.zeros(3), 1.0), "is not finite"),
        (Forgetful(torch.zeros(3), 1.0), "give the class its own expand"),
        (Deaf(torch.zeros(3), 1.0), r"rsample\(n\) has shape \(3,\)"),
    ],
)
def test_a_broken_distribution_is_found(distribution: Any, match: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(AssertionError, match=match):
        check_distribution(distribution)


@pytest.mark.parametrize(
    ("regularizer", "match"),
    [
        (lambda z: z.square().sum(), r"must return shape \(B\)"),
        (lambda z: z.square().flatten(1).sum(1), "must keep leading dimensions"),
        (lambda z: z.sum((-2, -1)), "finite and not negative"),
        (lambda z: z.square().sum((-2, -1)) + z.square().sum(), "depend on that datum alone"),
        (lambda z: (z.abs().sum((-2, -1)) * 0).sqrt() + z.square().sum((-2, -1)), "finite gradient"),
    ],
)
def test_a_broken_regularizer_is_found(regularizer: Any, match: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(AssertionError, match=match):
        check_regularizer(regularizer, torch.randn(3, 5, 2))


class Clips(Dataset[dict[str, Tensor]]):
    """A small data set that keeps the contract, until `change` breaks it."""

    factor_names, factor_sizes, split, seed, name, checksum = ("shape",), (4,), "test", 0, "clips", "ab" * 32
    num_frames, frame_shape = 5, (1, 8, 8)

    def __init__(
        self, change: Callable[[int, dict[str, Tensor]], dict[str, Tensor]] = lambda index, item: item
    ) -> None:
        self.change = change

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.change(index, {"x": X[index].clone(), "factors": torch.tensor([index])})


class Shuffled(Clips):
    """Its batches come in another order than its items."""

    def __getitems__(self, indices: list[int]) -> list[dict[str, Tensor]]:
        return [self[index] for index in reversed(indices)]


class Moving(Clips):
    """Its factors change from frame to frame; the first is continuous, the second has three classes."""

    factor_names = ("place", "kind")
    factor_sizes = (None, 3)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        factors = torch.stack([torch.linspace(0, 1, 5), torch.full((5,), 2.0)], 1)
        masks = torch.stack([X[0, :, 0] > 0.5, X[0, :, 0] <= 0.5], 1)
        return self.change(index, {"x": X[index].clone(), "factors": factors, "masks": masks})


class Nameless(Clips):
    """It does not say its name."""

    name = property()  # type: ignore[assignment]


def test_data_sets_that_keep_the_contract_pass() -> None:
    check_dataset(Clips())
    check_dataset(Moving())
    check_dataset(ProceduralSprites(split="test"))


@pytest.mark.parametrize(
    ("dataset", "match"),
    [
        (Clips(lambda index, item: {**item, "x": item["x"] * 2}), r"must lie in \[0, 1\]"),
        (Clips(lambda index, item: {**item, "x": item["x"][0]}), r"must have shape \(5, 1, 8, 8\), got \(1, 8, 8\)"),
        (Clips(lambda index, item: {**item, "x": item["x"].mul(255).byte()}), "must be floating point"),
        (Clips(lambda index, item: {**item, "factors": torch.tensor([9])}), "must lie below"),
        (Clips(lambda index, item: {**item, "factors": torch.tensor([0, 0])}), "differ in number"),
        (Clips(lambda index, item: {**item, "x": torch.rand(5, 1, 8, 8)}), "the same index must give the same clip"),
        (Shuffled(), "__getitems__ must agree"),
        (Nameless(), "must have the attribute name"),
        (Moving(lambda index, item: {**item, "factors": item["factors"] * 1.1}), r"continuous factors must lie in \[0"),
        (Moving(lambda index, item: {**item, "factors": item["factors"] + 1}), "must lie below"),
        (Moving(lambda index, item: {**item, "factors": item["factors"].long()}), "must be floating point"),
        (Moving(lambda index, item: {**item, "factors": item["factors"][:4]}), r"\(T, F\) with T = 5, got \(4, 2\)"),
        (Moving(lambda index, item: {**item, "masks": item["masks"].float()}), r"bool \(T, masks, 8, 8\), got torch"),
        (Moving(lambda index, item: {**item, "masks": item["masks"][:, :1]}), "exactly one mask must cover"),
    ],
)
def test_a_broken_data_set_is_found(dataset: Any, match: str) -> None:
    with pytest.raises(AssertionError, match=match):
        check_dataset(dataset)


def test_a_broken_metric_is_found() -> None:
    ones, zeros = torch.ones(4), torch.zeros(4)
    with pytest.raises(AssertionError, match="perfect input must score 1, got 0"):
        check_metric(lambda a, b: 0.0, (ones, ones), (ones, zeros), 0.1)
    with pytest.raises(AssertionError, match=r"noise must score within 0.1 of 0, got 1"):
        check_metric(lambda a, b: 1.0, (ones, ones), (ones, zeros), 0.1)
