"""Traversals and removals: which entries change, what is decoded, and bad input."""

from __future__ import annotations

from typing import Any

import pyro
import pytest
import torch
from pyro.distributions import Normal
from torch import Tensor, nn

import pyrodis
from pyrodis.infer import remove_latents
from pyrodis.infer.queries import decode, sample_prior
from tests.components import make_pair as make_parallel_pair
from tests.pairs import D, S, T, make_latents, make_model


class Square(nn.Module):
    """A 2 x 2 square on a shade: z holds row and column of the square, and the shade, of every frame."""

    def forward(self, x: Tensor | None = None, batch_size: int = 1) -> dict[str, Tensor]:
        with pyro.plate("data", batch_size, dim=-1):
            z = pyro.sample("z", Normal(torch.zeros(3, 3), 1.0).to_event(2))
            place = torch.arange(8.0)
            rows = (place - z[..., 0:1]).abs() < 1.1
            columns = (place - z[..., 1:2]).abs() < 1.1
            frames = torch.where(rows[..., :, None] & columns[..., None, :], 1.0, z[..., 2, None, None])[
                ..., None, :, :
            ]
            pyro.sample("x", Normal(frames, 1.0).to_event(4), obs=x)
        return {"reconstruction": frames}


def by_hand(model: nn.Module, latents: dict[str, Tensor], site: str, index: Any, level: float) -> Tensor:
    changed = {name: value.clone() for name, value in latents.items()}
    changed[site][index] = level
    return decode(model, changed)


def test_is_the_decoding_of_each_change() -> None:
    model, latents = make_model(), make_latents(3)
    frames = pyrodis.traverse(model, latents, dims=[1, 0], values=[-1.0, 0.5])
    assert frames.shape == (2, 2, 3, T, 1, 8, 8)
    for i, dim in enumerate([1, 0]):
        for j, level in enumerate([-1.0, 0.5]):
            torch.testing.assert_close(frames[i, j], by_hand(model, latents, "z", (..., dim), level))


def test_changes_one_frame_or_a_static_code() -> None:
    model, latents = make_model(), make_latents(3)
    one = pyrodis.traverse(model, latents, dims=[1], values=torch.tensor([2.0]), frame=2)
    torch.testing.assert_close(one[0, 0], by_hand(model, latents, "z", (slice(None), 2, 1), 2.0))
    static = pyrodis.traverse(model, latents, site="f")
    assert static.shape == (S, 7, 3, T, 1, 8, 8)
    torch.testing.assert_close(static[2, 6], by_hand(model, latents, "f", (..., 2), 2.0))
    torch.testing.assert_close(static[2, 0], by_hand(model, latents, "f", (..., 2), -2.0))


def test_changes_one_component_or_all() -> None:
    model, _ = make_parallel_pair()
    latents = sample_prior(model, 4)
    one = pyrodis.traverse(model, latents, dims=[1], values=[-1.5, 0.5], component=2)
    assert one.shape[:3] == (1, 2, 4)
    torch.testing.assert_close(one[0, 0], by_hand(model, latents, "z", (2, slice(None), 1), -1.5))
    every = pyrodis.traverse(model, latents, dims=[1], values=[0.5])
    torch.testing.assert_close(every[0, 0], by_hand(model, latents, "z", (..., 1), 0.5))
    assert not torch.allclose(every[0, 0], one[0, 1])


@pytest.mark.parametrize(
    ("component", "error", "match"),
    [
        (3, ValueError, "component must be a component of 'z', which has components 0 to 2, got 3"),
        (-1, ValueError, "which has components 0 to 2, got -1"),
        (1.0, TypeError, r"component must be a whole number or None, got 1\.0"),
        (True, TypeError, "component must be a whole number or None, got True"),
    ],
)
def test_traverse_refuses_components(component: Any, error: type[Exception], match: str) -> None:
    model, _ = make_parallel_pair()
    with pytest.raises(error, match=match):
        pyrodis.traverse(model, sample_prior(model, 2), component=component)


def test_leaves_latents_and_model_as_they_were() -> None:
    model, latents = make_model().train(), make_latents(2)
    before = {name: value.clone() for name, value in latents.items()}
    pyrodis.traverse(model, latents)
    remove_latents(model, latents, [0], donors=torch.zeros(2, T, D))
    assert model.training
    for name, value in before.items():
        torch.testing.assert_close(latents[name], value)


def test_removed_dimensions_are_zero_without_donors() -> None:
    model, latents = make_model(), make_latents(3)
    torch.testing.assert_close(remove_latents(model, latents, [1]), by_hand(model, latents, "z", (..., 1), 0.0))


def test_the_background_is_filled_in_behind_a_removed_object() -> None:
    z = torch.tensor([[1.0, 1.0, 0.2], [3.0, 4.0, 0.4]])[:, None].expand(2, 3, 3)
    donors = torch.stack([torch.tensor([i, i, 0.9]).expand(3, 3) for i in (0.0, 2.0, 4.0, 6.0, 7.0)])
    model, latents = Square(), {"z": z}
    filled = remove_latents(model, latents, [0, 1], donors=donors)
    torch.testing.assert_close(filled, torch.tensor([0.2, 0.4])[:, None, None, None, None].expand(2, 3, 1, 8, 8))
    assert float(remove_latents(model, latents, [0, 1]).max()) == 1  # the mean is one more position
    shade = remove_latents(model, latents, [2], donors=donors)
    assert float(shade[0, 0, 0, 1, 1]) == 1
    assert float(shade[0, 0, 0, 7, 7]) == pytest.approx(0.9)


def test_the_median_of_an_even_number_is_between_the_middle_ones() -> None:
    z, shades = torch.zeros(1, 3, 3), (0.1, 0.2, 0.6, 0.9)
    donors = torch.stack([torch.tensor([0.0, 0.0, shade]).expand(3, 3) for shade in shades])
    assert float(remove_latents(Square(), {"z": z}, [2], donors=donors)[0, 0, 0, 7, 7]) == pytest.approx(0.4)


def test_takes_draws_of_the_prior_as_donors() -> None:
    model, latents = make_model(), make_latents(2)
    assert remove_latents(model, latents, [0], donors=sample_prior(model, 5)["z"]).shape == (2, T, 1, 8, 8)
    one = make_latents(1, seed=9)["z"]
    swapped = remove_latents(model, latents, list(range(D)), donors=one)
    torch.testing.assert_close(swapped, decode(model, {**latents, "z": one.expand(2, -1, -1)}))


@pytest.mark.parametrize(
    ("rest", "error", "match"),
    [
        ({"site": "y"}, ValueError, r"site must be one of the model's sites \['f', 'z'\], got 'y'"),
        ({"dims": [D]}, ValueError, rf"dims must name dimensions of 'z', from 0 to {D - 1}, got \[{D}\]"),
        ({"dims": [-1]}, ValueError, "dims must name"),
        ({"dims": []}, ValueError, "dims must name"),
        ({"dims": 1}, TypeError, "dims must be a list of whole numbers, got 1; write"),
        ({"dims": [0.5]}, TypeError, "dims must be a list"),
        ({"values": []}, ValueError, "values must be one row of finite numbers"),
        ({"values": [[1.0]]}, ValueError, "values must be one row"),
        ({"values": [float("nan")]}, ValueError, "values must be one row"),
        ({"frame": T}, ValueError, f"which has frames 0 to {T - 1}, got {T}"),
        ({"frame": 1.0}, TypeError, "frame must be a whole number"),
        ({"component": 0}, ValueError, "component must be a component of 'z', which has no components, got 0"),
        ({"site": "f", "frame": 0}, ValueError, "frame must be a frame of 'f', which has no frames, got 0"),
    ],
)
def test_traverse_refuses(rest: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        pyrodis.traverse(make_model(), make_latents(2), **rest)


def test_refuses_latents_that_do_not_fit() -> None:
    model, latents = make_model(), make_latents(2)
    with pytest.raises(ValueError, match="a value for each of the model's sites"):
        pyrodis.traverse(model, {"z": latents["z"]})
    with pytest.raises(ValueError, match="no leading dimension before its batch, got shape"):
        pyrodis.traverse(model, {**latents, "z": latents["z"][None]})


@pytest.mark.parametrize(
    ("donors", "error", "match"),
    [
        (torch.zeros(3, T + 1, D), ValueError, rf"donors must have shape \(K, {T}, {D}\), got \(3, {T + 1}, {D}\)"),
        (torch.zeros(T, D), ValueError, "donors must have shape"),
        (torch.zeros(0, T, D), ValueError, "donors must have shape"),
        (torch.full((1, T, D), float("inf")), ValueError, "must be finite"),
        ([0.0], TypeError, "donors must be a torch tensor, got list"),
    ],
)
def test_remove_refuses_donors(donors: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        remove_latents(make_model(), make_latents(2), [0], donors=donors)
